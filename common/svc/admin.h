/* The admin port of a service: /metrics (Prometheus text), /healthz (200 while the process lives)
 * and /readyz (200 when svc_get_state() is SVC_ACTIVE, else 503; the reason as JSON). It has a
 * thread and an h2o loop of its own, so it answers while the service is busy, and costs nothing
 * when it is not opened. One per process. */
#ifndef COMMON_SVC_ADMIN_H
#define COMMON_SVC_ADMIN_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/obs/metric.h"

/* Listens and starts the thread. `metrics` is borrowed until admin_close(). ERR_EXISTS when the
 * port is in use, ERR_CONF for an address that is none of ours, ERR_IO; *why gets one line. */
int admin_open(const char *host, uint16_t port, struct metric *metrics, size_t n_metrics,
               struct buf *why);
/* Nothing is served and `metrics` is not read after it returns; harmless when it was not opened. It
 * cannot be opened again. */
void admin_close(void);

#endif
