/* Waits until an edge says that the whole path works: asks GET /v1/health until the answer is 200.
 * Main thread only. */
#ifndef SUPERVISOR_HEALTH_H
#define SUPERVISOR_HEALTH_H

#include <stdint.h>

#include "common/svc/loop.h"

struct health;

/* `host` is numeric; the addresses that mean "all" are asked as loopback. `on_healthy` is called
 * once. */
struct health *health_new(struct loop *l, const char *host, uint16_t port,
                          void (*on_healthy)(void *arg), void *arg);
void health_free(struct health *h);
/* What the last attempt met, one line for a person. Borrowed. */
const char *health_reason(const struct health *h);
/* The address as it stands in a URL ("127.0.0.1", "[::1]"), borrowed. */
const char *health_host(const struct health *h);

#endif
