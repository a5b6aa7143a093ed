/* Counters and gauges, declared in one table per service and shown as Prometheus text on the admin
 * port. Updating is one relaxed atomic operation from any thread. */
#ifndef COMMON_OBS_METRIC_H
#define COMMON_OBS_METRIC_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
        const char *name; /* sluice_<service>_<noun>_<unit>[_total] */
        enum metric_type type;
        const char *what;
        _Atomic int64_t value;
};

static inline void metric_add(struct metric *m, int64_t by)
{
        atomic_fetch_add_explicit(&m->value, by, memory_order_relaxed);
}
static inline void metric_set(struct metric *m, int64_t value)
{
        atomic_store_explicit(&m->value, value, memory_order_relaxed);
}
static inline int64_t metric_get(struct metric *m)
{
        return atomic_load_explicit(&m->value, memory_order_relaxed);
}

/* Prometheus text exposition format 0.0.4. */
void metric_render(struct metric *metrics, size_t n, struct buf *out);
/* Markdown table for docs/metrics.md. */
void metric_doc(const struct metric *metrics, size_t n, struct buf *out);

#endif
