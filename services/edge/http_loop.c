/* Threads, sockets and messages of the HTTP server; see http.h. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "services/edge/http_priv.h"

enum { ACCEPTS_PER_TURN = 64, SPARE_FDS = 256, STOP_TURNS = 200, STOP_TURN_MS = 5 };

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

static void set_options(h2o_socket_t *sock, const struct http_conf *conf)
{
        unsigned ms = (unsigned)conf->send_timeout_ms;
        setsockopt(h2o_socket_get_fd(sock), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
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

static void on_tick(h2o_timeout_entry_t *entry)
{
        struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, tick, entry);
        h2o_timeout_link(loop->ctx.loop, &loop->tick_timeout, &loop->tick);
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
}

/* Sockets that were shut down end by themselves within a few turns. */
static void *loop_main(void *arg)
{
        struct http_loop *loop = arg;
        h2o_timeout_link(loop->ctx.loop, &loop->tick_timeout, &loop->tick);
        loop->listener = h2o_evloop_socket_create(loop->ctx.loop, loop->listen_fd,
                                                  H2O_SOCKET_FLAG_DONT_READ);
        loop->listen_fd = -1;
        loop->listener->data = loop;
        h2o_socket_read_start(loop->listener, on_accept);
        while (!loop->stopping)
                run_once(loop, INT32_MAX);
        for (int turn = 0; turn < STOP_TURNS && loop->n_conns > 0; turn++) {
                http_check_noisy(loop);
                run_once(loop, STOP_TURN_MS);
        }
        return NULL;
}

/* ---- opening */

static int bind_one(const struct addrinfo *ai, int *out)
{
        int on = 1, off = 0;
        int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                        ai->ai_protocol);
        if (fd < 0)
                return errno;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
        if (ai->ai_family == AF_INET6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, H2O_SOMAXCONN) != 0) {
                int error = errno;
                close(fd);
                return error;
        }
        *out = fd;
        return 0;
}

static int listen_on(const struct http_conf *conf, int *out, struct buf *why)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
        char port[16];
        snprintf(port, sizeof(port), "%u", (unsigned)conf->port);
        int rv = getaddrinfo(conf->host, port, &hints, &list);
        if (rv != 0) {
                buf_printf(why, "cannot resolve %s: %s", conf->host, gai_strerror(rv));
                return ERR_CONF;
        }
        int error = bind_one(list, out);
        freeaddrinfo(list);
        if (error == 0)
                return 0;
        buf_printf(why, "cannot listen on %s port %s: %s", conf->host, port, strerror(error));
        return error == EADDRINUSE ? ERR_EXISTS : ERR_IO;
}

/* SO_REUSEPORT would also let two edges share a port by mistake: a plain bind tells first. */
static int check_port_free(const struct http_conf *conf, struct buf *why)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
        char port[16];
        snprintf(port, sizeof(port), "%u", (unsigned)conf->port);
        if (getaddrinfo(conf->host, port, &hints, &list) != 0)
                return 0;
        int on = 1, error = 0;
        int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);
        if (fd >= 0) {
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
                if (bind(fd, list->ai_addr, list->ai_addrlen) != 0)
                        error = errno;
                close(fd);
        }
        freeaddrinfo(list);
        if (error == 0)
                return 0;
        buf_printf(why, "cannot listen on %s port %s: %s", conf->host, port, strerror(error));
        return error == EADDRINUSE ? ERR_EXISTS : ERR_IO;
}

static uint32_t raise_fd_limit(void)
{
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
                return 1024 - SPARE_FDS;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * SPARE_FDS)
                return SPARE_FDS;
        rlim_t most = limit.rlim_cur - SPARE_FDS;
        return most > 1000000 ? 1000000 : (uint32_t)most;
}

static void add_filter(h2o_pathconf_t *path)
{
        h2o_filter_t *filter = h2o_create_filter(path, sizeof(*filter));
        filter->on_setup_ostream = http_on_setup_ostream;
}

static void init_config(struct http_server *s)
{
        h2o_config_init(&s->config);
        s->config.server_name = h2o_iovec_init("", 0);
        s->config.http1.req_timeout = s->conf.idle_ms;
        s->config.http2.idle_timeout = s->conf.idle_ms;
        s->config.http1.upgrade_to_http2 = s->conf.http2;
        s->config.max_request_entity_size = s->conf.max_body_bytes;
        s->hostconf =
                h2o_config_register_host(&s->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
        h2o_pathconf_t *path = h2o_config_register_path(s->hostconf, "/", 0);
        h2o_handler_t *handler = h2o_create_handler(path, sizeof(*handler));
        handler->on_req = http_on_req;
        add_filter(path);
        add_filter(&s->hostconf->fallback_path);
}

static void init_loop(struct http_server *s, uint32_t index, int fd)
{
        struct http_loop *loop = &s->loops[index];
        loop->magic = HTTP_LOOP_MAGIC;
        loop->server = s;
        loop->index = index;
        loop->listen_fd = fd;
        list_init(&loop->conns);
        list_init(&loop->noisy);
        h2o_context_init(&loop->ctx, h2o_evloop_create(), &s->config);
        loop->accept.ctx = &loop->ctx;
        loop->accept.hosts = s->config.hosts;
        h2o_multithread_register_receiver(loop->ctx.queue, &loop->receiver, on_messages);
        h2o_timeout_init(loop->ctx.loop, &loop->tick_timeout, HTTP_TICK_MS);
        loop->tick.cb = on_tick;
}

int http_server_open(struct http_server **out, const struct http_conf *conf,
                     const struct http_callbacks *callbacks, void *arg, struct buf *why)
{
        SLUICE_ASSERT(conf->threads > 0);
        int *fds = mem_array(conf->threads, sizeof(*fds));
        int err = check_port_free(conf, why);
        uint32_t bound = 0;
        while (err == 0 && bound < conf->threads) {
                err = listen_on(conf, &fds[bound], why);
                bound += err == 0;
        }
        if (err != 0) {
                while (bound > 0)
                        close(fds[--bound]);
                mem_free(fds);
                return err;
        }
        struct http_server *s = mem_new(struct http_server);
        s->conf = *conf;
        s->callbacks = *callbacks;
        s->arg = arg;
        s->max_conns = raise_fd_limit();
        s->n_loops = conf->threads;
        s->loops = mem_zalloc(conf->threads * sizeof(*s->loops));
        init_config(s);
        for (uint32_t i = 0; i < s->n_loops; i++)
                init_loop(s, i, fds[i]);
        mem_free(fds);
        for (uint32_t i = 0; i < s->n_loops; i++)
                s->loops[i].state = callbacks->on_start(arg, &s->loops[i], i);
        *out = s;
        return 0;
}

void http_server_start(struct http_server *s)
{
        SLUICE_ASSERT(!s->started);
        s->started = true;
        for (uint32_t i = 0; i < s->n_loops; i++)
                h2o_multithread_create_thread(&s->loops[i].thread, NULL, loop_main, &s->loops[i]);
}

void http_server_drain(struct http_server *s)
{
        if (atomic_exchange(&s->drain_asked, true))
                return;
        for (uint32_t i = 0; i < s->n_loops; i++) {
                s->loops[i].drain.cb = on_drain;
                http_loop_post(&s->loops[i], &s->loops[i].drain);
        }
}

/* What was posted to the loop after its thread had ended is delivered here. */
static void deliver_last(struct http_loop *loop)
{
        for (int turn = 0; turn < STOP_TURNS; turn++)
                run_once(loop, 0);
        SLUICE_ASSERT(!loop->wake_posted);
}

static void free_loop(struct http_loop *loop)
{
        h2o_evloop_t *evloop = loop->ctx.loop;
        h2o_timeout_unlink(&loop->tick);
        /* A drain arms it for a second, and h2o does not expect to be disposed of before. */
        h2o_timeout_unlink(&loop->ctx.http2._graceful_shutdown_timeout);
        deliver_last(loop);
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

void http_server_stop(struct http_server *s)
{
        for (uint32_t i = 0; s->started && i < s->n_loops; i++) {
                s->loops[i].stop.cb = on_stop;
                http_loop_post(&s->loops[i], &s->loops[i].stop);
        }
        for (uint32_t i = 0; i < s->n_loops; i++) {
                if (s->started)
                        pthread_join(s->loops[i].thread, NULL);
                else
                        close(s->loops[i].listen_fd);
        }
}

void http_server_free(struct http_server *s)
{
        bool clean = true;
        for (uint32_t i = 0; i < s->n_loops; i++) {
                clean &= s->loops[i].n_conns == 0;
                free_loop(&s->loops[i]);
        }
        if (!clean)
                return;
        h2o_config_dispose(&s->config);
        mem_free(s->loops);
        mem_free(s);
}

uint32_t http_server_loops(const struct http_server *s)
{
        return s->n_loops;
}

struct http_loop *http_server_loop(struct http_server *s, uint32_t index)
{
        SLUICE_ASSERT(index < s->n_loops);
        return &s->loops[index];
}

int64_t http_server_connections(const struct http_server *s)
{
        return atomic_load(&s->conns);
}
