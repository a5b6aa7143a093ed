/* No more shapes than configured: those that nobody has asked for the longest go (protocol §9.4).
 * Asked for is what an edge resolves, reads, or asks the tail of: it does so every few seconds for
 * what clients wait for or have asked for, also where it had the answer itself. What was not asked
 * for since the start counts as older than anything else. */
#ifndef SERVICES_ROUTER_LIMIT_H
#define SERVICES_ROUTER_LIMIT_H

#include <stdint.h>

#include "common/svc/loop.h"
#include "services/router/writer.h"

struct limit;

/* The loop's thread. `writer` is not started yet. NULL when `max_shapes` is 0: there is no limit,
 * and the other functions do nothing. */
struct limit *limit_new(struct loop *loop, struct writer *writer, uint64_t max_shapes);
/* The writer is stopped. */
void limit_free(struct limit *l);
void limit_start(struct limit *l);

/* Any thread. */
void limit_used(struct limit *l, uint64_t shape_id);
void limit_forget(struct limit *l, uint64_t shape_id);

#endif
