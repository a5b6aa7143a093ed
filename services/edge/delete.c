#include "services/edge/delete.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/definition.h"
#include "services/edge/params.h"

enum { DELETE_MAGIC = 0xde1e0001 };

/* On the heap: the router's answer may come after the client has left. */
struct deletion {
        uint32_t magic;
        struct exchange *x; /* NULL: the client has left */
        uint32_t shard;
};

/* ---- telling the loops, so that the next request on any of them finds a new shape */

struct gone_post {
        struct http_post post; /* first */
        char handle[SHAPE_MAX_HANDLE];
        uint32_t handle_len;
};

static void forget(struct worker *w, struct slice handle)
{
        struct shape *s = shapes_find(&w->shapes, handle);
        if (s)
                shape_gone(s, SLICE_EMPTY, &w->woken);
        worker_run(w);
}

static void on_gone(void *state, struct http_post *post)
{
        struct gone_post *g = (struct gone_post *)post;
        forget(state, slice_of(g->handle, g->handle_len));
        mem_free(g);
}

static void tell_loops(struct worker *w, struct slice handle)
{
        if (handle.len == 0 || handle.len > SHAPE_MAX_HANDLE)
                return;
        for (uint32_t i = 0; i < http_server_loops(w->edge->http); i++) {
                if (i == w->index)
                        continue;
                struct gone_post *g = mem_new(struct gone_post);
                g->post.cb = on_gone;
                memcpy(g->handle, handle.p, handle.len);
                g->handle_len = (uint32_t)handle.len;
                http_loop_post(http_server_loop(w->edge->http, i), &g->post);
        }
        forget(w, handle);
}

/* ---- answers */

static void accepted(struct exchange *x)
{
        struct http_head h;
        head_begin(&h, 202, &x->base);
        http_head_add(&h, HTTP_CONTENT_TYPE, HEAD_JSON);
        http_head_add(&h, HTTP_CACHE_CONTROL, HEAD_NO_CACHE);
        http_head_add(&h, HTTP_ELECTRIC_HAS_DATA, SLICE_LIT("true"));
        exchange_answer(x, &h, NULL, 0);
}

static void not_found(struct exchange *x)
{
        exchange_message(x, 404, SLICE_LIT("No existing shape found"), 0);
}

static void refused(struct exchange *x, const struct msg_failed *failed)
{
        bool sane = failed->status >= 400 && failed->status <= 599;
        if (failed->status == 404) {
                not_found(x);
                return;
        }
        struct exchange_error e = {.status = sane ? (int)failed->status : 500,
                                   .body = failed->body,
                                   .retry_after_s = failed->retry_after_s};
        if (e.body.len == 0)
                e.body = SLICE_LIT("{\"error\":\"Internal server error\"}");
        exchange_error(x, &e);
}

static void on_end(void *arg)
{
        struct deletion *d = arg;
        CHECK_OBJ(d, DELETE_MAGIC);
        d->x = NULL;
}

static void on_reply(void *state, void *arg, const struct upstream_reply *reply)
{
        struct deletion *d = arg;
        CHECK_OBJ(d, DELETE_MAGIC);
        struct exchange *x = d->x;
        uint32_t shard = d->shard;
        bool done = reply->err == 0 && reply->msg.type == MSG_delete_ok;
        if (done)
                tell_loops(state, reply->msg.delete_ok.handle);
        if (x)
                http_on_end(x->r, NULL, NULL);
        mem_free(d);
        if (!x)
                return;
        if (done)
                accepted(x);
        else if (reply->err == 0 && reply->msg.type == MSG_failed)
                refused(x, &reply->msg.failed);
        else
                exchange_not_ready(x, shard, 5);
}

/* ---- asking */

/* A handle is `<shape id>-<time>`, and the id's low byte says which router made it
 * (docs/architecture.md). */
static bool shard_of_handle(const struct worker *w, struct slice handle, uint32_t *shard)
{
        const char *dash = memchr(handle.p, '-', handle.len);
        uint64_t id;
        if (!dash || slice_parse_u64(slice_of(handle.p, (size_t)(dash - handle.p)), &id) != 0)
                return false;
        *shard = (uint32_t)(id & 0xff);
        return *shard < w->n_shards;
}

static void ask(struct exchange *x, uint32_t shard, struct slice definition, struct slice handle)
{
        struct deletion *d = mem_new(struct deletion);
        d->magic = DELETE_MAGIC;
        d->x = x;
        d->shard = shard;
        http_on_end(x->r, on_end, d);
        union msg m = {.delete_shape = {.type = MSG_delete_shape,
                                        .definition = definition,
                                        .handle = handle}};
        upstream_call(x->w->edge->upstream, x->w->index, shard, &m, on_reply, d);
}

static void ask_by_definition(struct exchange *x, const struct params *p)
{
        struct buf canonical;
        buf_init(&canonical, DEFINITION_MAX_BYTES);
        definition_encode(&canonical, &p->def);
        if (buf_status(&canonical) == 0) {
                uint32_t shard =
                        definition_shard(definition_hash(buf_slice(&canonical)), x->w->n_shards);
                ask(x, shard, buf_slice(&canonical), p->handle);
        } else {
                not_found(x);
        }
        buf_fini(&canonical);
}

void delete_start(struct exchange *x, struct value *query)
{
        struct params p;
        struct buf error;
        uint32_t shard;
        if (!x->w->edge->conf->allow_delete) {
                exchange_message(x, 405, SLICE_LIT("DELETE not allowed"), 0);
                return;
        }
        buf_init(&error, 256 * 1024);
        params_merge(&x->w->arena, query, NULL);
        if (params_parse(&x->w->arena, PARAMS_DELETE, query, &p, &error) != 0) {
                struct exchange_error e = {.status = 400, .body = buf_slice(&error)};
                exchange_error(x, &e);
        } else if (p.has_table) {
                ask_by_definition(x, &p);
        } else if (shard_of_handle(x->w, p.handle, &shard)) {
                ask(x, shard, SLICE_EMPTY, p.handle);
        } else {
                not_found(x);
        }
        buf_fini(&error);
}
