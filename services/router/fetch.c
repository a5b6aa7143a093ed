#include "services/router/fetch.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "common/wire/definition.h"
#include "common/wire/msg.h"
#include "common/wire/notice.h"
#include "common/wire/wr.h"
#include "services/router/late.h"
#include "services/router/metrics.h"
#include "services/router/reply.h"
#include "services/router/shape.h"
#include "services/router/shapelog.h"

enum {
        SUBSET_MAX_BYTES = 8 << 20, /* what a client may post (protocol §1.6) */
        REQUEST_MAX_BYTES = DEFINITION_MAX_BYTES + SUBSET_MAX_BYTES,
        FAILED_MAX_BYTES = 256 * 1024,
        FETCH_MAX_BYTES = 16 << 20,   /* of entries in one answer, a single one aside */
        SCRATCH_KEEP_BYTES = 4 << 20, /* more than what an edge asks for at a time */
        REASON_MAX_BYTES = 4096
};
#define ENTRIES_MAX_BYTES ((size_t)1 << 30)

struct fetch {
        struct fetch_options o;
        struct rpc_server *server;
        struct late *late;
        struct buf late_scratch; /* of its thread */
};

/* Whether the handle names a shape that the store has. */
static bool find_shape(struct store_txn *t, struct slice handle, uint64_t *id,
                       struct shape_record_head *head)
{
        uint64_t created_us;
        struct slice record;
        if (shape_parse_handle(handle, id, &created_us) != 0 ||
            !shapelog_get_record(t, *id, &record))
                return false;
        if (shape_record_head(record, head) != 0) {
                t->err = ERR_CORRUPT;
                return false;
        }
        return head->created_us == created_us;
}

/* A shape that cannot be read is not gone: the writer still has it, and would send the client here
 * again and again. */
static void distrust(struct fetch *f, int err)
{
        if (err == ERR_CORRUPT)
                store_distrust(f->o.store, "a shape's record cannot be");
}

/* ---- fetch */

static void reply_gone(struct fetch *f, struct rpc_call *call, struct slice handle)
{
        struct buf failed;
        uint64_t id, created_us;
        buf_init(&failed, FAILED_MAX_BYTES);
        if (shape_parse_handle(handle, &id, &created_us) == 0 &&
            graves_find(f->o.graves, id, created_us, clock_mono_ms(), &failed))
                rpc_reply(call, buf_slice(&failed));
        else
                reply_refuse(call, 409, SLICE_LIT("no such shape"), 0);
        buf_fini(&failed);
}

static int read_shape(struct fetch *f, const struct msg_fetch *m, struct shapelog_read *out,
                      struct buf *bytes)
{
        struct store_txn t;
        struct shape_record_head head;
        uint64_t id;
        struct shapelog_range range = {
                .from_start = m->from_start,
                .after = {m->tx, m->op},
                .limit = {m->limit_tx, m->limit_op},
                .max_bytes = m->max_bytes < FETCH_MAX_BYTES ? m->max_bytes : FETCH_MAX_BYTES,
                .run = (uint32_t)m->run};
        store_begin_read(f->o.store, &t);
        int err = ERR_NOTFOUND;
        bool found = find_shape(&t, m->handle, &id, &head);
        if (found)
                err = shapelog_read(&t, id, &range, out, bytes);
        if (t.err)
                err = t.err;
        store_abort(&t);
        if (found)
                limit_used(f->o.limit, id);
        return err;
}

/* `scratch` is kept between fetches: they neither allocate nor fault in pages. */
static void answer_fetch(struct fetch *f, struct rpc_call *call, const struct msg_fetch *m,
                         struct buf *scratch)
{
        struct shapelog_read r;
        /* read before the store is: what is said to be applied can be fetched */
        lsn_t lsn = writer_applied(f->o.writer);
        scratch->max = ENTRIES_MAX_BYTES;
        buf_reset(scratch);
        int err = read_shape(f, m, &r, scratch);
        if (err == ERR_NOTFOUND) {
                reply_gone(f, call, m->handle);
        } else if (err && err != ERR_RANGE) {
                log_error("fetch_failed", "shape %.*s cannot be read: %s", SLICE_FMT(m->handle),
                          err_text(err));
                distrust(f, err);
                reply_refuse(call, 503, SLICE_LIT("the shape's log cannot be read"), 1);
        } else {
                struct msg_fetch_ok ok = {.type = MSG_fetch_ok,
                                          .end_tx = r.end.tx,
                                          .end_op = r.end.op,
                                          .at_tx = r.at.tx,
                                          .at_op = r.at.op,
                                          .tail_tx = r.tail.tx,
                                          .tail_op = r.tail.op,
                                          .frozen = r.frozen,
                                          .pending = r.pending,
                                          .lsn = lsn.v,
                                          .next_run = r.next_run,
                                          .bytes = buf_slice(scratch)};
                count(METRIC_FETCHES, 1);
                count(METRIC_FETCH_BYTES, (int64_t)scratch->len);
                reply_fetch(call, &ok);
        }
        if (scratch->cap > SCRATCH_KEEP_BYTES)
                buf_fini(scratch);
}

/* ---- tails */

static void put_tail(struct fetch *f, struct store_txn *t, struct slice handle, struct buf *out)
{
        struct shape_record_head head;
        struct shape_tail tail;
        uint64_t id;
        if (!find_shape(t, handle, &id, &head) || !shapelog_get_tail(t, id, &tail)) {
                wr_nil(out);
                return;
        }
        limit_used(f->o.limit, id);
        notice_encode(out,
                      &(struct notice){.kind = tail.snapshot_done ? NOTICE_APPEND : NOTICE_SNAPSHOT,
                                       .handle = handle,
                                       .prev = tail.log.at,
                                       .tail = tail.log.at});
}

static void answer_tails(struct fetch *f, struct rpc_call *call, const struct msg_tails *m)
{
        struct buf tails;
        struct store_txn t;
        struct rd rd;
        lsn_t lsn = writer_applied(f->o.writer);
        buf_init(&tails, ENTRIES_MAX_BYTES);
        rd_init(&rd, m->handles);
        store_begin_read(f->o.store, &t);
        while (!rd_at_end(&rd) && !rd.err)
                put_tail(f, &t, rd_bytes(&rd), &tails);
        int err = t.err;
        store_abort(&t);
        distrust(f, err);
        if (rd.err || err) {
                reply_refuse(call, rd.err ? 400 : 500, SLICE_LIT("the tails cannot be told"), 0);
        } else {
                union msg ok = {.tails_ok = {.type = MSG_tails_ok,
                                             .epoch = f->o.notices_epoch,
                                             .lsn = lsn.v,
                                             .tails = buf_slice(&tails)}};
                reply_send(call, &ok);
        }
        buf_fini(&tails);
}

/* ---- status */

static void answer_status(struct fetch *f, struct rpc_call *call)
{
        struct buf reason;
        buf_init(&reason, REASON_MAX_BYTES);
        enum svc_state state = svc_get_state(&reason);
        union msg ok = {.status_ok = {.type = MSG_status_ok,
                                      .state = (uint64_t)state,
                                      .reason = buf_slice(&reason),
                                      .epoch = f->o.notices_epoch,
                                      .lsn = writer_applied(f->o.writer).v}};
        reply_send(call, &ok);
        buf_fini(&reason);
}

/* ---- */

static bool is_ahead(void *arg)
{
        const struct fetch *f = arg;
        return writer_is_ahead(f->o.writer);
}

static void on_late_call(void *arg, struct rpc_call *call)
{
        struct fetch *f = arg;
        union msg m;
        int err = msg_decode(rpc_call_body(call), &m);
        SLUICE_ASSERT(err == 0); /* it was decoded when it came */
        if (m.type == MSG_fetch)
                answer_fetch(f, call, &m.fetch, &f->late_scratch);
        else
                answer_tails(f, call, &m.tails);
}

static void on_call(void *arg, struct rpc_call *call)
{
        /* one for each of the bus' few threads, which end with the process */
        static _Thread_local struct buf scratch;
        struct fetch *f = arg;
        union msg m;
        if (msg_decode(rpc_call_body(call), &m) != 0) {
                reply_refuse(call, 400, SLICE_LIT("malformed request"), 0);
                return;
        }
        if ((m.type == MSG_fetch || m.type == MSG_tails) && late_keep(f->late, call))
                return;
        if (m.type == MSG_fetch)
                answer_fetch(f, call, &m.fetch, &scratch);
        else if (m.type == MSG_tails)
                answer_tails(f, call, &m.tails);
        else if (m.type == MSG_resolve)
                resolve_find(f->o.resolve, call, &m.resolve);
        else if (m.type == MSG_delete_shape)
                resolve_delete(f->o.resolve, call, &m.delete_shape);
        else if (m.type == MSG_subset)
                subset_submit(f->o.subsets, call);
        else if (m.type == MSG_status)
                answer_status(f, call);
        else
                reply_refuse(call, 400, SLICE_LIT("not a request to a router"), 0);
}

void fetch_settled(struct fetch *f)
{
        if (f)
                late_settled(f->late);
}

int fetch_open(struct fetch **out, const struct fetch_options *o, struct buf *why)
{
        struct fetch *f = mem_new(struct fetch);
        f->o = *o;
        f->late = late_new(&(struct late_options){is_ahead, on_late_call, f});
        int err = rpc_server_open(&f->server, o->url, o->concurrency, REQUEST_MAX_BYTES, on_call, f,
                                  why);
        if (err) {
                late_free(f->late);
                mem_free(f);
                return err;
        }
        *out = f;
        return 0;
}

void fetch_close(struct fetch *f)
{
        if (!f)
                return;
        late_stop(f->late);
        rpc_server_close(f->server);
        late_free(f->late);
        buf_fini(&f->late_scratch);
        mem_free(f);
}
