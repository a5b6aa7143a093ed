#include "services/ingest/ingest.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"
#include "common/obs/log.h"
#include "common/pg/pg.h"
#include "services/ingest/control.h"
#include "services/ingest/ensure.h"
#include "services/ingest/feedback.h"
#include "services/ingest/lag.h"
#include "services/ingest/lineage.h"
#include "services/ingest/repl.h"
#include "services/ingest/stream.h"

enum { LATE_MS = 5000, SWEEP_MS = 2000, LINE_MAX_BYTES = 2048 };

/* One per process, like the skeleton that calls us. */
static struct {
        const struct ingest_conf *conf;
        struct loop *loop;
        struct object_names names;
        struct pub *pub;
        struct stream *stream;
        struct repl *repl;
        struct ensure *ensure;
        struct lineage *lineage;
        struct loop_timer *sweep;
        struct control *control;
        struct lag lag;
} self;

static void on_active(void)
{
        control_resume(self.control);
}

static void on_room(void *arg)
{
        (void)arg;
        repl_on_room(self.repl);
}

static void on_confirmed(void *arg)
{
        (void)arg;
        repl_on_confirmed(self.repl);
}

static void on_restart(void *arg)
{
        (void)arg;
        repl_on_restart(self.repl);
}

static void on_bare_relation(void *arg, uint32_t oid)
{
        (void)arg;
        ensure_repair(self.ensure, oid);
}

static void on_relation(void *arg, uint32_t oid, uint32_t xid, uint64_t ticket)
{
        (void)arg;
        lineage_ask(self.lineage, oid, xid, ticket);
}

static void on_lineage(void *arg, const struct lineage_answer *answer)
{
        struct buf why;
        (void)arg;
        buf_init(&why, LINE_MAX_BYTES);
        if (stream_lineage(self.stream, answer, &why) != 0)
                repl_on_broken(self.repl, buf_cstr(&why));
        buf_fini(&why);
}

/* ---- how late everything is */

/* The stages of a change's way that are seen from here. */
static struct stage {
        enum ingest_metric bytes, ms;
        lsn_t (*position)(const struct stream *s);
        const char *who;
        bool late; /* and somebody was told */
} stages[] = {
        {INGEST_METRIC_published_lag, INGEST_METRIC_published_lag_ms, stream_received,
         "ingest with publishing what the database has written", false},
        {INGEST_METRIC_applied_lag, INGEST_METRIC_applied_lag_ms, stream_applied,
         "a router with applying it", false},
        {INGEST_METRIC_synced_lag, INGEST_METRIC_synced_lag_ms, stream_confirmed,
         "a router with making it durable", false},
};

/* Two lines for a time of being late, however long it is. */
static void tell_late(struct stage *s, uint64_t bytes, uint64_t ms)
{
        if (!s->late && ms >= LATE_MS)
                log_warning("stage_late", "%s is %llu ms and %llu bytes of WAL behind", s->who,
                            (unsigned long long)ms, (unsigned long long)bytes);
        else if (s->late && ms < LATE_MS / 2)
                log_info("stage_in_time", "%s is in time again", s->who);
        else
                return;
        s->late = !s->late;
}

static void show_stage(struct stage *s, uint64_t now)
{
        lsn_t at = feedback_flush_lsn(s->position(self.stream));
        uint64_t bytes = lag_bytes(&self.lag, at), ms = lag_ms(&self.lag, at, now);
        metric_set(&ingest_metrics[s->bytes], (int64_t)bytes);
        metric_set(&ingest_metrics[s->ms], (int64_t)ms);
        tell_late(s, bytes, ms);
}

static void on_wal_seen(void *arg)
{
        struct wal_facts *f = arg;
        uint64_t now = clock_mono_ms();
        lag_note(&self.lag, f->end, now);
        metric_set(METRIC_OF(slot_retained), (int64_t)(f->end.v - f->kept_from.v));
        metric_set(METRIC_OF(slot_lag), (int64_t)(f->end.v - f->confirmed.v));
        mem_free(f);
        if (!self.stream || stream_epoch(self.stream) == 0)
                return;
        for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
                show_stage(&stages[i], now);
        lag_release(&self.lag, feedback_flush_lsn(stream_confirmed(self.stream)));
}

static void on_wal(const struct wal_facts *f)
{
        struct wal_facts *copy = mem_new(struct wal_facts);
        *copy = *f;
        loop_post(self.loop, on_wal_seen, copy);
}

/* The leader looks after new partitions; a standby has no stream whose rows could be incomplete. */
static void on_sweep(void *arg)
{
        (void)arg;
        if (svc_get_state(NULL) == SVC_ACTIVE)
                ensure_sweep(self.ensure);
        loop_timer_set(self.sweep, SWEEP_MS);
}

static int check_conf(struct buf *why)
{
        const struct ingest_conf *c = self.conf;
        int err = pg_check_stream_id(c->stream_id, why);
        if (!err)
                err = pg_check_url(c->database_url, c->ca_file, why);
        if (!err && c->batch_bytes > c->window_bytes) {
                buf_puts(why, "SLUICE_BATCH_BYTES must not exceed SLUICE_WINDOW_BYTES");
                err = ERR_INVAL;
        }
        return err ? ERR_INVAL : 0;
}

static void make_parts(void)
{
        const struct ingest_conf *c = self.conf;
        struct stream_options so = {.window_bytes = c->window_bytes,
                                    .batch_bytes = c->batch_bytes,
                                    .routers = (uint32_t)c->routers,
                                    .pub = self.pub,
                                    .on_room = on_room,
                                    .on_confirmed = on_confirmed,
                                    .on_restart = on_restart,
                                    .on_bare_relation = on_bare_relation,
                                    .on_relation = on_relation};
        struct publisher_options eo = {.url = c->database_url,
                                       .ca_file = c->ca_file,
                                       .names = self.names,
                                       .manual = c->manual_publishing};
        self.stream = stream_new(self.loop, &so);
        self.ensure = ensure_new(&eo, on_wal);
        self.lineage = lineage_new(self.loop, c->database_url, c->ca_file, on_lineage, NULL);
        self.sweep = loop_timer_new(self.loop, on_sweep, NULL);
        loop_timer_set(self.sweep, SWEEP_MS);
        self.repl = repl_new(self.loop, c, &self.names, self.stream, on_active);
}

int ingest_start(struct loop *loop, void *conf, struct buf *why)
{
        self.loop = loop;
        self.conf = conf;
        int err = check_conf(why);
        if (err)
                return err;
        publication_names(self.conf->stream_id, &self.names);
        uint32_t frames = stream_max_frames(self.conf->window_bytes, self.conf->batch_bytes);
        err = pub_open(&self.pub, self.conf->changes_url, frames + 1 /* a reminder */, why);
        if (err)
                return err;
        make_parts();
        err = control_open(&self.control, self.conf->control_url, loop, self.stream, self.ensure,
                           why);
        if (err) {
                ingest_stop();
                return err;
        }
        repl_start(self.repl);
        return 0;
}

static void on_stopped(void *arg)
{
        (void)arg;
        svc_drained();
}

void ingest_drain(void)
{
        repl_stop(self.repl, on_stopped, NULL);
}

/* Workers first, so that nobody answers a call of a server that is gone. */
void ingest_stop(void)
{
        loop_timer_free(self.sweep);
        ensure_free(self.ensure);
        lineage_free(self.lineage);
        control_close(self.control);
        repl_free(self.repl);
        stream_free(self.stream);
        self.stream = NULL; /* a look at the WAL may still be in the loop's queue */
        pub_close(self.pub);
}
