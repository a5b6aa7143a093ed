/* The writer's shapes, by id and by definition, and their loading at start. The writer thread's. */
#ifndef SERVICES_ROUTER_REGISTRY_H
#define SERVICES_ROUTER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/hmap.h"
#include "common/base/slice.h"
#include "common/store/store.h"
#include "services/router/match.h"
#include "services/router/shape.h"

struct registry {
        struct hmap by_id;
        struct hmap by_hash;     /* definition hash -> chain by next_same */
        struct hmap by_identity; /* identity hash -> chain by next_alike */
        struct hmap aliases;     /* definition -> shape, for some that are not the shape's own */
        struct match match;
};

void registry_init(struct registry *r);
/* Frees the shapes. */
void registry_fini(struct registry *r);
/* Takes the shape; its changes find it from now on. */
void registry_add(struct registry *r, struct shape *s);
/* Gives it back: nothing finds it any more. */
void registry_remove(struct registry *r, struct shape *s);
/* Borrowed or NULL. */
struct shape *registry_find(const struct registry *r, uint64_t id);
struct shape *registry_find_definition(const struct registry *r, struct slice definition);
/* By what the definition means, see clause_identity(). */
struct shape *registry_find_identity(const struct registry *r, struct slice identity);
/* Another definition of the same shape, to be found from now on. A few are kept for each shape and
 * none for long: a definition that is not found has to be looked up again. */
void registry_add_alias(struct registry *r, struct shape *s, struct slice definition);
size_t registry_count(const struct registry *r);
/* Starts with *cursor = 0; the shape returned may be removed. */
struct shape *registry_next(const struct registry *r, size_t *cursor);

/* Reads every record, writes nothing. Shapes whose snapshot is incomplete are not loaded, their ids
 * are appended to `incomplete` (uint64_t). A filter is kept only when transactions at or before its
 * LSN can still come, after `applied`. A sticky error in `t`, ERR_CORRUPT for a record that cannot
 * be read. */
void registry_load(struct registry *r, struct store_txn *t, lsn_t applied, struct buf *incomplete);

#endif
