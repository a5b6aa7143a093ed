/* Batches kept for shapes that are HELD: what arrives between a shape's registration and the moment
 * its snapshot is known. One queue for all of them, numbered, with a maximum in bytes; beyond it
 * everything is dropped and the shapes must be held again. The writer thread's. */
#ifndef SERVICES_ROUTER_HELD_H
#define SERVICES_ROUTER_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/router/batch.h"

struct held {
        struct batch **batches; /* references; batch number first + i */
        size_t n, cap;
        uint64_t first; /* number of the first one */
        size_t bytes, max_bytes;
};

void held_init(struct held *h, size_t max_bytes);
void held_fini(struct held *h);
/* The number that the next batch will get. */
static inline uint64_t held_next(const struct held *h)
{
        return h->first + h->n;
}
/* Keeps a reference. False: it would not fit, everything was dropped. */
bool held_push(struct held *h, struct batch *b);
/* Borrowed. */
struct batch *held_get(const struct held *h, uint64_t number);
/* Drops what comes before `number`. */
void held_drop(struct held *h, uint64_t number);

#endif
