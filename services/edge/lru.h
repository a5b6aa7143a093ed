/* A byte-bounded set of objects in order of their last use. The node lives in the object; the owner
 * finds objects by its own means and frees what is evicted. One thread. */
#ifndef SERVICES_EDGE_LRU_H
#define SERVICES_EDGE_LRU_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/list.h"

struct lru_node {
        struct list link; /* list of one: not in the set */
        size_t bytes;
};

struct lru {
        struct list order; /* oldest first */
        size_t bytes, max_bytes;
        size_t count;
};

void lru_init(struct lru *l, size_t max_bytes);
void lru_node_init(struct lru_node *n);
bool lru_contains(const struct lru_node *n);
/* False, and nothing happens, when the object alone is too large. The set may be over its bound
 * afterwards: call lru_evict() until it returns NULL. */
bool lru_add(struct lru *l, struct lru_node *n, size_t bytes);
/* An object of the set became larger; as after lru_add(). */
void lru_grow(struct lru *l, struct lru_node *n, size_t bytes);
void lru_touch(struct lru *l, struct lru_node *n);
void lru_remove(struct lru *l, struct lru_node *n);
/* The oldest node, removed, while the set is over its bound; NULL when it is not. */
struct lru_node *lru_evict(struct lru *l);

#endif
