#include "services/edge/lru.h"

#include "common/base/assert.h"

void lru_init(struct lru *l, size_t max_bytes)
{
        list_init(&l->order);
        l->bytes = 0;
        l->max_bytes = max_bytes;
        l->count = 0;
}

void lru_node_init(struct lru_node *n)
{
        list_init(&n->link);
        n->bytes = 0;
}

bool lru_contains(const struct lru_node *n)
{
        return !list_empty(&n->link);
}

bool lru_add(struct lru *l, struct lru_node *n, size_t bytes)
{
        SLUICE_ASSERT(!lru_contains(n));
        if (bytes > l->max_bytes)
                return false;
        n->bytes = bytes;
        l->bytes += bytes;
        l->count++;
        list_push_back(&l->order, &n->link);
        return true;
}

void lru_grow(struct lru *l, struct lru_node *n, size_t bytes)
{
        SLUICE_ASSERT(lru_contains(n));
        n->bytes += bytes;
        l->bytes += bytes;
}

void lru_touch(struct lru *l, struct lru_node *n)
{
        SLUICE_ASSERT(lru_contains(n));
        list_remove(&n->link);
        list_push_back(&l->order, &n->link);
}

void lru_remove(struct lru *l, struct lru_node *n)
{
        SLUICE_ASSERT(lru_contains(n));
        SLUICE_ASSERT(l->bytes >= n->bytes && l->count > 0);
        list_remove(&n->link);
        l->bytes -= n->bytes;
        l->count--;
}

struct lru_node *lru_evict(struct lru *l)
{
        if (l->bytes <= l->max_bytes)
                return NULL;
        SLUICE_ASSERT(!list_empty(&l->order));
        struct lru_node *n = LIST_OBJ(l->order.next, struct lru_node, link);
        lru_remove(l, n);
        return n;
}
