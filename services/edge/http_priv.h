/* What http_loop.c and http_request.c share. */
#ifndef SERVICES_EDGE_HTTP_PRIV_H
#define SERVICES_EDGE_HTTP_PRIV_H

#include <h2o.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/list.h"
#include "services/edge/http.h"
#include "services/edge/http_clock.h"

enum { HTTP_LOOP_MAGIC = 0x477001, HTTP_CONN_MAGIC = 0x477002, HTTP_REQUEST_MAGIC = 0x477003 };

/* A loop's thread enters each with the main thread. */
enum http_server_phase { HTTP_OPENING, HTTP_READY, HTTP_RUNNING, HTTP_STOPPED, HTTP_ENDING };

struct http_loop {
        uint32_t magic;
        struct http_server *server;
        uint32_t index;
        pthread_t thread;
        enum http_server_phase phase; /* the thread's own */
        int listen_fd;
        h2o_socket_t *listener; /* NULL when draining */
        h2o_context_t ctx;
        struct http_clock clock;
        h2o_accept_ctx_t accept;
        h2o_multithread_receiver_t receiver;
        h2o_timeout_t tick_timeout;
        h2o_timeout_entry_t tick;
        uint32_t ticks;
        uint64_t looked_at_ms; /* at bodies, by h2o's clock */
        bool accept_paused;    /* out of file descriptors */
        bool draining, stopping;
        bool wake_posted;
        struct http_post wake, drain, stop;
        struct list conns;
        uint32_t n_conns;
        _Atomic size_t coming_bytes; /* of bodies that are not whole, when last looked at */
        struct list unsent;          /* requests of which h2o has something to send, oldest first */
        uint64_t unsent_bytes;
        _Atomic uint64_t shown_unsent_bytes, shown_unsent_ms;
        struct list noisy; /* parked requests whose client has sent more: looked at each second */
        void *state;
};

struct http_server {
        struct http_conf conf;
        struct http_callbacks callbacks;
        void *arg;
        h2o_globalconf_t config;
        h2o_hostconf_t *hostconf;
        pthread_barrier_t phases;
        uint32_t n_loops, max_conns;
        struct http_loop *loops;
        _Atomic int64_t conns;
        _Atomic size_t bodies_bytes; /* of bodies of requests in work */
        atomic_uint loops_draining;
        atomic_bool drain_asked, drained;
        bool started;
};

/* One accepted socket. h2o's own connection object is closed to us, so it hangs on the socket's
 * on_close. */
struct http_conn {
        uint32_t magic;
        struct list node; /* in loop->conns */
        struct http_loop *loop;
        h2o_socket_t *sock;
        struct http_request *current; /* HTTP/1 only */
};

enum http_phase { HTTP_NEW, HTTP_STARTED, HTTP_ANSWERED };

struct http_request {
        h2o_generator_t generator; /* first: h2o hands it back */
        uint32_t magic;
        enum http_phase phase;
        h2o_req_t *req;
        struct http_loop *loop;
        struct http_conn *conn; /* NULL on HTTP/2 */
        struct list noisy, unsent;
        uint64_t unsent_bytes, unsent_since_ms;
        bool parked, in_flight;
        size_t body_bytes; /* counted in server->bodies_bytes */
        int refusal;
        void (*proceed)(void *arg);
        void *proceed_arg;
        void (*on_end)(void *arg);
        void *end_arg;
};

void *http_loop_main(void *arg);
void http_loop_drain(struct http_loop *loop);
void http_loop_stop(struct http_loop *loop);

/* As http_server_open(). */
int http_listen(const struct http_conf *conf, int *fd, struct buf *why);
int http_check_port(const struct http_conf *conf, struct buf *why);
/* As far as the system lets us; returns how many connections that allows. */
uint32_t http_raise_fd_limit(void);

/* h2o's handler and filter. */
int http_on_req(h2o_handler_t *self, h2o_req_t *req);
void http_on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot);
struct http_loop *http_loop_of(h2o_context_t *ctx);
/* Counts the body of a request that has come whole. False: there is no room for it. */
bool http_count_body(struct http_request *r);
void http_uncount_body(struct http_request *r);
/* Cuts off requests whose bodies have not come whole, while all together are too large. */
void http_bound_bodies(struct http_loop *loop);
/* h2o is about to be given so many bytes of an answer; it has sent them, or will not. */
void http_sending(struct http_request *r, size_t bytes);
void http_sent(struct http_request *r);
/* For http_server_unsent(), now and then. */
void http_show_unsent(struct http_loop *loop);
/* Looks at the noisy ones again. */
void http_check_noisy(struct http_loop *loop);

#endif
