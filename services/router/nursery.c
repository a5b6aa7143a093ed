#include "services/router/nursery.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "common/wire/msg.h"
#include "services/router/reply.h"

enum {
        ENSURE_TIMEOUT_MS = 60000,
        LEADER_MS = 5000 /* protocol §4.6 */,
        REPLY_MAX_BYTES = 1 << 20,
        REASON_MAX_BYTES = 4096,
        RETRY_AFTER_S = 10
};

/* One call of a worker on its way to the writer. */
struct step {
        uint64_t id;
        int err;
        const uint64_t *ids;
        struct snapshot_whole *whole;
        uint32_t n;
        const struct pg_snapshot *snapshot;
        uint32_t chunk;
        struct buf *entries;
        bool closes;
        struct slice failed;
        struct graves *graves;
};

/* ERR_AGAIN and success pass; whatever else happened, the worker is to stop. */
static int verdict(int err, const struct step *s)
{
        if (!err)
                err = s->err;
        return !err || err == ERR_AGAIN ? err : ERR_CANCELLED;
}

static int call(struct nursery *n, writer_run *run, struct step *s)
{
        return verdict(writer_call(n->writer, run, s), s);
}

/* A job that was told to stop makes no further calls. */
static void done_unless_wanted(struct engine *e, const struct step *s)
{
        if (s->err && s->err != ERR_AGAIN)
                engine_job_done(e, s->id);
}

/* The worker goes on with all of them when one is there, and reads what it was given for each. */
static void run_hold(void *arg, struct engine *e, bool full)
{
        struct step *s = arg;
        uint32_t n_held = 0;
        (void)full;
        for (uint32_t i = 0; i < s->n; i++)
                n_held += engine_hold(e, s->ids[i]) == 0;
        for (uint32_t i = 0; n_held == 0 && i < s->n; i++)
                engine_job_done(e, s->ids[i]);
        s->err = n_held == 0 ? ERR_CANCELLED : 0;
}

static int on_hold(void *arg, const uint64_t *ids, uint32_t n)
{
        struct step s = {.ids = ids, .n = n};
        return call(arg, run_hold, &s);
}

static void run_begin(void *arg, struct engine *e, bool full)
{
        struct step *s = arg;
        (void)full;
        s->err = engine_begin(e, s->id, s->snapshot);
        done_unless_wanted(e, s);
}

static int on_begin(void *arg, uint64_t id, const struct pg_snapshot *snapshot)
{
        struct step s = {.id = id, .snapshot = snapshot};
        return call(arg, run_begin, &s);
}

static void run_rows(void *arg, struct engine *e, bool full)
{
        struct step *s = arg;
        (void)full;
        s->err = engine_rows(e, s->id, s->chunk, s->entries, s->closes);
        done_unless_wanted(e, s);
}

static int on_rows(void *arg, uint64_t id, uint32_t chunk, struct buf *entries, bool closes)
{
        struct nursery *n = arg;
        struct step s = {.id = id, .chunk = chunk, .entries = entries, .closes = closes};
        return verdict(writer_stage(n->writer, run_rows, &s), &s);
}

static void run_end(void *arg, struct engine *e, bool full)
{
        struct step *s = arg;
        (void)full;
        s->err = engine_end(e, s->id, s->chunk);
        engine_job_done(e, s->id);
}

static int on_end(void *arg, uint64_t id, uint32_t chunk)
{
        struct step s = {.id = id, .chunk = chunk};
        return call(arg, run_end, &s);
}

static void run_whole(void *arg, struct engine *e, bool full)
{
        struct step *s = arg;
        (void)full;
        for (uint32_t i = 0; i < s->n; i++) {
                struct snapshot_whole *w = &s->whole[i];
                w->err = engine_begin(e, w->shape_id, s->snapshot);
                if (!w->err)
                        w->err = engine_rows(e, w->shape_id, 0, w->entries, false);
                if (!w->err)
                        w->err = engine_end(e, w->shape_id, 0);
                if (w->err != ERR_AGAIN)
                        engine_job_done(e, w->shape_id);
        }
}

static void on_whole(void *arg, const struct pg_snapshot *snapshot, struct snapshot_whole *shapes,
                     uint32_t n)
{
        struct nursery *nursery = arg;
        struct step s = {.snapshot = snapshot, .whole = shapes, .n = n};
        int err = writer_call(nursery->writer, run_whole, &s);
        for (uint32_t i = 0; err && i < n; i++)
                shapes[i].err = ERR_CANCELLED;
}

static void run_failed(void *arg, struct engine *e, bool full)
{
        struct step *s = arg;
        struct shape *shape = registry_find(&e->shapes, s->id);
        (void)full;
        if (shape) {
                graves_dig(s->graves, shape->id, shape->created_us, s->failed, clock_mono_ms());
                engine_remove(e, shape, GONE_FAILED, s->failed);
        }
        engine_job_done(e, s->id);
}

static void on_failed(void *arg, uint64_t id, const struct snapshot_failure *f)
{
        struct nursery *n = arg;
        struct buf failed;
        union msg m = {.failed = {.type = MSG_failed,
                                  .status = f->status,
                                  .body = f->body,
                                  .message = f->body,
                                  .retry_after_s = f->retry_after_s,
                                  .handle = SLICE_EMPTY}};
        buf_init(&failed, REPLY_MAX_BYTES);
        msg_encode(&failed, &m);
        struct step s = {.id = id, .failed = buf_slice(&failed), .graves = n->graves};
        call(n, run_failed, &s);
        log_warning("snapshot_failed", "snapshot of shape %llu failed: %.*s",
                    (unsigned long long)id, SLICE_FMT(f->body));
        buf_fini(&failed);
}

/* ---- publishing the table */

static int refuse(struct snapshot_failure *failure, struct buf *body, const char *text)
{
        buf_puts(body, "{\"message\":");
        buf_put_json_string(body, slice_cstr(text));
        buf_putc(body, '}');
        *failure = (struct snapshot_failure){
                .status = 503, .body = buf_slice(body), .retry_after_s = RETRY_AFTER_S};
        return ERR_AGAIN;
}

/* What the router waits for is what its state says. */
static int refuse_no_leader(struct snapshot_failure *failure, struct buf *body)
{
        struct buf reason;
        buf_init(&reason, REASON_MAX_BYTES);
        bool known = svc_get_state(&reason) != SVC_ACTIVE && reason.len > 0;
        int err = refuse(failure, body,
                         known ? buf_cstr(&reason) : "Database connection not available");
        buf_fini(&reason);
        return err;
}

static int judge_reply(struct slice bytes, struct snapshot_failure *failure, struct buf *body)
{
        union msg m;
        if (msg_decode(bytes, &m) != 0)
                return refuse(failure, body, "Database connection not available");
        if (m.type == MSG_ensure_table_ok)
                return 0;
        if (m.type != MSG_failed || m.failed.body.len == 0)
                return refuse(failure, body, "Database connection not available");
        buf_put_slice(body, m.failed.body);
        *failure = (struct snapshot_failure){.status = (uint32_t)m.failed.status,
                                             .body = buf_slice(body),
                                             .retry_after_s = (uint32_t)m.failed.retry_after_s};
        return ERR_DENIED;
}

static int on_ensure_table(void *arg, const struct table *t, struct snapshot_failure *failure,
                           struct buf *body)
{
        struct nursery *n = arg;
        struct buf request, reply;
        union msg m = {.ensure_table = {.type = MSG_ensure_table,
                                        .schema = t->schema,
                                        .table = t->name,
                                        .oid = t->oid}};
        buf_init(&request, REPLY_MAX_BYTES);
        buf_init(&reply, REPLY_MAX_BYTES);
        msg_encode(&request, &m);
        int err = follow_ask(n->follow, buf_slice(&request), ENSURE_TIMEOUT_MS, LEADER_MS, &reply);
        if (err)
                err = refuse_no_leader(failure, body);
        else
                err = judge_reply(buf_slice(&reply), failure, body);
        buf_fini(&request);
        buf_fini(&reply);
        return err;
}

struct snapshot_sink nursery_sink(struct nursery *n)
{
        return (struct snapshot_sink){.arg = n,
                                      .hold = on_hold,
                                      .begin = on_begin,
                                      .rows = on_rows,
                                      .end = on_end,
                                      .whole = on_whole,
                                      .failed = on_failed,
                                      .ensure_table = on_ensure_table};
}
