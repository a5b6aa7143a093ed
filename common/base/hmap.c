#include "common/base/hash.h"
#include "common/base/hmap.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

struct hmap_slot {
        uint64_t hash;
        char *key; /* NULL: never used, or dead when value is DEAD */
        size_t key_len;
        void *value;
};

enum { FIRST_CAP = 16 };
static char dead_marker;
#define DEAD ((void *)&dead_marker)

void hmap_init(struct hmap *m)
{
        *m = (struct hmap){0};
}

void hmap_fini(struct hmap *m)
{
        for (size_t i = 0; i < m->cap; i++)
                mem_free(m->slots[i].key);
        mem_free(m->slots);
        hmap_init(m);
}

static bool slot_is(const struct hmap_slot *slot, uint64_t hash, struct slice key)
{
        return slot->key && slot->hash == hash && slice_eq(slice_of(slot->key, slot->key_len), key);
}

static struct hmap_slot *find_slot(const struct hmap *m, uint64_t hash, struct slice key)
{
        if (m->cap == 0)
                return NULL;
        for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
                struct hmap_slot *slot = &m->slots[i];
                if (slot_is(slot, hash, key))
                        return slot;
                if (!slot->key && slot->value != DEAD)
                        return NULL;
        }
}

static void rehash(struct hmap *m, size_t cap)
{
        struct hmap_slot *slots = mem_zalloc(cap * sizeof(*slots));
        for (size_t i = 0; i < m->cap; i++) {
                if (!m->slots[i].key)
                        continue;
                size_t at = m->slots[i].hash & (cap - 1);
                while (slots[at].key)
                        at = (at + 1) & (cap - 1);
                slots[at] = m->slots[i];
        }
        mem_free(m->slots);
        m->slots = slots;
        m->cap = cap;
        m->dead = 0;
}

void *hmap_find(const struct hmap *m, struct slice key)
{
        struct hmap_slot *slot = find_slot(m, hash64(key), key);
        return slot ? slot->value : NULL;
}

void *hmap_put(struct hmap *m, struct slice key, void *value)
{
        SLUICE_ASSERT(value != NULL && value != DEAD);
        uint64_t hash = hash64(key);
        struct hmap_slot *slot = find_slot(m, hash, key);
        if (slot) {
                void *old = slot->value;
                slot->value = value;
                return old;
        }
        if ((m->used + m->dead + 1) * 4 > m->cap * 3)
                rehash(m, m->used * 2 < FIRST_CAP ? FIRST_CAP
                          : m->used * 2 > m->cap  ? m->cap * 2
                                                  : m->cap);
        size_t at = hash & (m->cap - 1);
        while (m->slots[at].key)
                at = (at + 1) & (m->cap - 1);
        if (m->slots[at].value == DEAD)
                m->dead--;
        m->slots[at] = (struct hmap_slot){hash, slice_dup_cstr(key), key.len, value};
        m->used++;
        return NULL;
}

void *hmap_take(struct hmap *m, struct slice key)
{
        struct hmap_slot *slot = find_slot(m, hash64(key), key);
        if (!slot)
                return NULL;
        void *value = slot->value;
        mem_free(slot->key);
        *slot = (struct hmap_slot){.value = DEAD};
        m->used--;
        m->dead++;
        return value;
}

void *hmap_next(const struct hmap *m, size_t *cursor, struct slice *key)
{
        while (*cursor < m->cap) {
                const struct hmap_slot *slot = &m->slots[(*cursor)++];
                if (!slot->key)
                        continue;
                if (key)
                        *key = slice_of(slot->key, slot->key_len);
                return slot->value;
        }
        return NULL;
}
