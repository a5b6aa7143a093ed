#include "services/ingest/stream.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "common/wire/wr.h"
#include "services/ingest/batch.h"
#include "services/ingest/conf.h"
#include "services/ingest/feedback.h"
#include "services/ingest/pace.h"

enum {
        HOLD_MS = 2,
        QUIET_MS = 100,
        GRACE_MS = 5000,
        SILENT_MS = 3000, /* routers say something every second */
        REMIND_MS = 1000, /* a last frame that was lost is noticed by nobody: say it again */
        RESTART_EVERY_MS = 1000,
        MIN_FRAMES = 16,
        MAX_FRAMES = 256
};
static const size_t REPLAY_MAX_BYTES = (size_t)16 << 20;
static const size_t DESCRIPTION_MAX_BYTES = (size_t)2 << 30; /* as any message of Postgres */
static const size_t FRAME_MAX_BYTES = (size_t)8 << 30; /* never reached: batch.c bounds a batch */

struct stream {
        struct loop *loop;
        struct stream_options o;
        struct batch *batch;
        struct pgoutput *decoder;
        struct window *window; /* NULL before the first epoch */
        struct peers peers;
        struct buf frame;
        bool live;    /* a replication connection feeds it */
        bool starved; /* the source was told that there is no room */
        bool asking;  /* whose partition is the relation that was described last? */
        uint64_t ticket;
        struct buf description; /* its message */
        uint64_t began_ms, published_ms, restarted_ms;
        struct pace pace;
        struct batch_counts counted; /* as far as the metrics know */
        struct loop_timer *hold, *quiet, *grace, *remind;
};

uint32_t stream_max_frames(size_t window_bytes, size_t batch_bytes)
{
        size_t n = window_bytes / batch_bytes;
        return n < MIN_FRAMES ? MIN_FRAMES : n > MAX_FRAMES ? MAX_FRAMES : (uint32_t)n;
}

/* ---- the window */

static void show_window(struct stream *s)
{
        uint64_t n = window_next_seq(s->window) - window_first_seq(s->window);
        metric_set(METRIC_OF(window_bytes), (int64_t)window_bytes(s->window));
        metric_set(METRIC_OF(window_batches), (int64_t)n);
}

/* See the header, "Credit". */
static bool may_release(const struct stream *s)
{
        if (peers_heard(&s->peers) == s->peers.n)
                return true;
        return clock_mono_ms() - s->began_ms >= GRACE_MS && !window_has_room(s->window);
}

/* A router that is stopped or dead would hold the window for ever. What it misses stays in the
 * slot. */
static void forget_silent(struct stream *s)
{
        uint32_t router;
        uint64_t now = clock_mono_ms();
        uint64_t since = now > SILENT_MS ? now - SILENT_MS : 0;
        while ((router = peers_forget_silent(&s->peers, since)) != UINT32_MAX) {
                log_warning("router_silent",
                            "router %u has said nothing for %d s and the window is full: the "
                            "others go on without it",
                            (unsigned)router, SILENT_MS / 1000);
                metric_set(METRIC_OF(routers), peers_heard(&s->peers));
        }
}

static void release(struct stream *s)
{
        if (!window_has_room(s->window))
                forget_silent(s);
        if (may_release(s))
                window_release(s->window, peers_acked_seq(&s->peers));
        show_window(s);
        if (s->starved && stream_has_room(s)) {
                s->starved = false;
                s->o.on_room(s->o.arg);
        }
}

bool stream_has_room(const struct stream *s)
{
        return !s->asking && window_has_room(s->window);
}

static void publish(void *arg, const struct batch_out *out)
{
        struct stream *s = arg;
        uint64_t seq = window_next_seq(s->window);
        buf_reset(&s->frame);
        pub_frame(&s->frame, s->peers.term.epoch, seq, out->body);
        SLUICE_ASSERT(buf_status(&s->frame) == 0);
        pub_send(s->o.pub, buf_slice(&s->frame));
        fault_point(FAULT_INGEST_BATCH);
        metric_add(METRIC_OF(batches), 1);
        metric_add(METRIC_OF(batch_bytes), (int64_t)s->frame.len);
        window_push(s->window, seq, out->reach, slice_dup(buf_slice(&s->frame)));
        if (s->frame.cap > 4 * s->o.batch_bytes)
                mem_free((void *)(uintptr_t)buf_take(&s->frame).p);
        pace_cut(&s->pace, clock_mono_us());
        s->published_ms = clock_mono_ms();
        if (!loop_timer_armed(s->remind))
                loop_timer_set(s->remind, REMIND_MS);
        loop_timer_cancel(s->hold);
        loop_timer_cancel(s->quiet);
        metric_set(METRIC_OF(position), (int64_t)out->end.v);
        release(s);
        s->starved = !window_has_room(s->window);
}

static bool last_is_acked(const struct stream *s)
{
        return peers_heard(&s->peers) == 0 ||
               peers_acked_seq(&s->peers) + 1 == window_next_seq(s->window);
}

static void on_remind(void *arg)
{
        struct stream *s = arg;
        struct slice last;
        uint64_t now = clock_mono_ms();
        if (last_is_acked(s) || !window_get(s->window, window_next_seq(s->window) - 1, &last))
                return; /* armed again by the next frame */
        if (now - s->published_ms >= REMIND_MS) {
                pub_send(s->o.pub, last);
                s->published_ms = now;
        }
        loop_timer_set(s->remind, REMIND_MS);
}

static void on_grace(void *arg)
{
        release(arg);
}

/* ---- input */

static void cut_if_possible(void *arg)
{
        struct stream *s = arg;
        if (s->live && stream_has_room(s))
                batch_cut(s->batch);
}

struct stream *stream_new(struct loop *loop, const struct stream_options *o)
{
        struct stream *s = mem_new(struct stream);
        s->loop = loop;
        s->o = *o;
        s->batch = batch_new(o->batch_bytes, publish, s);
        s->decoder = pgoutput_new();
        buf_init(&s->frame, FRAME_MAX_BYTES);
        buf_init(&s->description, DESCRIPTION_MAX_BYTES);
        s->hold = loop_timer_new(loop, cut_if_possible, s);
        s->quiet = loop_timer_new(loop, cut_if_possible, s);
        s->grace = loop_timer_new(loop, on_grace, s);
        s->remind = loop_timer_new(loop, on_remind, s);
        return s;
}

void stream_free(struct stream *s)
{
        if (!s)
                return;
        loop_timer_free(s->hold);
        loop_timer_free(s->quiet);
        loop_timer_free(s->grace);
        loop_timer_free(s->remind);
        window_free(s->window);
        batch_free(s->batch);
        pgoutput_free(s->decoder);
        buf_fini(&s->frame);
        buf_fini(&s->description);
        mem_free(s);
}

void stream_begin(struct stream *s, const struct term *term)
{
        SLUICE_ASSERT(!s->live && term->epoch > s->peers.term.epoch); /* repl.c has checked */
        window_free(s->window);
        uint32_t frames = stream_max_frames(s->o.window_bytes, s->o.batch_bytes);
        s->window = window_new(s->o.window_bytes, frames, term->start);
        peers_begin(&s->peers, s->o.routers, term);
        batch_begin(s->batch, term->start);
        s->live = true;
        s->starved = s->asking = false;
        s->began_ms = clock_mono_ms();
        s->published_ms = 0;
        loop_timer_set(s->grace, GRACE_MS);
        metric_add(METRIC_OF(streams), 1);
        metric_set(METRIC_OF(routers), 0);
        metric_set(METRIC_OF(confirmed), (int64_t)term->start.v);
        show_window(s);
}

void stream_end(struct stream *s)
{
        s->live = false;
        s->starved = s->asking = false;
        loop_timer_cancel(s->hold);
        loop_timer_cancel(s->quiet);
}

static void count(struct stream *s)
{
        struct batch_counts now = batch_counts(s->batch);
        metric_add(METRIC_OF(transactions), (int64_t)(now.txns - s->counted.txns));
        metric_add(METRIC_OF(changes), (int64_t)(now.changes - s->counted.changes));
        s->counted = now;
}

/* The message is decoded again when the answer is there: what it says borrows from it. */
static void ask_lineage(struct stream *s, const struct change_relation *r, struct slice message)
{
        if (r->replica_identity != 'f')
                s->o.on_bare_relation(s->o.arg, r->oid);
        buf_reset(&s->description);
        buf_put_slice(&s->description, message);
        s->asking = true;
        s->o.on_relation(s->o.arg, r->oid, batch_xid(s->batch), ++s->ticket);
}

int stream_lineage(struct stream *s, const struct lineage_answer *answer, struct buf *why)
{
        struct pgoutput_msg m;
        if (!s->asking || answer->ticket != s->ticket)
                return 0;
        s->asking = false;
        if (answer->err) {
                buf_puts(why, answer->why);
                return answer->err;
        }
        int err = pgoutput_decode(s->decoder, buf_slice(&s->description), &m);
        SLUICE_ASSERT(err == 0 && m.kind == PGOUTPUT_RELATION);
        m.relation.ancestors = answer->ancestors;
        m.relation.n_ancestors = answer->n_ancestors;
        err = batch_message(s->batch, &m, why);
        s->starved = !stream_has_room(s);
        if (!err && !s->starved)
                s->o.on_room(s->o.arg);
        return err;
}

int stream_message(struct stream *s, struct slice pgoutput, struct buf *why)
{
        SLUICE_ASSERT(s->live && stream_has_room(s));
        struct pgoutput_msg m;
        int err = pgoutput_decode(s->decoder, pgoutput, &m);
        if (err) {
                buf_printf(why, "cannot decode a replication message of %zu bytes, type 0x%02x",
                           pgoutput.len, pgoutput.len ? (unsigned char)pgoutput.p[0] : 0);
                return err;
        }
        if (m.kind == PGOUTPUT_RELATION && batch_in_txn(s->batch)) {
                ask_lineage(s, &m.relation, pgoutput);
                return 0;
        }
        err = batch_message(s->batch, &m, why);
        if (m.kind == PGOUTPUT_COMMIT)
                count(s);
        return err;
}

/* The bare position: soon, but not with every keepalive. */
static void publish_position(struct stream *s, bool at_once)
{
        if (batch_in_txn(s->batch) || batch_has_txns(s->batch) || !batch_has_moved(s->batch))
                return;
        uint64_t age_ms = clock_mono_ms() - s->published_ms;
        if (at_once || age_ms >= QUIET_MS)
                cut_if_possible(s);
        else if (!loop_timer_armed(s->quiet))
                loop_timer_set(s->quiet, QUIET_MS - age_ms);
}

void stream_keepalive(struct stream *s, lsn_t decoded, bool asked)
{
        SLUICE_ASSERT(s->live);
        batch_keepalive(s->batch, decoded);
        publish_position(s, asked);
}

bool stream_dry(struct stream *s)
{
        if (!batch_has_txns(s->batch))
                publish_position(s, false);
        else if (!batch_in_txn(s->batch))
                cut_if_possible(s);
        else if (!loop_timer_armed(s->hold))
                loop_timer_set(s->hold, HOLD_MS);
        return batch_in_txn(s->batch) ? pace_may_rest_in_txn(batch_bytes(s->batch))
                                      : pace_may_rest(&s->pace, clock_mono_us());
}

lsn_t stream_received(const struct stream *s)
{
        return batch_position(s->batch);
}

lsn_t stream_applied(const struct stream *s)
{
        return peers_applied(&s->peers);
}

lsn_t stream_confirmed(const struct stream *s)
{
        return s->peers.confirmed;
}

uint64_t stream_epoch(const struct stream *s)
{
        return s->peers.term.epoch;
}

/* ---- routers */

/* After anything that a router has said. */
static void settle(struct stream *s)
{
        lsn_t before = s->peers.confirmed;
        lsn_t now = feedback_confirm(&s->peers);
        release(s);
        if (lsn_cmp(now, before) == 0)
                return;
        metric_set(METRIC_OF(confirmed), (int64_t)now.v);
        if (s->live)
                s->o.on_confirmed(s->o.arg);
}

static void ask_restart(struct stream *s, const struct msg_hello *m, bool ahead)
{
        uint64_t now = clock_mono_ms();
        if (now - s->restarted_ms < RESTART_EVERY_MS)
                return;
        s->restarted_ms = now;
        if (ahead)
                log_warning("stream_contested",
                            "router %u has followed epoch %llu, later than this one: starting "
                            "again, to see whether another ingest leads or the database has gone "
                            "back",
                            (unsigned)m->router, (unsigned long long)m->epoch);
        else
                log_info("stream_restart",
                         "router %u needs changes after %llX/%llX, which the window has no longer: "
                         "starting again from the slot",
                         (unsigned)m->router, (unsigned long long)(m->applied_lsn >> 32),
                         (unsigned long long)(m->applied_lsn & UINT32_MAX));
        s->o.on_restart(s->o.arg);
}

static void log_hello(const struct msg_hello *m, const struct msg_hello_ok *ok)
{
        if (ok->purge)
                log_warning("router_purge",
                            "router %u follows another history of the database, or WAL it needs is "
                            "gone: it must drop its shapes",
                            (unsigned)m->router);
        else
                log_info("router_hello", "router %u follows epoch %llu from batch %llu",
                         (unsigned)m->router, (unsigned long long)ok->epoch,
                         (unsigned long long)ok->next_seq);
}

bool stream_hello(struct stream *s, const struct msg_hello *m, union msg *ok, struct refusal *no)
{
        if (!s->live) {
                *no = (struct refusal){503, "the stream is not running yet"};
                return false;
        }
        switch (peers_hello(&s->peers, m, s->window, batch_reach(s->batch), &ok->hello_ok)) {
        case HELLO_FOLLOW:
                peers_saw(&s->peers, m->router, clock_mono_ms());
                log_hello(m, &ok->hello_ok);
                metric_set(METRIC_OF(routers), peers_heard(&s->peers));
                settle(s);
                if (!loop_timer_armed(s->remind))
                        loop_timer_set(s->remind, REMIND_MS);
                return true;
        case HELLO_AHEAD:
        case HELLO_RESTART:
                ask_restart(s, m, m->epoch > s->peers.term.epoch);
                *no = (struct refusal){503, "the stream starts again from the slot"};
                return false;
        case HELLO_UNKNOWN:
                break;
        }
        *no = (struct refusal){400, "router index is not below SLUICE_ROUTERS of ingest"};
        return false;
}

bool stream_ack(struct stream *s, const struct msg_ack *m, struct refusal *no)
{
        int err = s->window ? peers_ack(&s->peers, m, s->window, batch_reach(s->batch))
                            : ERR_NOTFOUND;
        if (err) {
                *no = err == ERR_RANGE
                              ? (struct refusal){400, "acknowledges what was never published"}
                              : (struct refusal){409,
                                                 "another epoch, or not introduced: say hello"};
                return false;
        }
        peers_saw(&s->peers, m->router, clock_mono_ms());
        settle(s);
        return true;
}

void stream_replay(struct stream *s, const struct msg_replay *m, struct buf *frames, union msg *ok)
{
        size_t limit = m->max_bytes < REPLAY_MAX_BYTES ? m->max_bytes : REPLAY_MAX_BYTES;
        struct slice frame;
        uint64_t seq = m->from_seq;
        if (s->window && m->epoch == s->peers.term.epoch) {
                do {
                        if (!window_get(s->window, seq, &frame))
                                break;
                        wr_bin(frames, frame);
                        seq++;
                } while (frames->len < limit);
                metric_add(METRIC_OF(replayed), (int64_t)(seq - m->from_seq));
        }
        ok->replay_ok = (struct msg_replay_ok){.type = MSG_replay_ok, .frames = buf_slice(frames)};
}
