#include "services/edge/exchange.h"

#include <stdio.h>

#include "common/base/assert.h"

static enum method method_of(struct slice name)
{
        static const struct {
                const char *name;
                enum method method;
        } methods[] = {{"GET", METHOD_GET},
                       {"HEAD", METHOD_HEAD},
                       {"POST", METHOD_POST},
                       {"OPTIONS", METHOD_OPTIONS},
                       {"DELETE", METHOD_DELETE}};
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
                if (slice_eq(name, slice_cstr(methods[i].name)))
                        return methods[i].method;
        return METHOD_OTHER;
}

/* The Origin header if there is exactly one. */
static struct slice only_origin(const struct http_request *r)
{
        struct slice first, second;
        size_t cursor = 0;
        if (!http_header(r, SLICE_LIT("origin"), &cursor, &first) ||
            http_header(r, SLICE_LIT("origin"), &cursor, &second))
                return SLICE_EMPTY;
        return first;
}

struct exchange *exchange_new(struct worker *w, struct http_request *r)
{
        struct exchange *x = http_alloc(r, sizeof(*x));
        struct slice incoming = SLICE_EMPTY;
        size_t cursor = 0;
        x->w = w;
        x->r = r;
        x->method = method_of(http_method(r));
        uint64_t fresh[2] = {worker_random(w), worker_random(w)};
        http_header(r, SLICE_LIT("x-request-id"), &cursor, &incoming);
        x->base.request_id = head_request_id(incoming, fresh, x->id_room);
        x->base.origin = only_origin(r);
        return x;
}

static void count_status(int status)
{
        if (status < 300)
                edge_count(EDGE_REQUESTS_2XX, 1);
        else if (status < 400)
                edge_count(EDGE_REQUESTS_3XX, 1);
        else if (status < 500)
                edge_count(EDGE_REQUESTS_4XX, 1);
        else
                edge_count(EDGE_REQUESTS_5XX, 1);
}

void exchange_answer(struct exchange *x, const struct http_head *h, const struct slice *parts,
                     size_t n_parts)
{
        count_status(h->status);
        http_answer(x->r, h, parts, n_parts);
}

void exchange_start(struct exchange *x, const struct http_head *h, void (*proceed)(void *arg),
                    void *arg)
{
        count_status(h->status);
        http_start(x->r, h, proceed, arg);
}

void exchange_error(struct exchange *x, const struct exchange_error *e)
{
        struct http_head h;
        char retry[24];
        bool get = x->method == METHOD_GET || x->method == METHOD_HEAD;
        head_begin(&h, e->status, &x->base);
        http_head_add(&h, HTTP_CONTENT_TYPE, HEAD_JSON);
        http_head_add(&h, HTTP_CACHE_CONTROL, get ? HEAD_NO_STORE : HEAD_NO_CACHE);
        if (get)
                http_head_add(&h, HTTP_SURROGATE_CONTROL, HEAD_NO_STORE);
        if (e->known_error)
                http_head_add(&h, HTTP_ELECTRIC_KNOWN_ERROR, SLICE_LIT("true"));
        if (e->retry_after_s) {
                int n = snprintf(retry, sizeof(retry), "%llu",
                                 (unsigned long long)e->retry_after_s);
                http_head_add(&h, HTTP_RETRY_AFTER, slice_of(retry, (size_t)n));
        }
        struct slice body = http_dup(x->r, e->body);
        exchange_answer(x, &h, &body, 1);
}

void exchange_message(struct exchange *x, int status, struct slice text, uint64_t retry_after_s)
{
        struct buf body;
        buf_init(&body, 64 * 1024);
        buf_puts(&body, "{\"message\":");
        buf_put_json_string(&body, text);
        buf_putc(&body, '}');
        struct exchange_error e = {
                .status = status, .body = buf_slice(&body), .retry_after_s = retry_after_s};
        exchange_error(x, &e);
        buf_fini(&body);
}

void exchange_not_ready(struct exchange *x, uint32_t shard, uint64_t retry_after_s)
{
        exchange_message(x, 503, slice_cstr(upstream_shard_wait(x->w->edge->upstream, shard)),
                         retry_after_s);
}

void exchange_plain(struct exchange *x, int status, struct slice content_type, struct slice body)
{
        struct http_head h;
        head_begin(&h, status, &x->base);
        if (content_type.len)
                http_head_add(&h, HTTP_CONTENT_TYPE, content_type);
        http_head_add(&h, HTTP_CACHE_CONTROL, HEAD_UNCACHED);
        struct slice copy = http_dup(x->r, body);
        exchange_answer(x, &h, &copy, 1);
}
