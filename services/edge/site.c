#include "services/edge/site.h"

#include "common/base/assert.h"
#include "services/edge/demo.h"
#include "services/edge/delete.h"
#include "services/edge/exchange.h"
#include "services/edge/get.h"
#include "services/edge/path.h"
#include "services/edge/query.h"

enum { BUSY_RETRY_S = 5 };

static void not_found(struct exchange *x)
{
        exchange_plain(x, 404, SLICE_EMPTY, SLICE_LIT("Not found"));
}

static bool is_get(const struct exchange *x)
{
        return x->method == METHOD_GET || x->method == METHOD_HEAD;
}

/* §9.1 */
static void health(struct exchange *x)
{
        static const struct {
                int status;
                struct slice body;
        } answers[] = {[SVC_STARTING] = {202, {"{\"status\":\"starting\"}", 21}},
                       [SVC_WAITING] = {202, {"{\"status\":\"waiting\"}", 20}},
                       [SVC_ACTIVE] = {200, {"{\"status\":\"active\"}", 19}}};
        enum svc_state state = upstream_state(x->w->edge->upstream);
        struct http_head h;
        head_begin(&h, answers[state].status, &x->base);
        http_head_add(&h, HTTP_CONTENT_TYPE, HEAD_JSON);
        http_head_add(&h, HTTP_CACHE_CONTROL, HEAD_HEALTH);
        exchange_answer(x, &h, &answers[state].body, 1);
}

/* §1.3 */
static void preflight(struct exchange *x)
{
        struct http_head h;
        struct slice wanted, another;
        size_t cursor = 0;
        head_begin(&h, 204, &x->base);
        http_head_add(&h, HTTP_ACCESS_CONTROL_MAX_AGE, SLICE_LIT("86400"));
        struct slice name = SLICE_LIT("access-control-request-headers");
        if (http_header(x->r, name, &cursor, &wanted) && head_allows_header(wanted) &&
            !http_header(x->r, name, &cursor, &another))
                http_head_add(&h, HTTP_ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        exchange_answer(x, &h, NULL, 0);
}

/* ---- the secret (§1.2) */

static bool has_secret(const struct value *query, const char *name, const struct secret *secret)
{
        const struct value *v = value_find(query, slice_cstr(name));
        return v && v->type == VALUE_STRING && secret_is(secret, v->text);
}

static bool is_authorised(const struct exchange *x, const struct value *query)
{
        const struct secret *secret = &x->w->edge->secret;
        return !secret->wanted || has_secret(query, "secret", secret) ||
               has_secret(query, "api_secret", secret);
}

static void unauthorised(struct exchange *x)
{
        x->base.cors = false;
        exchange_plain(x, 401, SLICE_EMPTY,
                       SLICE_LIT("{\"message\":\"Unauthorized - Invalid API secret\"}"));
}

/* ---- routes */

static void shape_route(struct exchange *x, const struct path *path)
{
        struct value *query;
        if (x->method == METHOD_OTHER) { /* not a route (protocol §1.1) */
                not_found(x);
                return;
        }
        x->base.shape_route = true;
        if (x->method == METHOD_OPTIONS) {
                preflight(x);
                return;
        }
        if (query_parse(&x->w->arena, path->query, &query) != 0) {
                exchange_plain(x, 400, HEAD_JSON,
                               SLICE_LIT("{\"error\":\"Invalid query string\"}"));
                return;
        }
        if (!is_authorised(x, query)) {
                unauthorised(x);
                return;
        }
        switch (x->method) {
        case METHOD_GET:
        case METHOD_HEAD:
        case METHOD_POST:
                get_start(x, query);
                return;
        case METHOD_DELETE:
                delete_start(x, query);
                return;
        case METHOD_OPTIONS:
        case METHOD_OTHER:
                not_found(x);
                return;
        }
}

static void dispatch(struct exchange *x, const struct path *path)
{
        switch (path->route) {
        case ROUTE_SHAPE:
                shape_route(x, path);
                return;
        case ROUTE_HEALTH:
                if (is_get(x))
                        health(x);
                else
                        not_found(x);
                return;
        case ROUTE_ROOT:
                if (is_get(x))
                        exchange_plain(x, 200, SLICE_EMPTY, SLICE_EMPTY);
                else
                        not_found(x);
                return;
        case ROUTE_DEMO:
                if (is_get(x))
                        demo_answer(x, path);
                else
                        not_found(x);
                return;
        case ROUTE_NONE:
                not_found(x);
                return;
        }
}

static void refuse(struct exchange *x, int status)
{
        if (status == 503)
                exchange_message(x, status, SLICE_LIT("Too many large requests"), BUSY_RETRY_S);
        else
                exchange_plain(x, status, SLICE_EMPTY, SLICE_EMPTY);
}

void site_on_request(struct worker *w, struct http_request *r)
{
        CHECK_OBJ(w, WORKER_MAGIC);
        struct path path;
        arena_reset(&w->arena);
        worker_now(w);
        struct exchange *x = exchange_new(w, r);
        x->base.cors = true;
        if (http_refusal(r)) {
                http_close_after(r);
                refuse(x, http_refusal(r));
                return;
        }
        const struct memo_meaning *known = is_get(x) ? memo_find(&w->memo, http_target(r)) : NULL;
        if (known) {
                x->base.shape_route = true;
                get_start_again(x, known);
                return;
        }
        path_resolve(&w->arena, http_target(r), &path);
        dispatch(x, &path);
}

struct slice site_on_refused(struct worker *w, int status, struct http_head *head)
{
        uint64_t fresh[2] = {worker_random(w), worker_random(w)};
        struct head_base base = {.request_id = head_request_id(SLICE_EMPTY, fresh, w->refused_id),
                                 .cors = true,
                                 .shape_route = true,
                                 .origin = SLICE_EMPTY};
        edge_count(EDGE_REQUESTS_4XX, 1);
        head_begin(head, status, &base);
        http_head_add(head, HTTP_CONTENT_TYPE, HEAD_JSON);
        http_head_add(head, HTTP_CACHE_CONTROL, HEAD_UNCACHED);
        return status == 413 ? SLICE_LIT("{\"error\":\"Request body too large\"}")
                             : SLICE_LIT("{\"error\":\"Failed to read request body\"}");
}
