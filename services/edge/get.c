#include "services/edge/get.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/wire/definition.h"
#include "services/edge/get_subset.h"
#include "services/edge/json.h"
#include "services/edge/sse.h"

static void resolve(struct get *g, enum def_ask ask);

/* ---- permits (§4.8) */

static bool take_permit(struct get *g, enum admission_kind kind)
{
        SLUICE_ASSERT(!g->has_permit);
        g->has_permit = admission_acquire(&g->w->edge->admission, kind);
        g->permit = kind;
        if (g->has_permit)
                edge_count(kind == ADMISSION_INITIAL ? EDGE_ADMITTED_INITIAL
                                                     : EDGE_ADMITTED_EXISTING,
                           1);
        return g->has_permit;
}

static void return_permit(struct get *g)
{
        if (!g->has_permit)
                return;
        g->has_permit = false;
        admission_release(&g->w->edge->admission, g->permit);
        edge_count(g->permit == ADMISSION_INITIAL ? EDGE_ADMITTED_INITIAL : EDGE_ADMITTED_EXISTING,
                   -1);
}

static void refuse(struct get *g, enum admission_kind kind)
{
        struct buf body;
        edge_count(kind == ADMISSION_INITIAL ? EDGE_REJECTED_INITIAL : EDGE_REJECTED_EXISTING, 1);
        buf_init(&body, 512);
        buf_printf(&body,
                   "{\"code\":\"concurrent_request_limit_exceeded\",\"message\":\"Concurrent %s "
                   "request limit exceeded (limit: %lld), please retry\"}",
                   admission_name(kind), (long long)g->w->edge->admission.limit[kind]);
        struct exchange_error e = {.status = 503,
                                   .body = buf_slice(&body),
                                   .retry_after_s = 6 + worker_random(g->w) % 5,
                                   .known_error = true};
        g->state = GET_ANSWERED;
        exchange_error(g->x, &e);
        buf_fini(&body);
}

/* A handle that turns out not to be the shape's makes the request an initial one. */
static bool become_initial(struct get *g)
{
        if (g->permit == ADMISSION_INITIAL)
                return true;
        return_permit(g);
        if (take_permit(g, ADMISSION_INITIAL))
                return true;
        refuse(g, ADMISSION_INITIAL);
        return false;
}

void get_become_existing(struct get *g)
{
        if (!g->has_permit || g->permit == ADMISSION_EXISTING)
                return;
        admission_move(&g->w->edge->admission, ADMISSION_INITIAL, ADMISSION_EXISTING);
        edge_count(EDGE_ADMITTED_INITIAL, -1);
        edge_count(EDGE_ADMITTED_EXISTING, 1);
        g->permit = ADMISSION_EXISTING;
}

/* ---- resolving (§2.2) */

static void wait_until_ready(struct get *g)
{
        g->state = GET_NOT_READY;
        list_push_back(&g->w->shards[g->def->shard].not_ready, &g->not_ready);
        wheel_set(&g->w->wheel, &g->timer, g->arrived_ms + GET_NOT_READY_MS);
        http_park(g->x->r);
}

static bool may_wait_until_ready(const struct get *g)
{
        return upstream_shard_state(g->w->edge->upstream, g->def->shard) != SVC_ACTIVE &&
               g->w->now_ms < g->arrived_ms + GET_NOT_READY_MS && !http_loop_draining(g->w->loop);
}

/* A router that is not ready says so with the time that readiness is waited for; a definition that
 * could not be judged or created has a shorter one. */
static bool says_not_ready(const struct msg_failed *failed)
{
        return failed->status == 503 && failed->retry_after_s == GET_NOT_READY_MS / 1000;
}

static void on_refused(struct get *g, const struct msg_failed *failed)
{
        if (says_not_ready(failed))
                upstream_doubt(g->w->edge->upstream, g->def->shard);
        if (failed->status == 404 && g->handle_unsure) {
                g->handle_unsure = false;
                if (become_initial(g))
                        resolve(g, DEF_CREATE);
        } else if (failed->status == 503 && may_wait_until_ready(g)) {
                wait_until_ready(g);
        } else {
                get_answer_failed(g, failed, false);
        }
}

static void on_resolved(struct get *g)
{
        struct slice handle = shape_handle(g->def->shape);
        bool other = g->handle.len && !slice_eq(g->handle, handle);
        if (other) {
                if (become_initial(g))
                        get_answer_refetch(g, handle);
                return;
        }
        g->handle_unsure = false;
        if (g->turns > 0 && g->handle.len && g->shape && shape_is_gone(g->shape)) {
                /* Its log is gone but it is still the definition's: a 409 must not name the handle
                 * that was asked for. */
                get_answer_refetch(g, SLICE_EMPTY);
                return;
        }
        shape_unref(g->shape);
        g->shape = shape_ref(g->def->shape);
        shape_use(g->shape);
        if (g->def->started || g->handle.len)
                get_become_existing(g);
        get_read(g);
}

static void on_resolve_reply(void *arg, int err, const struct upstream_reply *reply)
{
        struct get *g = arg;
        CHECK_OBJ(g, GET_MAGIC);
        SLUICE_ASSERT(g->state == GET_RESOLVING);
        if (err == 0 && g->def->shape)
                on_resolved(g);
        else if (err == ERR_DENIED)
                on_refused(g, &reply->msg.failed);
        else
                get_answer_not_ready(g, 5);
}

static void resolve(struct get *g, enum def_ask ask)
{
        if (def_is_fresh(g->def)) {
                on_resolved(g);
                return;
        }
        g->state = GET_RESOLVING;
        def_resolve(g->def, ask, &g->resolving, on_resolve_reply, g);
}

void get_resolve(struct get *g)
{
        resolve(g, g->handle_unsure ? DEF_FIND : DEF_CREATE);
}

void get_resolve_again(struct get *g)
{
        resolve(g, DEF_CREATE);
}

void get_shard_ready(struct worker *w, uint32_t shard)
{
        struct list ready, *node;
        list_init(&ready);
        while ((node = list_pop_front(&w->shards[shard].not_ready)))
                list_push_back(&ready, node);
        while ((node = list_pop_front(&ready))) {
                struct get *g = LIST_OBJ(node, struct get, not_ready);
                CHECK_OBJ(g, GET_MAGIC);
                get_stop_waiting(g);
                get_resolve(g);
        }
}

/* ---- arrival */

static void on_end(void *arg)
{
        struct get *g = arg;
        CHECK_OBJ(g, GET_MAGIC);
        if (g->state != GET_ANSWERED)
                edge_count(EDGE_REQUESTS_LEFT, 1);
        get_stop_waiting(g);
        chunk_detach(&g->reader);
        list_remove(&g->resolving.node);
        get_subset_forget(g);
        if (g->stream)
                sse_free(g);
        blob_unref(g->body);
        shape_unref(g->shape);
        def_unref(g->def);
        return_permit(g);
        g->magic = 0;
}

static struct get *new_get(struct exchange *x)
{
        struct get *g = http_alloc(x->r, sizeof(*g));
        g->magic = GET_MAGIC;
        g->state = GET_ADMITTED;
        g->x = x;
        g->w = x->w;
        g->arrived_ms = x->w->now_ms;
        g->handle = g->cursor = SLICE_EMPTY;
        def_wait_init(&g->resolving);
        chunk_reader_init(&g->reader);
        waiter_init(&g->waiter);
        wheel_entry_init(&g->timer);
        list_init(&g->not_ready);
        http_on_end(x->r, on_end, g);
        return g;
}

static struct slice handle_of(const struct value *query)
{
        const struct value *handle = value_find(query, SLICE_LIT("handle"));
        return handle && handle->type == VALUE_STRING ? handle->text : SLICE_EMPTY;
}

/* Before anything costs: by the handle alone, without a look at the rest. */
static bool admit(struct get *g, struct slice handle)
{
        bool given = handle.len > 0;
        g->handle_unsure = given && !shapes_find(&g->w->shapes, handle);
        enum admission_kind kind = given ? ADMISSION_EXISTING : ADMISSION_INITIAL;
        if (take_permit(g, kind))
                return true;
        refuse(g, kind);
        return false;
}

static void refuse_body(struct exchange *x, int status, const char *error, struct slice details)
{
        struct buf body;
        buf_init(&body, 4096);
        buf_printf(&body, "{\"error\":\"%s\"", error);
        if (details.len) {
                buf_puts(&body, ",\"details\":");
                buf_put_json_string(&body, details);
        }
        buf_putc(&body, '}');
        exchange_plain(x, status, HEAD_JSON, buf_slice(&body));
        buf_fini(&body);
}

/* Nothing a client sends is ever decompressed (I7). */
static bool is_encoded(const struct exchange *x)
{
        struct slice coding;
        size_t cursor = 0;
        while (http_header(x->r, SLICE_LIT("content-encoding"), &cursor, &coding))
                if (!slice_eq(coding, coding_name(CODING_IDENTITY)))
                        return true;
        return false;
}

/* §1.6. False: answered. */
static bool read_body(struct exchange *x, struct value **out)
{
        struct slice body = http_body(x->r);
        struct buf why;
        *out = NULL;
        if (x->method != METHOD_POST || body.len == 0)
                return true;
        if (body.len > GET_MAX_BODY) {
                refuse_body(x, 413, "Request body too large", SLICE_EMPTY);
                return false;
        }
        if (is_encoded(x)) {
                refuse_body(x, 415, "A request body must not be encoded", SLICE_EMPTY);
                return false;
        }
        buf_init(&why, 512);
        int err = json_parse(&x->w->arena, body, out, &why);
        if (err != 0)
                refuse_body(x, 400, "Invalid JSON in request body", buf_slice(&why));
        else if ((*out)->type != VALUE_MAP)
                refuse_body(x, 400, "Request body must be a JSON object", SLICE_EMPTY);
        bool fine = err == 0 && (*out)->type == VALUE_MAP;
        buf_fini(&why);
        return fine;
}

/* False: answered. */
static bool validate(struct get *g, const struct value *query, struct params *p)
{
        struct buf error;
        buf_init(&error, 256 * 1024);
        int err = params_parse(&g->w->arena, PARAMS_GET, query, p, &error);
        if (err != 0) {
                struct exchange_error e = {.status = 400, .body = buf_slice(&error)};
                exchange_error(g->x, &e);
        }
        buf_fini(&error);
        return err == 0;
}

static void keep_params(struct get *g, const struct params *p)
{
        g->offset = p->offset;
        g->handle = p->handle.len ? http_dup(g->x->r, p->handle) : SLICE_EMPTY;
        g->cursor = p->cursor.len ? http_dup(g->x->r, p->cursor) : SLICE_EMPTY;
        g->live = p->live;
        g->sse = p->live_sse;
        g->handle_unsure &= p->handle.len > 0;
}

/* False: answered. */
static bool define(struct get *g, const struct params *p)
{
        struct buf canonical;
        buf_init(&canonical, DEFINITION_MAX_BYTES);
        definition_encode(&canonical, &p->def);
        bool fits = buf_status(&canonical) == 0;
        if (fits) {
                g->def = def_get(g->w, buf_slice(&canonical));
        } else {
                struct exchange_error e = {
                        .status = 400,
                        .body = SLICE_LIT("{\"message\":\"Invalid request\",\"errors\":{\"where\":["
                                          "\"definition is bigger than maximum size\"]}}")};
                exchange_error(g->x, &e);
        }
        buf_fini(&canonical);
        return fits;
}

/* False: answered. */
static bool prepare(struct get *g, struct value *query)
{
        struct value *body;
        struct params p;
        if (!read_body(g->x, &body))
                return false;
        params_merge(&g->w->arena, query, body);
        if (!validate(g, query, &p))
                return false;
        keep_params(g, &p);
        if (p.is_subset && !get_subset_keep(g, &p.subset)) {
                refuse_body(g->x, 413, "Request body too large", SLICE_EMPTY);
                return false;
        }
        return define(g, &p);
}

/* It is valid, admitted and has its definition. */
static void go(struct get *g)
{
        g->state = GET_ADMITTED;
        /* -1 and now drop the handle, but not the permit it got: without one the request is an
         * initial one. */
        if (g->handle.len == 0 && !become_initial(g))
                return;
        if (g->subset)
                get_subset_start(g);
        else
                get_resolve(g);
}

/* A handle that was given and dropped (-1, now) is not in the meaning, but counts when the request
 * is admitted. */
static void remember(struct get *g, const struct value *query)
{
        struct memo_meaning m = {.def = g->def,
                                 .offset = g->offset,
                                 .handle = g->handle,
                                 .cursor = g->cursor,
                                 .live = g->live,
                                 .sse = g->sse};
        if (g->x->method != METHOD_POST && !g->subset && handle_of(query).len == g->handle.len)
                memo_put(&g->w->memo, http_target(g->x->r), &m);
}

void get_start(struct exchange *x, struct value *query)
{
        struct get *g = new_get(x);
        if (!admit(g, handle_of(query)))
                return;
        /* Answering may end the request before it returns, so its state is set first. */
        g->state = GET_ANSWERED;
        if (!prepare(g, query))
                return;
        remember(g, query);
        go(g);
}

void get_start_again(struct exchange *x, const struct memo_meaning *m)
{
        struct get *g = new_get(x);
        if (!admit(g, m->handle))
                return;
        g->offset = m->offset;
        g->handle = m->handle.len ? http_dup(x->r, m->handle) : SLICE_EMPTY;
        g->cursor = m->cursor.len ? http_dup(x->r, m->cursor) : SLICE_EMPTY;
        g->live = m->live;
        g->sse = m->sse;
        g->def = def_ref(m->def);
        go(g);
}
