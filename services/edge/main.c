/* The edge: everything HTTP, nothing durable. It may vanish at any moment; its clients connect to
 * another one and lose nothing. */
#include <stdlib.h>

#include "common/base/err.h"
#include "common/obs/log.h"
#include "services/edge/demo.h"
#include "services/edge/get.h"
#include "services/edge/notices.h"
#include "services/edge/site.h"

enum {
        GAUGES_MS = 1000,
        MAX_BODY_SLACK = 8 << 20 /* beyond the limit, so that the answer to a body slightly too
                                    large is heard */
};

static struct edge_conf conf;
static struct edge edge = {.conf = &conf, .static_dir_fd = -1};
static struct loop_timer *gauges_timer;

/* ---- what the loops call */

static void *on_start(void *arg, struct http_loop *loop, uint32_t index)
{
        struct edge *e = arg;
        upstream_attach(e->upstream, loop, index);
        return worker_new(e, loop, index);
}

static void on_stop(void *state)
{
        worker_free(state);
}

static void on_request(void *state, struct http_request *r)
{
        site_on_request(state, r);
}

static void on_tick(void *state)
{
        struct worker *w = state;
        worker_advance_timers(w);
        notices_tick(w);
}

static void on_work(void *state)
{
        worker_run(state);
}

static void on_drain(void *state)
{
        gets_drain(state);
}

static struct slice on_refused(void *state, int status, struct http_head *head)
{
        return site_on_refused(state, status, head);
}

static void on_drained(void *arg)
{
        (void)arg;
        svc_drained();
}

static const struct http_callbacks http_callbacks = {.on_start = on_start,
                                                     .on_stop = on_stop,
                                                     .on_request = on_request,
                                                     .on_tick = on_tick,
                                                     .on_work = on_work,
                                                     .on_drain = on_drain,
                                                     .on_refused = on_refused,
                                                     .on_drained = on_drained};

static void on_frame(void *state, uint32_t shard, struct slice frame)
{
        notices_on_frame(state, shard, frame);
}

static void on_shard_state(void *state, uint32_t shard, enum svc_state now)
{
        if (now == SVC_ACTIVE)
                get_shard_ready(state, shard);
}

static const struct upstream_callbacks upstream_callbacks = {.on_frame = on_frame,
                                                             .on_shard_state = on_shard_state};

/* ---- life of the process */

/* §8: exactly one of the two. */
static int check_secret(struct buf *why)
{
        secret_init(&edge.secret, slice_cstr(conf.secret));
        if (edge.secret.wanted && conf.insecure) {
                buf_puts(why, "You cannot set both SLUICE_SECRET (ELECTRIC_SECRET) and "
                              "SLUICE_INSECURE (ELECTRIC_INSECURE)");
                return ERR_CONF;
        }
        if (!edge.secret.wanted && !conf.insecure) {
                buf_puts(why, "You must set SLUICE_SECRET (ELECTRIC_SECRET) unless SLUICE_INSECURE "
                              "(ELECTRIC_INSECURE) is true");
                return ERR_CONF;
        }
        return 0;
}

static int check_limits(struct buf *why)
{
        struct buf reason;
        buf_init(&reason, 512);
        int err = admission_init(&edge.admission, slice_cstr(conf.max_concurrent), &reason);
        if (err != 0)
                buf_printf(why, "SLUICE_MAX_CONCURRENT_REQUESTS: %s", buf_cstr(&reason));
        buf_fini(&reason);
        return err;
}

static int open_http(struct buf *why)
{
        struct http_conf http = {.host = conf.http_host,
                                 .port = conf.http_port,
                                 .threads = (uint32_t)conf.threads,
                                 .idle_ms = conf.idle_ms,
                                 .send_timeout_ms = conf.send_timeout_ms,
                                 .max_body_bytes = GET_MAX_BODY + MAX_BODY_SLACK,
                                 .bodies_bytes = conf.body_bytes,
                                 .http2 = conf.http2};
        edge.loop_cache_bytes = conf.cache_bytes / conf.threads;
        edge.loop_answer_bytes = conf.answer_bytes / conf.threads;
        return http_server_open(&edge.http, &http, &http_callbacks, &edge, why);
}

static void on_gauges(void *arg)
{
        (void)arg;
        uint64_t unsent_bytes, unsent_ms;
        metric_set(&edge_metrics[EDGE_CONNECTIONS], http_server_connections(edge.http));
        http_server_unsent(edge.http, &unsent_bytes, &unsent_ms);
        metric_set(&edge_metrics[EDGE_UNSENT_BYTES], (int64_t)unsent_bytes);
        metric_set(&edge_metrics[EDGE_UNSENT_MS], (int64_t)unsent_ms);
        loop_timer_set(gauges_timer, GAUGES_MS);
}

static void close_all(void)
{
        if (edge.http)
                http_server_stop(edge.http);
        if (edge.upstream)
                upstream_stop(edge.upstream);
        encoder_stop(edge.encoder);
        if (edge.http)
                http_server_free(edge.http);
        if (edge.upstream)
                upstream_free(edge.upstream);
        encoder_free(edge.encoder);
        edge.http = NULL;
        edge.upstream = NULL;
}

static int start(struct loop *loop, void *arg, struct buf *why)
{
        (void)arg;
        edge.encoder = encoder_new((uint32_t)conf.compress_threads);
        int err = check_secret(why);
        if (err == 0)
                err = check_limits(why);
        if (err == 0)
                err = demo_open(conf.static_dir, &edge.static_dir_fd, why);
        if (err == 0)
                err = upstream_open(&edge.upstream, conf.notices_urls, conf.fetch_urls,
                                    &upstream_callbacks, loop, why);
        if (err == 0)
                err = open_http(why);
        if (err != 0) {
                close_all();
                return err;
        }
        http_server_start(edge.http);
        upstream_start(edge.upstream);
        gauges_timer = loop_timer_new(loop, on_gauges, NULL);
        loop_timer_set(gauges_timer, GAUGES_MS);
        log_info("listening", "serving on %s port %llu with %llu loop(s) and %u router(s)",
                 conf.http_host, (unsigned long long)conf.http_port,
                 (unsigned long long)conf.threads, upstream_shards(edge.upstream));
        return 0;
}

static void drain(void)
{
        http_server_drain(edge.http);
}

static void stop(void)
{
        loop_timer_free(gauges_timer);
        close_all();
}

int main(int argc, char **argv)
{
        struct svc svc = {.name = "edge",
                          .knobs = edge_knobs,
                          .n_knobs = edge_n_knobs,
                          .conf = &conf,
                          .metrics = edge_metrics,
                          .n_metrics = EDGE_N_METRICS,
                          .start = start,
                          .drain = drain,
                          .stop = stop};
        return svc_main(&svc, argc, argv);
}
