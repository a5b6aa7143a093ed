/* The edge process: its configuration, its counters, and what its loops share. */
#ifndef SERVICES_EDGE_EDGE_H
#define SERVICES_EDGE_EDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/svc/svc.h"
#include "services/edge/admission.h"
#include "services/edge/encoder.h"
#include "services/edge/http.h"
#include "services/edge/secret.h"
#include "services/edge/upstream.h"

struct edge_conf {
        struct svc_conf svc;
        uint64_t http_port;
        const char *http_host;
        const char *notices_urls, *fetch_urls;
        uint64_t threads;
        const char *secret;
        bool insecure;
        uint64_t long_poll_ms;
        uint64_t idle_ms, send_timeout_ms;
        uint64_t cache_max_age_s, cache_stale_age_s;
        bool allow_delete;
        const char *max_concurrent;
        uint64_t cache_bytes, body_bytes, answer_bytes;
        uint64_t compress_threads;
        const char *static_dir;
        bool http2;
};

extern const struct knob edge_knobs[];
extern const size_t edge_n_knobs;

/* Counters and gauges: EDGE_METRIC(name in the code, name suffix, type, what). */
#define EDGE_METRICS(X)                                                                            \
        X(REQUESTS_2XX, "requests_2xx_total", METRIC_COUNTER, "requests answered with 2xx")        \
        X(REQUESTS_3XX, "requests_3xx_total", METRIC_COUNTER, "requests answered with 3xx")        \
        X(REQUESTS_4XX, "requests_4xx_total", METRIC_COUNTER, "requests answered with 4xx")        \
        X(REQUESTS_5XX, "requests_5xx_total", METRIC_COUNTER, "requests answered with 5xx")        \
        X(REQUESTS_LEFT, "requests_left_total", METRIC_COUNTER,                                    \
          "requests whose client left before the answer")                                          \
        X(SILENCE, "router_silence_ms", METRIC_GAUGE,                                              \
          "how long ago the last notice came, from the router that has been silent longest")       \
        X(SEEN_LSN, "seen_lsn_bytes", METRIC_GAUGE,                                                \
          "LSN up to which every router has said that it has applied everything")                  \
        X(UNSENT_BYTES, "unsent_bytes", METRIC_GAUGE,                                              \
          "bytes of answers that their clients have not taken yet")                                \
        X(UNSENT_MS, "unsent_lag_ms", METRIC_GAUGE,                                                \
          "how long the client that is latest has not taken its answer")                           \
        X(PARKED, "parked_requests", METRIC_GAUGE, "requests that wait for a shape to change")     \
        X(STREAMS, "sse_streams", METRIC_GAUGE, "open event streams")                              \
        X(CACHE_BYTES, "cache_bytes", METRIC_GAUGE,                                                \
          "closed chunks and their compressed forms held in memory")                               \
        X(ANSWER_BYTES, "answer_bytes", METRIC_GAUGE,                                              \
          "pieces of answers under way, not of the cache, held in memory or asked for")            \
        X(ANSWERS_REFUSED, "answers_refused_total", METRIC_COUNTER,                                \
          "reads refused because too much of other answers was under way")                         \
        X(CACHE_HITS, "cache_hits_total", METRIC_COUNTER, "reads served from a chunk in memory")   \
        X(FORMS_MADE, "compressed_total", METRIC_COUNTER, "forms of closed chunks compressed")     \
        X(FORMS_REFUSED, "compress_refused_total", METRIC_COUNTER,                                 \
          "times a chunk was sent plain because too much waited to be compressed")                 \
        X(CACHE_MISSES, "cache_misses_total", METRIC_COUNTER, "reads that asked a router")         \
        X(COLLAPSED, "collapsed_reads_total", METRIC_COUNTER, "reads that joined one under way")   \
        X(CALLS_FAILED, "router_calls_failed_total", METRIC_COUNTER,                               \
          "calls to a router that got no answer")                                                  \
        X(NOTICES, "notices_total", METRIC_COUNTER, "notices received, per loop")                  \
        X(GAPS, "notice_gaps_total", METRIC_COUNTER,                                               \
          "times the notices of a router had a gap or fell silent, per loop")                      \
        X(ADMITTED_INITIAL, "admitted_initial_requests", METRIC_GAUGE,                             \
          "requests in work whose shape is not known here")                                        \
        X(ADMITTED_EXISTING, "admitted_existing_requests", METRIC_GAUGE,                           \
          "requests in work whose shape is known")                                                 \
        X(REJECTED_INITIAL, "rejected_initial_total", METRIC_COUNTER,                              \
          "requests refused by the initial limit")                                                 \
        X(REJECTED_EXISTING, "rejected_existing_total", METRIC_COUNTER,                            \
          "requests refused by the existing limit")                                                \
        X(CONNECTIONS, "connections", METRIC_GAUGE, "open client connections")

enum edge_metric {
#define X(name, suffix, type, what) EDGE_##name,
        EDGE_METRICS(X)
#undef X
                EDGE_N_METRICS
};

extern struct metric edge_metrics[EDGE_N_METRICS];

static inline void edge_count(enum edge_metric m, int64_t by)
{
        metric_add(&edge_metrics[m], by);
}

struct edge {
        const struct edge_conf *conf;
        struct secret secret;
        struct admission admission;
        struct upstream *upstream;
        struct encoder *encoder;
        struct http_server *http;
        int static_dir_fd; /* -1: none */
        uint64_t loop_cache_bytes, loop_answer_bytes;
};

#endif
