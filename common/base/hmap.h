/* Hash map from byte-string keys to pointers: open addressing, xxh3. The map copies keys and owns
 * the copies; values are the caller's. One thread. */
#ifndef COMMON_BASE_HMAP_H
#define COMMON_BASE_HMAP_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct hmap_slot;

struct hmap {
        struct hmap_slot *slots;
        size_t cap;  /* power of two, 0 before the first put */
        size_t used; /* live entries */
        size_t dead; /* tombstones */
};

void hmap_init(struct hmap *m);
void hmap_fini(struct hmap *m);
static inline size_t hmap_count(const struct hmap *m)
{
        return m->used;
}
/* Borrowed value or NULL. */
void *hmap_find(const struct hmap *m, struct slice key);
/* Sets or replaces; value must not be NULL. Returns the value replaced, or NULL. */
void *hmap_put(struct hmap *m, struct slice key, void *value);
/* Removes and returns the value, or NULL. */
void *hmap_take(struct hmap *m, struct slice key);
/* Iterates: start with *cursor = 0; NULL at the end. The map must not change meanwhile, except that
 * the entry just returned may be taken. */
void *hmap_next(const struct hmap *m, size_t *cursor, struct slice *key);

#define HMAP_KEY(object) slice_of((const char *)&(object), sizeof(object))

#endif
