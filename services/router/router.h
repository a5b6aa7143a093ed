/* The router as a service: its configuration and its start, drain and stop (common/svc/svc.h). */
#ifndef SERVICES_ROUTER_ROUTER_H
#define SERVICES_ROUTER_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "common/conf/conf.h"
#include "common/svc/svc.h"

struct router_conf {
        struct svc_conf svc;
        const char *database_url, *pooled_url, *ca_file;
        uint64_t index;
        const char *dir;
        const char *changes_urls, *control_urls;
        const char *notices_url, *fetch_url;
        const char *stream_id;
        uint64_t chunk_bytes, map_bytes, snapshot_connections, snapshot_stall_ms, snapshot_ms,
                subset_connections, subset_max_bytes, schema_period_ms, schema_glance_ms,
                max_shapes;
};

extern const struct knob router_knobs[];
extern const size_t router_n_knobs;

int router_start(struct loop *loop, void *conf, struct buf *why);
void router_drain(void);
void router_stop(void);

#endif
