#include "services/edge/notices.h"

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"
#include "common/obs/log.h"
#include "common/wire/notice.h"
#include "common/wire/wr.h"
#include "services/edge/def.h"

enum { TAILS_REQUEST_BYTES = 256 * 1024 };

/* ---- frames */

static void on_notice(struct worker *w, struct worker_shard *shard, const struct notice *n)
{
        struct shape *s = shapes_find(&w->shapes, n->handle);
        edge_count(EDGE_NOTICES, 1);
        if (n->kind == NOTICE_GONE || n->kind == NOTICE_SCHEMA)
                shard->voided++;
        if (!s)
                return;
        shape_on_notice(s, n, shard->flow.generation, &w->woken);
        if (n->kind == NOTICE_SCHEMA)
                defs_forget_handle(w, n->handle); /* which may have the last reference to it */
}

static int apply_frame(struct worker *w, struct worker_shard *shard, struct slice body)
{
        struct notice_reader reader;
        struct notice n;
        int err = notice_reader_start(&reader, body);
        if (err != 0)
                return err;
        while (notice_reader_next(&reader, &n))
                on_notice(w, shard, &n);
        if (reader.rd.err == 0)
                flow_saw_lsn(&shard->flow, reader.lsn);
        return reader.rd.err;
}

void notices_on_frame(struct worker *w, uint32_t index, struct slice bytes)
{
        struct worker_shard *shard = &w->shards[index];
        struct bus_frame frame;
        int err = bus_frame_parse(bytes, &frame);
        if (err == 0) {
                switch (flow_frame(&shard->flow, frame.epoch, frame.seq, worker_now(w))) {
                case FLOW_DROP:
                        return;
                case FLOW_BROKEN:
                        edge_count(EDGE_GAPS, 1);
                        notices_doubt(w, index);
                        upstream_ask(w->edge->upstream, index); /* it may be another process */
                        break;
                case FLOW_TAKE:
                        break;
                }
                err = apply_frame(w, shard, frame.body);
        }
        if (err != 0) {
                log_error("notice_malformed", "router %u sent a notice that cannot be decoded: %s",
                          index, err_text(err));
                notices_doubt(w, index);
        }
        worker_run(w);
}

/* ---- tails */

struct question {
        uint32_t shard;
        uint64_t generation;
        uint32_t n;
        struct shape *shapes[WORKER_TAILS_MAX]; /* references */
};

/* One tail, or nil: the shape is no more. */
static void take_tail(struct worker *w, struct question *q, struct shape *s, struct rd *rd)
{
        struct notice n;
        if (rd_nil(rd)) {
                if (!shape_is_gone(s))
                        shape_gone(s, SLICE_EMPTY, &w->woken);
        } else if (notice_read(rd, &n) && !shape_is_gone(s)) {
                /* before the snapshot there is no tail to read from: offset=now would be answered
                 * with a place that changes are not certain to follow */
                if (n.kind != NOTICE_SNAPSHOT)
                        shape_learn_tail(s, n.tail, q->generation, &w->woken);
                shape_doubt(s, WAIT_SNAPSHOT, &w->woken);
        }
}

static void on_tails(void *state, void *arg, const struct upstream_reply *reply)
{
        struct worker *w = state;
        struct question *q = arg;
        struct rd rd;
        w->shards[q->shard].questions--;
        bool good = reply->err == 0 && reply->msg.type == MSG_tails_ok;
        if (good)
                rd_init(&rd, reply->msg.tails_ok.tails);
        for (uint32_t i = 0; good && i < q->n && !rd.err; i++)
                take_tail(w, q, q->shapes[i], &rd);
        if (reply->err != 0)
                edge_count(EDGE_CALLS_FAILED, 1);
        for (uint32_t i = 0; i < q->n; i++)
                shape_unref(q->shapes[i]);
        mem_free(q);
        worker_run(w);
}

static void send_question(struct worker *w, struct question *q)
{
        struct buf handles;
        buf_init(&handles, TAILS_REQUEST_BYTES);
        for (uint32_t i = 0; i < q->n; i++)
                wr_str(&handles, shape_handle(q->shapes[i]));
        union msg m = {.tails = {.type = MSG_tails, .handles = buf_slice(&handles)}};
        w->shards[q->shard].questions++;
        upstream_call(w->edge->upstream, w->index, q->shard, &m, on_tails, q);
        buf_fini(&handles);
}

static void ask_tails(struct worker *w, uint32_t shard)
{
        struct question *q = NULL;
        struct shape *s;
        struct list todo;
        list_init(&todo);
        list_take(&todo, &w->shapes.watched);
        while ((s = shapes_next_watched(&w->shapes, &todo, shard))) {
                if (!q) {
                        q = mem_new(struct question);
                        q->shard = shard;
                        q->generation = worker_generation(w, shard);
                }
                q->shapes[q->n++] = shape_ref(s);
                if (q->n == WORKER_TAILS_MAX) {
                        send_question(w, q);
                        q = NULL;
                }
        }
        if (q)
                send_question(w, q);
}

void notices_doubt(struct worker *w, uint32_t shard)
{
        w->shards[shard].doubt = true;
}

static void tick_shard(struct worker *w, uint32_t index)
{
        struct worker_shard *shard = &w->shards[index];
        if (flow_check_silence(&shard->flow, w->now_ms)) {
                edge_count(EDGE_GAPS, 1);
                shard->doubt = true;
        }
        if (w->now_ms >= shard->next_sweep_ms)
                shard->doubt = true;
        if (!shard->doubt || shard->questions > 0)
                return;
        shard->doubt = false;
        shard->next_sweep_ms = w->now_ms + WORKER_SWEEP_MS;
        ask_tails(w, index);
}

/* Of the routers that have been heard of, the one that is furthest behind. */
static void show_flow(const struct worker *w)
{
        uint64_t silent_ms = 0, seen = UINT64_MAX;
        for (uint32_t i = 0; i < w->n_shards; i++) {
                const struct flow *f = &w->shards[i].flow;
                uint64_t ms = f->last_frame_ms ? w->now_ms - f->last_frame_ms : 0;
                silent_ms = ms > silent_ms ? ms : silent_ms;
                seen = f->lsn.v < seen ? f->lsn.v : seen;
        }
        metric_set(&edge_metrics[EDGE_SILENCE], (int64_t)silent_ms);
        metric_set(&edge_metrics[EDGE_SEEN_LSN], w->n_shards ? (int64_t)seen : 0);
}

void notices_tick(struct worker *w)
{
        for (uint32_t i = 0; i < w->n_shards; i++)
                tick_shard(w, i);
        if (w->index == 0) /* every loop hears the same */
                show_flow(w);
}
