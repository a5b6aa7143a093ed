/* Memory that is dropped as a group: what parsing one request needs. One thread; a loop has one
 * arena and empties it before each request, so that a parked client costs nothing of it. */
#ifndef SERVICES_EDGE_ARENA_H
#define SERVICES_EDGE_ARENA_H

#include <stddef.h>

#include "common/base/slice.h"

struct arena_block;

struct arena {
        struct arena_block *first; /* kept by arena_reset() */
        struct arena_block *rest;  /* freed by it */
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);
/* Everything allocated is invalid afterwards. */
void arena_reset(struct arena *a);
/* Zeroed, aligned for any type. What is asked for is bounded by the size of a request (I7). */
void *arena_alloc(struct arena *a, size_t bytes);
/* Zeroed room for `count` objects; the product is checked. */
void *arena_array(struct arena *a, size_t count, size_t object_bytes);
/* A copy that the arena owns. */
struct slice arena_dup(struct arena *a, struct slice s);

#endif
