/* The HTTP server's life; see http.h. Loops are made before the first of them runs, and freed after
 * the last has stopped, so that messages between them always have somewhere to go. */
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "services/edge/http_priv.h"

#if defined(__SANITIZE_ADDRESS__)
/* h2o never frees its message queues nor the pools of a thread that has ended. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
        return "leak:h2o_mem_alloc_recycle\nleak:h2o_multithread_create_queue\n";
}
#endif

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

static void enter(struct http_server *s)
{
        pthread_barrier_wait(&s->phases);
}

static void start_threads(struct http_server *s, const int *fds)
{
        pthread_barrier_init(&s->phases, NULL, s->n_loops + 1);
        for (uint32_t i = 0; i < s->n_loops; i++) {
                struct http_loop *loop = &s->loops[i];
                loop->magic = HTTP_LOOP_MAGIC;
                loop->server = s;
                loop->index = i;
                loop->listen_fd = fds[i];
                list_init(&loop->conns);
                list_init(&loop->noisy);
                list_init(&loop->unsent);
                h2o_multithread_create_thread(&loop->thread, NULL, http_loop_main, loop);
        }
        enter(s); /* HTTP_READY */
}

int http_server_open(struct http_server **out, const struct http_conf *conf,
                     const struct http_callbacks *callbacks, void *arg, struct buf *why)
{
        SLUICE_ASSERT(conf->threads > 0);
        int *fds = mem_array(conf->threads, sizeof(*fds));
        int err = http_check_port(conf, why);
        uint32_t bound = 0;
        while (err == 0 && bound < conf->threads) {
                err = http_listen(conf, &fds[bound], why);
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
        s->max_conns = http_raise_fd_limit();
        s->n_loops = conf->threads;
        s->loops = mem_zalloc(conf->threads * sizeof(*s->loops));
        init_config(s);
        start_threads(s, fds);
        mem_free(fds);
        *out = s;
        return 0;
}

void http_server_start(struct http_server *s)
{
        SLUICE_ASSERT(!s->started);
        s->started = true;
        for (uint32_t i = 0; i < s->n_loops; i++)
                s->loops[i].state = s->callbacks.on_start(s->arg, &s->loops[i], i);
        enter(s); /* HTTP_RUNNING */
}

void http_server_drain(struct http_server *s)
{
        if (atomic_exchange(&s->drain_asked, true))
                return;
        for (uint32_t i = 0; i < s->n_loops; i++)
                http_loop_drain(&s->loops[i]);
}

void http_server_stop(struct http_server *s)
{
        for (uint32_t i = 0; i < s->n_loops; i++)
                http_loop_stop(&s->loops[i]);
        if (!s->started)
                enter(s); /* HTTP_RUNNING, only to stop */
        enter(s);         /* HTTP_STOPPED */
}

void http_server_free(struct http_server *s)
{
        bool clean = true;
        enter(s); /* HTTP_ENDING */
        for (uint32_t i = 0; i < s->n_loops; i++) {
                pthread_join(s->loops[i].thread, NULL);
                clean &= s->loops[i].n_conns == 0;
        }
        if (!clean)
                return;
        pthread_barrier_destroy(&s->phases);
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
