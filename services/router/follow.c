#include "services/router/follow.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"
#include "common/bus/gap.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "common/wire/msg.h"
#include "services/router/health.h"
#include "services/router/links.h"
#include "services/router/metrics.h"

enum {
        TICK_MS = 100,
        HELLO_TIMEOUT_MS = 2000,
        ACK_TIMEOUT_MS = 3000,
        ACK_EVERY_MS = 1000, /* also when nothing moves: it says that the leader is still there */
        SILENT_MS = 2000,    /* frames that exist and do not come are fetched */
        ACK_BATCHES = 4, /* applied; fewer wait for the next sync, a quarter of the least window */
        REPLAY_TIMEOUT_MS = 15000,
        REPLAY_BYTES = 8 << 20,
        STASH_MAX = 256,
        RPC_CONCURRENCY = 64,
        SUB_QUEUE = 1024,
        REQUEST_MAX_BYTES = 4096
};
#define FRAME_MAX_BYTES ((size_t)3 << 30)
#define STASH_MAX_BYTES ((size_t)64 << 20)

/* One ingest. */
struct link {
        struct follow *follow;
        uint32_t i;
        struct sub *sub;
        struct rpc_client *rpc;
        bool greeting; /* a hello is unanswered */
};

/* What was acknowledged, or is to be. */
struct progress {
        uint64_t epoch, seq;
        lsn_t applied, synced;
};

struct follow {
        struct follow_options o;
        struct link *links;
        uint32_t n_links;
        struct loop_timer *tick;

        pthread_mutex_t lock;
        pthread_cond_t answers; /* to follow_ask(); or another leader */
        bool running;
        int leader; /* index, -1: seeking */
        struct gap gap;
        uint64_t joins; /* given to the writer */
        uint64_t system_id, timeline;
        struct bus_msg *stash[STASH_MAX]; /* frames after the missing ones */
        uint32_t n_stash;
        size_t stash_bytes;
        bool replaying, behind; /* behind: frames are missing */
        bool peeking;           /* behind only perhaps: it is not known whether there are any */
        uint64_t
                unheard_ms; /* since when the leader has more, and no frame comes; 0: all is well */
        struct progress done, acked;
        lsn_t synced; /* as the syncer says */
        bool acking;
        uint64_t acked_ms;
};

static void begin_replay(struct follow *f);

/* ---- the lock is held in everything down to "threads" */

static void drop_stash(struct follow *f)
{
        for (uint32_t i = 0; i < f->n_stash; i++)
                bus_msg_unref(f->stash[i]);
        f->n_stash = 0;
        f->stash_bytes = 0;
}

static void seek(struct follow *f, const char *why)
{
        if (f->leader >= 0)
                log_warning("stream_left", "epoch %" PRIu64 " is left: %s", f->gap.epoch, why);
        f->leader = -1;
        f->behind = false;
        drop_stash(f);
        health_not_following(slice_cstr(why));
}

/* Takes the message. */
static void stash(struct follow *f, struct bus_msg *msg)
{
        size_t len = bus_msg_body(msg).len;
        if (f->n_stash == STASH_MAX || f->stash_bytes + len > STASH_MAX_BYTES) {
                bus_msg_unref(msg); /* it is replayed with the rest */
                return;
        }
        f->stash[f->n_stash++] = msg;
        f->stash_bytes += len;
}

/* A frame of the leader. Takes the batch; without room for it the frame counts as missing. */
static void take_batch(struct follow *f, struct batch *b)
{
        struct gap before = f->gap;
        enum gap_verdict verdict = gap_check(&f->gap, b->epoch, b->seq);
        SLUICE_ASSERT(verdict == GAP_NEXT);
        if (writer_push(f->o.writer, b))
                return;
        batch_unref(b);
        f->gap = before;
        f->behind = true;
}

static enum gap_verdict look(const struct follow *f, const struct bus_frame *frame)
{
        struct gap copy = f->gap;
        return gap_check(&copy, frame->epoch, frame->seq);
}

/* Takes the message. False: it was put aside. */
static bool take_frame(struct follow *f, struct bus_msg *msg)
{
        struct bus_frame frame;
        if (bus_frame_parse(bus_msg_body(msg), &frame) != 0) {
                log_warning("frame_malformed", "a frame of the change stream is malformed");
                bus_msg_unref(msg);
                return true;
        }
        switch (look(f, &frame)) {
        case GAP_NEXT:
                take_batch(f, batch_of_msg(msg, frame.epoch, frame.seq, frame.body));
                return true;
        case GAP_OLD:
                /* the leader repeats what it thinks is not acknowledged */
                f->acked_ms = 0;
                bus_msg_unref(msg);
                return true;
        case GAP_MISSING:
                stash(f, msg);
                return false;
        case GAP_NEW_EPOCH:
                seek(f, "the stream began anew");
                bus_msg_unref(msg);
                return true;
        }
        return true;
}

static void drain_stash(struct follow *f)
{
        struct bus_msg *msgs[STASH_MAX];
        uint32_t n = f->n_stash;
        memcpy(msgs, f->stash, n * sizeof(struct bus_msg *));
        f->n_stash = 0;
        f->stash_bytes = 0;
        f->behind = false;
        for (uint32_t i = 0; i < n; i++) {
                if (f->leader < 0)
                        bus_msg_unref(msgs[i]);
                else if (!take_frame(f, msgs[i]))
                        f->behind = true;
        }
}

static int encode(const union msg *m, struct buf *out)
{
        buf_init(out, REQUEST_MAX_BYTES);
        msg_encode(out, m);
        return buf_status(out);
}

/* ---- replay */

/* Frames had to be fetched that should have come by themselves, though the bus knows of nothing. */
static void dial_again(struct follow *f, struct link *link, uint64_t from)
{
        log_warning("stream_silent",
                    "batches %" PRIu64 " to %" PRIu64 " of epoch %" PRIu64
                    " did not come and were fetched: connecting to the leader again",
                    from, f->gap.next_seq - 1, f->gap.epoch);
        f->unheard_ms = 0;
        sub_dial_again(link->sub);
}

static void on_replay(void *arg, int err, struct bus_msg *reply)
{
        struct link *link = arg;
        struct follow *f = link->follow;
        union msg m;
        pthread_mutex_lock(&f->lock);
        f->replaying = false;
        bool ok = !err && msg_decode(bus_msg_body(reply), &m) == 0 && m.type == MSG_replay_ok;
        if (!f->running || f->leader != (int)link->i) {
                pthread_mutex_unlock(&f->lock);
                return;
        }
        struct rd rd;
        uint32_t taken = 0;
        rd_init(&rd, ok ? m.replay_ok.frames : SLICE_EMPTY);
        bool peeked = ok && f->peeking;
        f->behind = f->peeking = false;
        uint64_t from = f->gap.next_seq;
        while (!rd_at_end(&rd) && !f->behind) {
                struct bus_frame frame;
                struct slice bytes = rd_bytes(&rd);
                if (rd.err || bus_frame_parse(bytes, &frame) != 0)
                        break;
                if (look(f, &frame) == GAP_NEXT)
                        take_batch(f, batch_of_copy(frame.epoch, frame.seq, frame.body));
                taken++;
        }
        if (peeked && f->unheard_ms != 0 && f->gap.next_seq > from)
                dial_again(f, link, from);
        if (taken == 0 && !peeked) {
                seek(f, ok ? "frames that are missing are gone" : "the leader does not answer");
        } else if (!f->behind) {
                drain_stash(f);
                if (f->behind)
                        begin_replay(f);
        }
        pthread_mutex_unlock(&f->lock);
}

static void begin_replay(struct follow *f)
{
        struct link *link = &f->links[f->leader];
        struct buf request;
        union msg m = {.replay = {.type = MSG_replay,
                                  .epoch = f->gap.epoch,
                                  .from_seq = f->gap.next_seq,
                                  .max_bytes = REPLAY_BYTES}};
        f->behind = true;
        if (f->replaying)
                return;
        SLUICE_ASSERT(encode(&m, &request) == 0);
        if (rpc_send(link->rpc, buf_slice(&request), REPLAY_TIMEOUT_MS, on_replay, link) == 0) {
                f->replaying = true;
                count(METRIC_GAPS, f->peeking ? 0 : 1);
        }
        buf_fini(&request);
}

/* ---- acknowledging: one in flight, always with the newest state */

static void send_ack(struct follow *f);

static bool ack_is_due(const struct follow *f)
{
        const struct progress *d = &f->done, *a = &f->acked;
        if (f->leader < 0 || f->acking || d->epoch != f->gap.epoch)
                return false;
        if (d->epoch != a->epoch || d->synced.v != a->synced.v || d->seq - a->seq >= ACK_BATCHES)
                return true;
        return clock_mono_ms() - f->acked_ms >= ACK_EVERY_MS;
}

/* Acknowledgements travel on another connection than frames: the leader's answer says whether it
 * has more than has come. */
static void look_for_unheard(struct follow *f, uint64_t received)
{
        uint64_t now = clock_mono_ms();
        bool idle = !f->behind && f->done.seq + 1 == f->gap.next_seq;
        if (!idle || received <= f->done.applied.v) {
                f->unheard_ms = 0;
        } else if (f->unheard_ms == 0) {
                f->unheard_ms = now;
        } else if (now - f->unheard_ms >= SILENT_MS) {
                f->peeking = true;
                begin_replay(f);
        }
}

static void take_status(struct follow *f, const struct msg_status_ok *m)
{
        health_leader(true, m->state, m->reason);
        look_for_unheard(f, m->lsn);
}

static void on_ack(void *arg, int err, struct bus_msg *reply)
{
        struct link *link = arg;
        struct follow *f = link->follow;
        union msg m;
        pthread_mutex_lock(&f->lock);
        f->acking = false;
        if (f->running && f->leader == (int)link->i && f->acked.epoch == f->gap.epoch) {
                if (err)
                        seek(f, "the leader does not answer");
                else if (msg_decode(bus_msg_body(reply), &m) != 0 || m.type != MSG_status_ok)
                        seek(f, "the leader refuses an acknowledgement");
                else
                        take_status(f, &m.status_ok);
        }
        send_ack(f);
        pthread_mutex_unlock(&f->lock);
}

static void send_ack(struct follow *f)
{
        struct buf request;
        if (!f->running || !ack_is_due(f))
                return;
        struct link *link = &f->links[f->leader];
        struct progress p = f->done;
        SLUICE_ASSERT(lsn_cmp(p.synced, p.applied) <= 0); /* I3 */
        union msg m = {.ack = {.type = MSG_ack,
                               .router = f->o.index,
                               .epoch = p.epoch,
                               .seq = p.seq,
                               .applied_lsn = p.applied.v,
                               .synced_lsn = p.synced.v}};
        SLUICE_ASSERT(encode(&m, &request) == 0);
        fault_point(FAULT_ROUTER_ACK_BEFORE);
        if (rpc_send(link->rpc, buf_slice(&request), ACK_TIMEOUT_MS, on_ack, link) == 0) {
                fault_point(FAULT_ROUTER_ACK_AFTER);
                f->acking = true;
                f->acked = p;
                f->acked_ms = clock_mono_ms();
        }
        buf_fini(&request);
}

/* ---- hello */

static void join(struct follow *f, const struct link *link, const struct msg_hello_ok *ok)
{
        f->leader = (int)link->i;
        gap_adopt(&f->gap, ok->epoch, ok->next_seq);
        drop_stash(f);
        f->system_id = ok->system_id;
        f->timeline = ok->timeline;
        f->joins++;
        f->acked_ms = clock_mono_ms();
        f->unheard_ms = 0;
        struct writer_join j = {.epoch = ok->epoch,
                                .next_seq = ok->next_seq,
                                .system_id = ok->system_id,
                                .timeline = ok->timeline,
                                .start = {ok->start_lsn},
                                .purge = ok->purge};
        writer_join(f->o.writer, &j);
        pthread_cond_broadcast(&f->answers);
        count(METRIC_HELLOS, 1);
        log_info("stream_joined", "following epoch %" PRIu64 " from batch %" PRIu64 "%s", ok->epoch,
                 ok->next_seq, ok->purge ? "; all shapes are dropped" : "");
        health_leader(true, SVC_ACTIVE, SLICE_EMPTY);
        /* What was published before we came is not published again by itself. */
        f->peeking = true;
        begin_replay(f);
}

static void on_hello(void *arg, int err, struct bus_msg *reply)
{
        struct link *link = arg;
        struct follow *f = link->follow;
        union msg m;
        pthread_mutex_lock(&f->lock);
        link->greeting = false;
        bool ok = !err && msg_decode(bus_msg_body(reply), &m) == 0;
        if (f->running && f->leader < 0 && ok) {
                /* a lower epoch is a leader of the past, unless the database itself went back */
                if (m.type == MSG_hello_ok && m.hello_ok.next_seq > 0 &&
                    (m.hello_ok.epoch >= f->gap.epoch || m.hello_ok.purge))
                        join(f, link, &m.hello_ok);
                else if (m.type == MSG_status_ok)
                        health_leader(false, m.status_ok.state, m.status_ok.reason);
                else if (m.type == MSG_failed)
                        health_not_following(m.failed.message);
        }
        pthread_mutex_unlock(&f->lock);
}

static void greet(struct follow *f, struct link *link)
{
        struct buf request;
        union msg m = {.hello = {.type = MSG_hello,
                                 .router = f->o.index,
                                 .epoch = f->gap.epoch,
                                 .system_id = f->system_id,
                                 .timeline = f->timeline,
                                 .applied_lsn = f->done.applied.v,
                                 .synced_lsn = f->done.synced.v}};
        if (link->greeting)
                return;
        SLUICE_ASSERT(encode(&m, &request) == 0);
        link->greeting =
                rpc_send(link->rpc, buf_slice(&request), HELLO_TIMEOUT_MS, on_hello, link) == 0;
        buf_fini(&request);
}

/* What the router has is known only when the writer has gone through the last join. */
static void greet_all(struct follow *f)
{
        if (f->leader >= 0 || f->joins != writer_joins_done(f->o.writer))
                return;
        for (uint32_t i = 0; i < f->n_links; i++)
                greet(f, &f->links[i]);
}

/* ---- threads */

static void on_frame(void *arg, struct bus_msg *msg)
{
        struct link *link = arg;
        struct follow *f = link->follow;
        struct bus_frame frame;
        pthread_mutex_lock(&f->lock);
        bool following = f->leader >= 0;
        if (f->running && f->leader == (int)link->i) {
                f->unheard_ms = 0;
                bool taken = take_frame(f, msg);
                if (f->leader >= 0 && (!taken || f->behind))
                        begin_replay(f);
                else
                        send_ack(f);
        } else {
                /* another ingest speaks: the leader it has taken over from may be silent */
                bool other = f->running && f->leader >= 0 &&
                             bus_frame_parse(bus_msg_body(msg), &frame) == 0 &&
                             frame.epoch > f->gap.epoch;
                if (other)
                        seek(f, "another leader took over");
                bus_msg_unref(msg);
        }
        if (following)
                greet_all(f);
        pthread_mutex_unlock(&f->lock);
}

static void on_tick(void *arg)
{
        struct follow *f = arg;
        pthread_mutex_lock(&f->lock);
        greet_all(f);
        send_ack(f);
        if (f->leader >= 0 && f->behind)
                begin_replay(f);
        bool running = f->running;
        pthread_mutex_unlock(&f->lock);
        if (running)
                loop_timer_set(f->tick, TICK_MS);
}

/* A sync may be known before what it made durable is known to be applied. */
static void note_synced(struct follow *f)
{
        f->done.synced = lsn_cmp(f->synced, f->done.applied) < 0 ? f->synced : f->done.applied;
}

void follow_applied(struct follow *f, uint64_t epoch, uint64_t seq, lsn_t applied)
{
        pthread_mutex_lock(&f->lock);
        f->done.epoch = epoch;
        f->done.seq = seq;
        /* after a purge what was synced is of another history */
        if (lsn_cmp(applied, f->done.applied) < 0 && lsn_cmp(f->synced, applied) > 0)
                f->synced = (lsn_t){0};
        f->done.applied = applied;
        note_synced(f);
        send_ack(f);
        pthread_mutex_unlock(&f->lock);
}

void follow_synced(struct follow *f, lsn_t synced)
{
        pthread_mutex_lock(&f->lock);
        f->synced = synced;
        note_synced(f);
        gauge(METRIC_SYNCED_LSN, f->done.synced.v);
        gauge(METRIC_UNSYNCED, f->done.applied.v - f->done.synced.v);
        send_ack(f);
        pthread_mutex_unlock(&f->lock);
}

void follow_lost(struct follow *f)
{
        pthread_mutex_lock(&f->lock);
        seek(f, "a batch could not be applied");
        pthread_mutex_unlock(&f->lock);
}

/* A blocking request. The waiter and the callback each hold it; who is last frees it. */
struct ask {
        struct follow *follow;
        bool answered, left;
        int err;
        struct buf reply;
};

static void free_ask(struct ask *a)
{
        buf_fini(&a->reply);
        mem_free(a);
}

static void on_answer(void *arg, int err, struct bus_msg *reply)
{
        struct ask *a = arg;
        struct follow *f = a->follow;
        pthread_mutex_lock(&f->lock);
        a->answered = true;
        a->err = err;
        if (!err)
                buf_put_slice(&a->reply, bus_msg_body(reply));
        bool left = a->left;
        pthread_cond_broadcast(&f->answers);
        pthread_mutex_unlock(&f->lock);
        if (left)
                free_ask(a);
}

/* With the lock, which is given up meanwhile. */
static int wait_for_leader(struct follow *f, uint64_t deadline_ms)
{
        struct timespec at = {.tv_sec = (time_t)(deadline_ms / 1000),
                              .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
        while (f->running && f->leader < 0)
                if (pthread_cond_timedwait(&f->answers, &f->lock, &at) != 0)
                        return f->leader < 0 ? ERR_CLOSED : 0;
        return f->running ? 0 : ERR_CANCELLED;
}

/* Likewise. ERR_AGAIN: another leader has taken over, who was not asked. */
static int ask_leader(struct follow *f, struct slice request, uint32_t timeout_ms,
                      struct buf *reply)
{
        struct ask *a = mem_new(struct ask);
        a->follow = f;
        buf_init(&a->reply, reply->max);
        int asked = f->leader;
        int err = rpc_send(f->links[asked].rpc, request, timeout_ms, on_answer, a);
        if (err) {
                free_ask(a);
                return err;
        }
        while (!a->answered && f->running && (f->leader < 0 || f->leader == asked))
                pthread_cond_wait(&f->answers, &f->lock);
        if (!a->answered) {
                a->left = true; /* the callback frees it */
                return f->running ? ERR_AGAIN : ERR_CANCELLED;
        }
        err = a->err;
        if (!err)
                buf_put_slice(reply, buf_slice(&a->reply));
        free_ask(a);
        return err;
}

int follow_ask(struct follow *f, struct slice request, uint32_t timeout_ms, uint32_t leader_ms,
               struct buf *reply)
{
        uint64_t deadline_ms = clock_mono_ms() + leader_ms;
        int err;
        pthread_mutex_lock(&f->lock);
        do {
                err = wait_for_leader(f, deadline_ms);
                if (!err)
                        err = ask_leader(f, request, timeout_ms, reply);
        } while (err == ERR_AGAIN);
        pthread_mutex_unlock(&f->lock);
        return err;
}

/* ---- opening */

static int open_links(struct follow *f, struct links *urls, struct buf *why)
{
        f->links = mem_zalloc(urls->n * sizeof(*f->links));
        f->n_links = urls->n;
        for (uint32_t i = 0; i < f->n_links; i++) {
                struct link *link = &f->links[i];
                link->follow = f;
                link->i = i;
                int err = rpc_client_open(&link->rpc, urls->control[i], RPC_CONCURRENCY,
                                          FRAME_MAX_BYTES, why);
                if (!err)
                        err = sub_open(&link->sub, urls->changes[i], SUB_QUEUE, FRAME_MAX_BYTES,
                                       on_frame, link, why);
                if (err)
                        return err;
        }
        return 0;
}

int follow_open(struct follow **out, const struct follow_options *o, struct buf *why)
{
        struct links urls;
        int err = links_parse(o->changes_urls, o->control_urls, &urls, why);
        if (err)
                return err;
        struct follow *f = mem_new(struct follow);
        f->o = *o;
        f->leader = -1;
        pthread_mutex_init(&f->lock, NULL);
        pthread_condattr_t attr;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&f->answers, &attr);
        pthread_condattr_destroy(&attr);
        f->tick = loop_timer_new(o->loop, on_tick, f);
        struct shapelog_place place = writer_place(o->writer);
        f->system_id = place.system_id;
        f->timeline = place.timeline;
        f->gap.epoch = place.epoch;
        f->synced = place.applied;
        f->done = (struct progress){.applied = place.applied, .synced = place.applied};
        err = open_links(f, &urls, why);
        links_fini(&urls);
        if (err) {
                follow_close(f);
                return err;
        }
        *out = f;
        return 0;
}

void follow_start(struct follow *f)
{
        pthread_mutex_lock(&f->lock);
        f->running = true;
        greet_all(f);
        pthread_mutex_unlock(&f->lock);
        loop_timer_set(f->tick, TICK_MS);
}

void follow_stop(struct follow *f)
{
        if (!f)
                return;
        pthread_mutex_lock(&f->lock);
        f->running = false;
        pthread_cond_broadcast(&f->answers);
        pthread_mutex_unlock(&f->lock);
}

void follow_close(struct follow *f)
{
        if (!f)
                return;
        follow_stop(f);
        loop_timer_free(f->tick);
        for (uint32_t i = 0; i < f->n_links; i++) {
                if (f->links[i].sub)
                        sub_close(f->links[i].sub);
                if (f->links[i].rpc)
                        rpc_client_close(f->links[i].rpc);
        }
        drop_stash(f);
        pthread_mutex_destroy(&f->lock);
        pthread_cond_destroy(&f->answers);
        mem_free(f->links);
        mem_free(f);
}
