/* The edge's tables: knobs and metrics. --help, the checks and the manual come from these rows. */
#include "services/edge/edge.h"

const struct knob edge_knobs[] = {
        SVC_KNOBS(struct edge_conf, "SLUICE_EDGE", "0"),
        {"SLUICE_HTTP_PORT", "ELECTRIC_PORT", KNOB_U64, "3000", 0, 65535,
         offsetof(struct edge_conf, http_port), "port clients connect to"},
        {"SLUICE_HTTP_HOST", NULL, KNOB_STR, "0.0.0.0", 0, 0, offsetof(struct edge_conf, http_host),
         "address to listen on"},
        {"SLUICE_ROUTER_NOTICES_URLS", NULL, KNOB_STR, NULL, 0, 0,
         offsetof(struct edge_conf, notices_urls),
         "where the routers publish notices; a list, entry i is shard i"},
        {"SLUICE_ROUTER_FETCH_URLS", NULL, KNOB_STR, NULL, 0, 0,
         offsetof(struct edge_conf, fetch_urls),
         "where the routers answer; a list, entry i is shard i"},
        {"SLUICE_EDGE_THREADS", NULL, KNOB_U64, "1", 1, 64, offsetof(struct edge_conf, threads),
         "loops, each with a thread of its own"},
        {"SLUICE_SECRET", "ELECTRIC_SECRET", KNOB_URL, "", 0, 0, offsetof(struct edge_conf, secret),
         "what requests must give as secret="},
        {"SLUICE_INSECURE", "ELECTRIC_INSECURE", KNOB_BOOL, "false", 0, 0,
         offsetof(struct edge_conf, insecure), "serve without a secret"},
        {"SLUICE_LONG_POLL_TIMEOUT", "ELECTRIC_LONG_POLL_TIMEOUT", KNOB_DURATION, "20s", 1, 3600000,
         offsetof(struct edge_conf, long_poll_ms), "how long a live request may wait"},
        {"SLUICE_TCP_READ_TIMEOUT", "ELECTRIC_TCP_READ_TIMEOUT", KNOB_DURATION, "60s", 100, 3600000,
         offsetof(struct edge_conf, idle_ms),
         "how long a connection may be idle, or take to send a request"},
        {"SLUICE_TCP_SEND_TIMEOUT", "ELECTRIC_TCP_SEND_TIMEOUT", KNOB_DURATION, "30s", 100, 3600000,
         offsetof(struct edge_conf, send_timeout_ms),
         "how long a client may leave its answer untaken"},
        {"SLUICE_CACHE_MAX_AGE", "ELECTRIC_CACHE_MAX_AGE", KNOB_U64, "60", 0, 31536000,
         offsetof(struct edge_conf, cache_max_age_s), "max-age of catch-up answers, seconds"},
        {"SLUICE_CACHE_STALE_AGE", "ELECTRIC_CACHE_STALE_AGE", KNOB_U64, "300", 0, 31536000,
         offsetof(struct edge_conf, cache_stale_age_s),
         "stale-while-revalidate of catch-up answers, seconds"},
        {"SLUICE_ALLOW_DELETE", "ELECTRIC_ENABLE_INTEGRATION_TESTING", KNOB_BOOL, "false", 0, 0,
         offsetof(struct edge_conf, allow_delete), "let clients delete shapes"},
        {"SLUICE_MAX_CONCURRENT_REQUESTS", "ELECTRIC_MAX_CONCURRENT_REQUESTS", KNOB_STR,
         "{\"initial\":300,\"existing\":10000}", 0, 0, offsetof(struct edge_conf, max_concurrent),
         "requests in work at once; a JSON object"},
        {"SLUICE_EDGE_CACHE_BYTES", NULL, KNOB_BYTES, "64m", 0, (uint64_t)1 << 40,
         offsetof(struct edge_conf, cache_bytes),
         "closed chunks kept in memory, with their compressed forms"},
        {"SLUICE_EDGE_BODY_BYTES", NULL, KNOB_BYTES, "64m", 20 << 20, (uint64_t)1 << 40,
         offsetof(struct edge_conf, body_bytes),
         "bodies of requests in memory at once; requests beyond it are cut off or get 503"},
        {"SLUICE_EDGE_ANSWER_BYTES", NULL, KNOB_BYTES, "96m", 1 << 20, (uint64_t)1 << 40,
         offsetof(struct edge_conf, answer_bytes),
         "what answers under way may take beside the cache; clients are served in smaller and "
         "smaller pieces as it fills, and new answers refused with 503 when it is full"},
        {"SLUICE_EDGE_COMPRESS_THREADS", NULL, KNOB_U64, "1", 0, 64,
         offsetof(struct edge_conf, compress_threads),
         "threads that compress closed chunks for clients that accept it; 0: none is compressed"},
        {"SLUICE_EDGE_STATIC_DIR", NULL, KNOB_STR, "", 0, 0, offsetof(struct edge_conf, static_dir),
         "directory served below /demo/; empty: none"},
        {"SLUICE_EDGE_HTTP2", NULL, KNOB_BOOL, "false", 0, 0, offsetof(struct edge_conf, http2),
         "accept HTTP/2 without TLS; the library's implementation is old, keep it off in public"},
};
const size_t edge_n_knobs = sizeof(edge_knobs) / sizeof(edge_knobs[0]);

struct metric edge_metrics[EDGE_N_METRICS] = {
#define X(name, suffix, type, what) [EDGE_##name] = {"sluice_edge_" suffix, type, what, 0},
        EDGE_METRICS(X)
#undef X
};
