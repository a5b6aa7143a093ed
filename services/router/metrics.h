/* The router's metrics, made from metrics.def. Any thread. */
#ifndef SERVICES_ROUTER_METRICS_H
#define SERVICES_ROUTER_METRICS_H

#include "common/obs/metric.h"

enum router_metric {
#define M(id, type, name, what) METRIC_##id,
#include "services/router/metrics.def"
#undef M
        ROUTER_METRICS
};

extern struct metric router_metrics[ROUTER_METRICS];

static inline void count(enum router_metric m, int64_t by)
{
        metric_add(&router_metrics[m], by);
}
static inline void gauge(enum router_metric m, uint64_t value)
{
        metric_set(&router_metrics[m], (int64_t)value);
}

#endif
