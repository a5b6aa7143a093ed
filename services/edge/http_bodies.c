/* What clients send may take so much memory and no more (I7), whether they ever finish or not. h2o
 * reads a body whole before anybody is asked, so what is coming is found by looking at the
 * connections' input some times a second: while all bodies together are too large the largest that
 * is not whole is cut off. One that has come whole and finds no room is refused. Heads are too
 * small to matter: they have limits of their own. (HTTP/2, where it is turned on, keeps bodies
 * elsewhere: only whole ones are counted.) */
#include "common/base/assert.h"
#include "common/obs/log.h"
#include "services/edge/http_priv.h"

enum { HEAD_BYTES = 64 * 1024 /* what is no larger is no body worth counting */ };

static size_t total(const struct http_server *s)
{
        size_t sum = atomic_load(&s->bodies_bytes);
        for (uint32_t i = 0; i < s->n_loops; i++)
                sum += atomic_load(&s->loops[i].coming_bytes);
        return sum;
}

bool http_count_body(struct http_request *r)
{
        struct http_server *s = r->loop->server;
        if (r->req->entity.len <= HEAD_BYTES)
                return true;
        r->body_bytes = r->req->entity.len;
        size_t before = atomic_fetch_add(&s->bodies_bytes, r->body_bytes);
        return before + r->body_bytes <= s->conf.bodies_bytes;
}

void http_uncount_body(struct http_request *r)
{
        size_t before = atomic_fetch_sub(&r->loop->server->bodies_bytes, r->body_bytes);
        SLUICE_ASSERT(before >= r->body_bytes);
        r->body_bytes = 0;
}

static size_t coming(const struct http_conn *conn)
{
        size_t size = conn->current ? 0 : conn->sock->input->size;
        return size > HEAD_BYTES ? size : 0;
}

/* The sum; the largest goes to *largest, NULL when there is none. */
static size_t look(struct http_loop *loop, struct http_conn **largest)
{
        size_t sum = 0, most = 0;
        *largest = NULL;
        for (struct list *l = loop->conns.next; l != &loop->conns; l = l->next) {
                struct http_conn *conn = LIST_OBJ(l, struct http_conn, node);
                size_t size = coming(conn);
                sum += size;
                if (size <= most)
                        continue;
                most = size;
                *largest = conn;
        }
        return sum;
}

/* As if its socket had failed. To shut it down would not do: what the client still sends would be
 * read first. */
static void cut(struct http_conn *conn)
{
        SLUICE_ASSERT(conn->sock->_cb.read != NULL); /* it is being read */
        conn->sock->_cb.read(conn->sock, "cut off");
}

void http_bound_bodies(struct http_loop *loop)
{
        struct http_conn *largest;
        unsigned n = 0;
        for (;;) {
                atomic_store(&loop->coming_bytes, look(loop, &largest));
                if (!largest || total(loop->server) <= loop->server->conf.bodies_bytes)
                        break;
                cut(largest);
                n++;
        }
        if (n)
                log_warning("bodies_cut",
                            "%u requests were cut off in the middle: bodies of requests took more "
                            "than SLUICE_EDGE_BODY_BYTES",
                            n);
}
