/* Threads, sockets and messages of the HTTP server; see http.h. */
#include <errno.h>
#include <netinet/tcp.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "services/edge/http_priv.h"

enum {
        ACCEPTS_PER_TURN = 64,
        STOP_TURNS = 200,
        STOP_TURN_MS = 5,
        LOOK_AT_BODIES_MS = 100,
        /* Of a connection's input, kept while its request is parked. h2o's own choice is twice
         * that; less it does not take: each read wants that much room. */
        INPUT_BYTES = 4096
};

_Static_assert(sizeof(h2o_multithread_message_t) == sizeof(((struct http_post *)0)->link),
               "http_post.link has room for h2o's message");

struct http_loop *http_loop_of(h2o_context_t *ctx)
{
        struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, ctx, ctx);
        CHECK_OBJ(loop, HTTP_LOOP_MAGIC);
        return loop;
}

/* ---- messages */

void http_loop_post(struct http_loop *loop, struct http_post *post)
{
        CHECK_OBJ(loop, HTTP_LOOP_MAGIC);
        SLUICE_ASSERT(post->cb != NULL);
        h2o_multithread_send_message(&loop->receiver, (h2o_multithread_message_t *)(void *)post);
}

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
        struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, receiver, receiver);
        while (!h2o_linklist_is_empty(messages)) {
                h2o_linklist_t *link = messages->next;
                h2o_linklist_unlink(link);
                struct http_post *post = (struct http_post *)(void *)link;
                post->cb(loop->state, post);
        }
}

static void on_wake(void *state, struct http_post *post)
{
        struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, wake, post);
        loop->wake_posted = false;
        loop->server->callbacks.on_work(state);
}

/* By a message, not by h2o's zero timeout: a timeout that is linked again in its own callback runs
 * again before the loop polls, and nobody else would be heard. */
void http_loop_wake(struct http_loop *loop)
{
        if (loop->wake_posted)
                return;
        loop->wake_posted = true;
        loop->wake.cb = on_wake;
        http_loop_post(loop, &loop->wake);
}

bool http_loop_draining(const struct http_loop *loop)
{
        return loop->draining;
}

/* ---- connections */

static void check_drained(struct http_server *s)
{
        if (atomic_load(&s->loops_draining) < s->n_loops || atomic_load(&s->conns) > 0)
                return;
        if (!atomic_exchange(&s->drained, true))
                s->callbacks.on_drained(s->arg);
}

static void on_close(void *arg)
{
        struct http_conn *conn = arg;
        CHECK_OBJ(conn, HTTP_CONN_MAGIC);
        struct http_loop *loop = conn->loop;
        list_remove(&conn->node);
        SLUICE_ASSERT(loop->n_conns > 0);
        loop->n_conns--;
        conn->magic = 0;
        mem_free(conn);
        atomic_fetch_sub(&loop->server->conns, 1);
        if (loop->draining)
                check_drained(loop->server);
}

/* Without a bound for what is written and not yet sent the kernel takes megabytes for each client
 * that does not read. */
enum { UNSENT_BYTES = 384 * 1024 };

static void set_options(h2o_socket_t *sock, const struct http_conf *conf)
{
        unsigned ms = (unsigned)conf->send_timeout_ms, unsent = UNSENT_BYTES;
        int fd = h2o_socket_get_fd(sock);
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static void adopt(struct http_loop *loop, h2o_socket_t *sock)
{
        struct http_conn *conn = mem_new(struct http_conn);
        conn->magic = HTTP_CONN_MAGIC;
        conn->loop = loop;
        conn->sock = sock;
        list_push_back(&loop->conns, &conn->node);
        loop->n_conns++;
        atomic_fetch_add(&loop->server->conns, 1);
        sock->on_close.cb = on_close;
        sock->on_close.data = conn;
        set_options(sock, &loop->server->conf);
        h2o_accept(&loop->accept, sock);
}

static void pause_accepting(struct http_loop *loop, const char *why)
{
        if (loop->accept_paused)
                return;
        loop->accept_paused = true;
        h2o_socket_read_stop(loop->listener);
        log_warning("accept_paused", "not accepting connections: %s (%u open on this loop)", why,
                    loop->n_conns);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
        struct http_loop *loop = listener->data;
        if (err)
                return;
        for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
                if (atomic_load(&loop->server->conns) >= loop->server->max_conns) {
                        pause_accepting(loop, "file descriptor limit");
                        return;
                }
                h2o_socket_t *sock = h2o_evloop_socket_accept(listener);
                if (!sock) {
                        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                            errno == ENOMEM)
                                pause_accepting(loop, strerror(errno));
                        return;
                }
                adopt(loop, sock);
        }
}

static void resume_accepting(struct http_loop *loop)
{
        if (!loop->accept_paused || !loop->listener ||
            atomic_load(&loop->server->conns) >= loop->server->max_conns)
                return;
        loop->accept_paused = false;
        h2o_socket_read_start(loop->listener, on_accept);
}

/* By the clock: when much comes in, a tick is late, and that is when it matters. */
static void look_at_bodies(struct http_loop *loop)
{
        uint64_t now = h2o_now(loop->ctx.loop);
        if (now - loop->looked_at_ms < LOOK_AT_BODIES_MS)
                return;
        loop->looked_at_ms = now;
        http_bound_bodies(loop);
}

static void on_tick(h2o_timeout_entry_t *entry)
{
        struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, tick, entry);
        if (loop->stopping)
                return;
        h2o_timeout_link(loop->ctx.loop, &loop->tick_timeout, &loop->tick);
        look_at_bodies(loop);
        http_show_unsent(loop);
        if (++loop->ticks % (1000 / HTTP_TICK_MS) == 0) {
                http_check_noisy(loop);
                resume_accepting(loop);
        }
        loop->server->callbacks.on_tick(loop->state);
}

/* ---- draining and stopping */

static void close_listener(struct http_loop *loop)
{
        if (!loop->listener)
                return;
        h2o_socket_read_stop(loop->listener);
        h2o_socket_close(loop->listener);
        loop->listener = NULL;
}

/* A connection between two requests closes itself when it reads the end of its input. */
static void close_idle(struct http_loop *loop)
{
        for (struct list *l = loop->conns.next; l != &loop->conns; l = l->next) {
                struct http_conn *conn = LIST_OBJ(l, struct http_conn, node);
                if (!conn->current && conn->sock->input->size == 0)
                        shutdown(h2o_socket_get_fd(conn->sock), SHUT_RD);
        }
}

static void on_drain(void *state, struct http_post *post)
{
        struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, drain, post);
        if (loop->draining)
                return;
        loop->draining = true;
        close_listener(loop);
        h2o_context_request_shutdown(&loop->ctx);
        close_idle(loop);
        loop->server->callbacks.on_drain(state);
        atomic_fetch_add(&loop->server->loops_draining, 1);
        check_drained(loop->server);
}

static void on_stop(void *state, struct http_post *post)
{
        (void)state;
        struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, stop, post);
        loop->draining = loop->stopping = true;
        close_listener(loop);
        for (struct list *l = loop->conns.next; l != &loop->conns; l = l->next)
                shutdown(h2o_socket_get_fd(LIST_OBJ(l, struct http_conn, node)->sock), SHUT_RDWR);
}

static void run_once(struct http_loop *loop, int32_t max_wait_ms)
{
        if (h2o_evloop_run(loop->ctx.loop, max_wait_ms) != 0)
                SLUICE_ASSERT(errno == EINTR);
        http_clock_follow(&loop->clock, loop->ctx.loop);
}

/* ---- the thread
 *
 * Everything of h2o's that belongs to a loop is made, used and freed on its thread: its buffers
 * come from thread-local pools. The main thread and the loops go through these phases together. */

static void enter(struct http_loop *loop, enum http_server_phase phase)
{
        SLUICE_ASSERT(loop->phase + 1 == phase);
        loop->phase = phase;
        pthread_barrier_wait(&loop->server->phases);
}

static void init(struct http_loop *loop)
{
        h2o_socket_buffer_prototype._initial_buf.capacity = INPUT_BYTES;
        http_clock_init(&loop->clock);
        h2o_context_init(&loop->ctx, h2o_evloop_create(), &loop->server->config);
        loop->accept.ctx = &loop->ctx;
        loop->accept.hosts = loop->server->config.hosts;
        h2o_multithread_register_receiver(loop->ctx.queue, &loop->receiver, on_messages);
        h2o_timeout_init(loop->ctx.loop, &loop->tick_timeout, HTTP_TICK_MS);
        loop->tick.cb = on_tick;
}

/* Sockets that were shut down end by themselves within a few turns. */
static void run(struct http_loop *loop)
{
        h2o_timeout_link(loop->ctx.loop, &loop->tick_timeout, &loop->tick);
        loop->listener = h2o_evloop_socket_create(loop->ctx.loop, loop->listen_fd,
                                                  H2O_SOCKET_FLAG_DONT_READ);
        loop->listener->data = loop;
        h2o_socket_read_start(loop->listener, on_accept);
        while (!loop->stopping)
                run_once(loop, INT32_MAX);
        for (int turn = 0; turn < STOP_TURNS && loop->n_conns > 0; turn++) {
                http_check_noisy(loop);
                run_once(loop, STOP_TURN_MS);
        }
}

/* What was posted to the loop since it ended is delivered first. */
static void fini(struct http_loop *loop)
{
        h2o_evloop_t *evloop = loop->ctx.loop;
        h2o_timeout_unlink(&loop->tick);
        /* A drain arms it for a second, and h2o does not expect to be disposed of before. */
        h2o_timeout_unlink(&loop->ctx.http2._graceful_shutdown_timeout);
        for (int turn = 0; turn < STOP_TURNS; turn++)
                run_once(loop, 0);
        SLUICE_ASSERT(!loop->wake_posted);
        if (loop->state)
                loop->server->callbacks.on_stop(loop->state);
        h2o_timeout_dispose(evloop, &loop->tick_timeout);
        h2o_multithread_unregister_receiver(loop->ctx.queue, &loop->receiver);
        /* A connection that would not end still uses the context: leave it to the end of the
         * process. */
        if (loop->n_conns > 0)
                return;
        h2o_context_dispose(&loop->ctx);
        h2o_evloop_run(evloop, 0);
        h2o_evloop_destroy(evloop);
}

void *http_loop_main(void *arg)
{
        struct http_loop *loop = arg;
        init(loop);
        enter(loop, HTTP_READY);
        enter(loop, HTTP_RUNNING);
        run(loop);
        enter(loop, HTTP_STOPPED);
        enter(loop, HTTP_ENDING);
        fini(loop);
        return NULL;
}

void http_loop_drain(struct http_loop *loop)
{
        loop->drain.cb = on_drain;
        http_loop_post(loop, &loop->drain);
}

void http_loop_stop(struct http_loop *loop)
{
        loop->stop.cb = on_stop;
        http_loop_post(loop, &loop->stop);
}
