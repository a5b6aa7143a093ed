/* How far clients are behind with their answers: the last stage of a change's way. A piece of an
 * answer counts from when h2o is given it until the socket has taken all of it, which for a client
 * that keeps up is at once. */
#include "services/edge/http_priv.h"

void http_sending(struct http_request *r, size_t bytes)
{
        struct http_loop *loop = r->loop;
        r->unsent_bytes = bytes;
        r->unsent_since_ms = h2o_now(loop->ctx.loop);
        loop->unsent_bytes += bytes;
        list_push_back(&loop->unsent, &r->unsent);
}

void http_sent(struct http_request *r)
{
        r->loop->unsent_bytes -= r->unsent_bytes;
        r->unsent_bytes = 0;
        list_remove(&r->unsent);
}

void http_show_unsent(struct http_loop *loop)
{
        uint64_t age_ms = 0, now_ms = h2o_now(loop->ctx.loop);
        if (!list_empty(&loop->unsent)) {
                const struct http_request *oldest =
                        LIST_OBJ(loop->unsent.next, struct http_request, unsent);
                if (now_ms > oldest->unsent_since_ms)
                        age_ms = now_ms - oldest->unsent_since_ms;
        }
        atomic_store_explicit(&loop->shown_unsent_bytes, loop->unsent_bytes, memory_order_relaxed);
        atomic_store_explicit(&loop->shown_unsent_ms, age_ms, memory_order_relaxed);
}

void http_server_unsent(const struct http_server *s, uint64_t *bytes, uint64_t *oldest_ms)
{
        *bytes = *oldest_ms = 0;
        for (uint32_t i = 0; i < s->n_loops; i++) {
                const struct http_loop *loop = &s->loops[i];
                uint64_t ms = atomic_load_explicit(&loop->shown_unsent_ms, memory_order_relaxed);
                *bytes += atomic_load_explicit(&loop->shown_unsent_bytes, memory_order_relaxed);
                *oldest_ms = ms > *oldest_ms ? ms : *oldest_ms;
        }
}
