#include "services/edge/get_subset.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/wr.h"

/* A router answers within 40 s, see SUBSET_DEADLINE_MS there. */
enum { SUBSET_TIMEOUT_MS = 45000 };

/* Outlives the request when its client leaves. */
struct subset_question {
        struct get *g; /* NULL: the client has left */
        bool check;
};

bool get_subset_keep(struct get *g, const struct subset_params *p)
{
        struct buf params;
        buf_init(&params, GET_MAX_BODY);
        for (uint32_t i = 0; i < p->n_params; i++)
                wr_str(&params, p->params[i]);
        bool fits = buf_status(&params) == 0;
        struct get_subset *s = http_alloc(g->x->r, sizeof(*s));
        *s = (struct get_subset){.where = http_dup(g->x->r, p->where),
                                 .order_by = http_dup(g->x->r, p->order_by),
                                 .params = http_dup(g->x->r, buf_slice(&params)),
                                 .has_limit = p->has_limit,
                                 .was_live = g->live,
                                 .limit = p->limit,
                                 .skip = p->has_offset ? p->offset : 0};
        buf_fini(&params);
        g->subset = s;
        g->live = g->sse = false; /* answered at once (protocol §13.1 item 23) */
        return fits;
}

/* ---- replies */

static void on_checked(struct get *g, const struct upstream_reply *reply)
{
        if (reply->err == 0 && reply->msg.type == MSG_failed && reply->msg.failed.status == 400)
                get_answer_failed(g, &reply->msg.failed, false);
        else
                get_resolve(g); /* which meets the same difficulties and knows what to do */
}

static void on_read(struct get *g, const struct upstream_reply *reply)
{
        if (reply->err == 0 && reply->msg.type == MSG_failed) {
                get_failed(g, &reply->msg.failed);
        } else if (reply->err != 0 || reply->msg.type != MSG_subset_ok) {
                edge_count(EDGE_CALLS_FAILED, 1);
                get_answer_not_ready(g, 5);
        } else if (reply->msg.subset_ok.pending) {
                get_pending(g);
        } else {
                const struct msg_subset_ok *m = &reply->msg.subset_ok;
                g->body = blob_ref(reply->blob);
                get_answer_subset(g, (struct log_offset){m->end_tx, m->end_op}, m->body);
        }
}

static void on_reply(void *state, void *arg, const struct upstream_reply *reply)
{
        struct subset_question *q = arg;
        struct get *g = q->g;
        bool check = q->check;
        SLUICE_ASSERT(!g || g->subset->question == q);
        mem_free(q);
        if (!g)
                return;
        CHECK_OBJ(g, GET_MAGIC);
        SLUICE_ASSERT(g->state == GET_QUERYING);
        g->subset->question = NULL;
        if (check)
                on_checked(g, reply);
        else
                on_read(g, reply);
        worker_run(state);
}

/* ---- questions */

static void ask(struct get *g, struct msg_subset *m)
{
        const struct get_subset *s = g->subset;
        struct subset_question *q = mem_new(struct subset_question);
        *q = (struct subset_question){.g = g, .check = m->handle.len == 0};
        g->subset->question = q;
        g->state = GET_QUERYING;
        m->type = MSG_subset;
        m->definition = g->def->canonical;
        m->where = s->where;
        m->params = s->params;
        m->order_by = s->order_by;
        m->has_limit = s->has_limit;
        m->limit = s->limit;
        m->skip = s->skip;
        union msg any = {.subset = *m};
        http_park(g->x->r);
        upstream_call_within(g->w->edge->upstream, g->w->index, g->def->shard, &any,
                             SUBSET_TIMEOUT_MS, on_reply, q);
}

void get_subset_start(struct get *g)
{
        bool known = def_is_fresh(g->def) &&
                     (g->handle.len == 0 || slice_eq(g->handle, shape_handle(g->def->shape)));
        if (known) {
                get_resolve(g);
                return;
        }
        struct msg_subset m = {.handle = SLICE_EMPTY};
        ask(g, &m);
}

void get_subset_read(struct get *g, struct log_offset end)
{
        bool has_after = g->offset.kind == OFFSET_AT;
        struct msg_subset m = {.handle = shape_handle(g->shape),
                               .has_after = has_after,
                               .after_tx = has_after ? g->offset.at.tx : 0,
                               .after_op = has_after ? g->offset.at.op : 0,
                               .end_tx = end.tx,
                               .end_op = end.op};
        chunk_detach(&g->reader);
        ask(g, &m);
}

void get_subset_forget(struct get *g)
{
        if (g->subset && g->subset->question)
                g->subset->question->g = NULL;
}
