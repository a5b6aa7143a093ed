/* Connections are not kept alive: a scrape every few seconds needs none, and what is not open need
 * not be drained. h2o 2.2.5 has no way to destroy an event loop, so the loop and its context are
 * left to the end of the process, which is when admin_close() is called. */
#include "common/svc/admin.h"

#include <errno.h>
#include <h2o.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/svc/svc.h"

enum { BACKLOG = 64, METRICS_MAX_BYTES = 1024 * 1024, READYZ_MAX_BYTES = 8192 };

static struct {
        bool open;
        int listen_fd, wake_fd;
        _Atomic bool stop;
        sem_t stopped;
        h2o_evloop_t *loop;
        h2o_socket_t *listener, *waker;
        struct metric *metrics;
        size_t n_metrics;
        h2o_globalconf_t config;
        h2o_context_t context;
        h2o_accept_ctx_t accept;
} admin;

/* ---- answers */

static void answer(h2o_req_t *req, int status, const char *reason, h2o_iovec_t type,
                   struct slice body)
{
        static h2o_generator_t generator = {NULL, NULL};
        req->http1_is_persistent = 0;
        req->res.status = status;
        req->res.reason = reason;
        req->res.content_length = body.len; /* h2o_send_inline() would leave it open */
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type.base,
                       type.len);
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                       H2O_STRLIT("no-store"));
        h2o_iovec_t copy = h2o_strdup(&req->pool, body.p, body.len);
        bool head = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
        h2o_start_response(req, &generator);
        h2o_send(req, &copy, head ? 0 : 1, H2O_SEND_STATE_FINAL);
}

static bool is_read(h2o_req_t *req)
{
        if (h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET")) ||
            h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD")))
                return true;
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ALLOW, NULL,
                       H2O_STRLIT("GET, HEAD"));
        answer(req, 405, "Method Not Allowed", h2o_iovec_init(H2O_STRLIT("text/plain")),
               SLICE_LIT("method not allowed\n"));
        return false;
}

static int on_healthz(h2o_handler_t *self, h2o_req_t *req)
{
        (void)self;
        if (is_read(req))
                answer(req, 200, "OK", h2o_iovec_init(H2O_STRLIT("text/plain")), SLICE_LIT("ok\n"));
        return 0;
}

static const char *state_name(enum svc_state state)
{
        switch (state) {
        case SVC_STARTING:
                return "starting";
        case SVC_WAITING:
                return "waiting";
        case SVC_ACTIVE:
                return "active";
        }
        return "unknown";
}

static int on_readyz(h2o_handler_t *self, h2o_req_t *req)
{
        (void)self;
        if (!is_read(req))
                return 0;
        struct buf reason, body;
        buf_init(&reason, READYZ_MAX_BYTES / 8);
        buf_init(&body, READYZ_MAX_BYTES);
        enum svc_state state = svc_get_state(&reason);
        buf_printf(&body, "{\"status\":\"%s\",\"reason\":", state_name(state));
        buf_put_json_string(&body, buf_slice(&reason));
        buf_puts(&body, "}\n");
        bool ready = state == SVC_ACTIVE;
        answer(req, ready ? 200 : 503, ready ? "OK" : "Service Unavailable",
               h2o_iovec_init(H2O_STRLIT("application/json")), buf_slice(&body));
        buf_fini(&reason);
        buf_fini(&body);
        return 0;
}

static int on_metrics(h2o_handler_t *self, h2o_req_t *req)
{
        (void)self;
        if (!is_read(req))
                return 0;
        struct buf body;
        buf_init(&body, METRICS_MAX_BYTES);
        metric_render(admin.metrics, admin.n_metrics, &body);
        answer(req, 200, "OK",
               h2o_iovec_init(H2O_STRLIT("text/plain; version=0.0.4; charset=utf-8")),
               buf_slice(&body));
        buf_fini(&body);
        return 0;
}

static int on_other(h2o_handler_t *self, h2o_req_t *req)
{
        (void)self;
        answer(req, 404, "Not Found", h2o_iovec_init(H2O_STRLIT("text/plain")),
               SLICE_LIT("/metrics, /healthz and /readyz are here\n"));
        return 0;
}

/* ---- the thread */

static void add_page(h2o_hostconf_t *host, const char *path,
                     int (*on_req)(h2o_handler_t *, h2o_req_t *))
{
        h2o_pathconf_t *page = h2o_config_register_path(host, path, 0);
        h2o_handler_t *handler = h2o_create_handler(page, sizeof(*handler));
        handler->on_req = on_req;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
        h2o_socket_t *sock;
        if (!err && (sock = h2o_evloop_socket_accept(listener)))
                h2o_accept(&admin.accept, sock);
}

static void on_wake(h2o_socket_t *sock, const char *err)
{
        (void)sock;
        (void)err; /* the loop looks at admin.stop */
}

static void *run(void *unused)
{
        (void)unused;
        h2o_config_init(&admin.config);
        admin.config.max_request_entity_size = 1024;
        admin.config.server_name = h2o_iovec_init(H2O_STRLIT("sluice"));
        h2o_hostconf_t *host = h2o_config_register_host(
                &admin.config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
        add_page(host, "/metrics", on_metrics);
        add_page(host, "/healthz", on_healthz);
        add_page(host, "/readyz", on_readyz);
        add_page(host, "/", on_other);
        admin.loop = h2o_evloop_create();
        h2o_context_init(&admin.context, admin.loop, &admin.config);
        admin.accept = (h2o_accept_ctx_t){.ctx = &admin.context, .hosts = admin.config.hosts};
        admin.listener =
                h2o_evloop_socket_create(admin.loop, admin.listen_fd, H2O_SOCKET_FLAG_DONT_READ);
        h2o_socket_read_start(admin.listener, on_accept);
        admin.waker =
                h2o_evloop_socket_create(admin.loop, admin.wake_fd, H2O_SOCKET_FLAG_DONT_READ);
        h2o_socket_read_start(admin.waker, on_wake);
        while (!atomic_load(&admin.stop))
                h2o_evloop_run(admin.loop, INT32_MAX); /* EINTR just comes round again */
        h2o_socket_close(admin.listener);
        sem_post(&admin.stopped);
        for (;;)
                pause();
        return NULL;
}

/* ---- opening */

static int bind_to(const struct addrinfo *ai, int *out)
{
        int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                        ai->ai_protocol);
        if (fd < 0)
                return errno;
        int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
                int error = errno;
                close(fd);
                return error;
        }
        *out = fd;
        return 0;
}

static int listen_on(const char *host, uint16_t port, int *out, struct buf *why)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
        struct addrinfo *found;
        char service[8];
        snprintf(service, sizeof(service), "%u", port);
        int rc = getaddrinfo(host, service, &hints, &found);
        if (rc != 0) {
                buf_printf(why, "admin address %s: %s", host, gai_strerror(rc));
                return ERR_CONF;
        }
        int error = bind_to(found, out);
        freeaddrinfo(found);
        if (error == 0)
                return 0;
        buf_printf(why, "cannot listen on admin port %s:%u: %s", host, port, strerror(error));
        return error == EADDRINUSE ? ERR_EXISTS : error == EADDRNOTAVAIL ? ERR_CONF : ERR_IO;
}

int admin_open(const char *host, uint16_t port, struct metric *metrics, size_t n_metrics,
               struct buf *why)
{
        SLUICE_ASSERT(!admin.open && !admin.stop && host != NULL);
        int err = listen_on(host, port, &admin.listen_fd, why);
        if (err)
                return err;
        admin.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        SLUICE_ASSERT(admin.wake_fd >= 0);
        admin.metrics = metrics;
        admin.n_metrics = n_metrics;
        SLUICE_ASSERT(sem_init(&admin.stopped, 0, 0) == 0);
        pthread_t thread;
        SLUICE_ASSERT(pthread_create(&thread, NULL, run, NULL) == 0);
        SLUICE_ASSERT(pthread_detach(thread) == 0);
        admin.open = true;
        return 0;
}

void admin_close(void)
{
        if (!admin.open)
                return;
        atomic_store(&admin.stop, true);
        SLUICE_ASSERT(eventfd_write(admin.wake_fd, 1) == 0);
        while (sem_wait(&admin.stopped) != 0)
                ;
        admin.open = false;
}
