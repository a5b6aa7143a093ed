/* The door to h2o: only http*.c include its headers. A server is a number of loops, each a thread
 * with a listening socket of its own (SO_REUSEPORT); a request lives and dies on one loop.
 *
 *   on_request -> [http_park] -> http_answer                      a whole body, sent by reference
 *              -> [http_park] -> http_start -> http_write...      a body in pieces, one in flight
 *
 * A request ends when its answer is sent or its client has left, whichever comes first; then on_end
 * runs and the request is gone. http_answer(), the last http_write() and http_abort() may end it
 * before they return: it must not be touched after them. */
#ifndef SERVICES_EDGE_HTTP_H
#define SERVICES_EDGE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum { HTTP_TICK_MS = 20, HTTP_MAX_FIELDS = 24, HTTP_MAX_PARTS = 8 };

struct http_server;
struct http_loop;
struct http_request;

/* ---- answers */

enum http_field {
#define FIELD(name, wire) HTTP_##name,
#include "services/edge/httpfields.def"
#undef FIELD
        HTTP_FIELDS
};

struct http_head {
        int status;
        uint32_t n;
        struct {
                enum http_field field;
                struct slice value; /* borrowed until the head has been given away */
        } fields[HTTP_MAX_FIELDS];
};

static inline void http_head_init(struct http_head *h, int status)
{
        h->status = status;
        h->n = 0;
}
void http_head_add(struct http_head *h, enum http_field field, struct slice value);

/* ---- the server */

struct http_conf {
        const char *host;
        uint64_t port;
        uint32_t threads;
        uint64_t idle_ms; /* of a connection between requests, and to read a request's head */
        uint64_t
                send_timeout_ms; /* a client that does not take its answer is cut after that long */
        size_t max_body_bytes;   /* h2o itself refuses more, with 413 */
        size_t bodies_bytes;     /* of all requests together, come or coming (http_bodies.c) */
        bool http2;
};

/* All on the loop's thread, on_start() apart, which runs on the caller's of http_server_start()
 * before any loop does. `state` is what it returned. */
struct http_callbacks {
        void *(*on_start)(void *arg, struct http_loop *loop, uint32_t index);
        void (*on_stop)(void *state); /* every request and every message has ended */
        void (*on_request)(void *state, struct http_request *r);
        void (*on_tick)(void *state); /* each HTTP_TICK_MS */
        void (*on_work)(
                void *state); /* after http_loop_wake(), when what has arrived meanwhile was seen */
        void (*on_drain)(void *state); /* end what waits; connections close behind their answers */
        /* h2o refuses a request (400, 413, 417) before anybody sees it: the answer's head and body
         * (static). */
        struct slice (*on_refused)(void *state, int status, struct http_head *head);
        void (*on_drained)(void *arg); /* any loop's thread, once: the last connection of the server
                                          is closed */
};

/* Binds; nothing is accepted before http_server_start(). ERR_EXISTS, ERR_CONF, ERR_IO with a line
 * in *why. */
int http_server_open(struct http_server **out, const struct http_conf *conf,
                     const struct http_callbacks *callbacks, void *arg, struct buf *why);
void http_server_start(struct http_server *s);
/* Any thread: accept no more, close idle connections, let the others finish. */
void http_server_drain(struct http_server *s);
/* Not from a loop: cuts what is left and waits until no request is left. Messages may still be
 * posted. */
void http_server_stop(struct http_server *s);
/* Delivers the last messages, ends the loops' states and frees all. */
void http_server_free(struct http_server *s);
uint32_t http_server_loops(const struct http_server *s);
struct http_loop *http_server_loop(struct http_server *s, uint32_t index);
int64_t http_server_connections(const struct http_server *s);
/* Any thread: what answers have that the clients' sockets have not taken, and how long the oldest
 * of it waits; as of the last tick. */
void http_server_unsent(const struct http_server *s, uint64_t *bytes, uint64_t *oldest_ms);

/* A message to a loop. Zeroed and owned by the sender until it is posted, by the callback
 * afterwards. */
struct http_post {
        void *link[2]; /* h2o's */
        void (*cb)(void *state, struct http_post *post);
};
/* Any thread. Posts of one thread arrive in order. */
void http_loop_post(struct http_loop *loop, struct http_post *post);
/* Loop's thread: on_work soon, but not before pending events have been looked at. */
void http_loop_wake(struct http_loop *loop);
bool http_loop_draining(const struct http_loop *loop);

/* ---- requests; loop's thread. What they return lives as long as the request. */

struct slice http_method(const struct http_request *r);
struct slice http_target(const struct http_request *r);
struct slice http_body(const struct http_request *r);
/* 0, or the status with which the raw head must be refused (reqhead.h). */
int http_refusal(const struct http_request *r);
/* The next value of a header; `name` in lower case; *cursor starts at 0. */
bool http_header(const struct http_request *r, struct slice name, size_t *cursor,
                 struct slice *value);
/* Memory of the request. */
void *http_alloc(struct http_request *r, size_t bytes);
struct slice http_dup(struct http_request *r, struct slice s);
/* Runs once when the request ends, however it does. */
void http_on_end(struct http_request *r, void (*cb)(void *arg), void *arg);

/* Watches for the client leaving while the request waits; on HTTP/1 nobody else would notice. Ended
 * by the next answer or write. */
void http_park(struct http_request *r);
/* The connection is not used again. */
void http_close_after(struct http_request *r);
/* `parts` are sent by reference and must live until on_end; the array itself need not. With a
 * Content-Length; without a body for HEAD, 204 and 304. */
void http_answer(struct http_request *r, const struct http_head *head, const struct slice *parts,
                 size_t n_parts);
/* A body of unknown length. `proceed` runs when a write has left and the next may come. */
void http_start(struct http_request *r, const struct http_head *head, void (*proceed)(void *arg),
                void *arg);
bool http_is_writing(const struct http_request *r);
/* Not while another write is in flight. An intermediate write must not be empty. */
void http_write(struct http_request *r, const struct slice *parts, size_t n_parts, bool last);
/* Tells the client that the body ends here but is not whole. */
void http_abort(struct http_request *r);

#endif
