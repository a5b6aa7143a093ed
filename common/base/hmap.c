#include "common/base/hash.h"
#include "common/base/hmap.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

/* Most keys are numbers: what fits into a pointer is kept in its place. */
union hmap_key {
        char *far; /* owned */
        char near[sizeof(char *)];
};

struct hmap_slot {
        uint64_t hash;
        union hmap_key key;
        size_t key_len;
        void *value; /* NULL: never used; DEAD: not any more */
};

enum { FIRST_CAP = 16 };
static char dead_marker;
#define DEAD ((void *)&dead_marker)

static bool is_near(size_t key_len)
{
        return key_len <= sizeof(union hmap_key);
}

static bool is_live(const struct hmap_slot *slot)
{
        return slot->value && slot->value != DEAD;
}

static struct slice key_of(const struct hmap_slot *slot)
{
        return slice_of(is_near(slot->key_len) ? slot->key.near : slot->key.far, slot->key_len);
}

static void set_key(struct hmap_slot *slot, struct slice key)
{
        slot->key_len = key.len;
        if (!is_near(key.len))
                slot->key.far = slice_dup_cstr(key);
        else if (key.len > 0)
                memcpy(slot->key.near, key.p, key.len);
}

static void free_key(struct hmap_slot *slot)
{
        if (!is_near(slot->key_len))
                mem_free(slot->key.far);
}

void hmap_init(struct hmap *m)
{
        *m = (struct hmap){0};
}

void hmap_fini(struct hmap *m)
{
        for (size_t i = 0; i < m->cap; i++)
                if (is_live(&m->slots[i]))
                        free_key(&m->slots[i]);
        mem_free(m->slots);
        hmap_init(m);
}

static bool slot_is(const struct hmap_slot *slot, uint64_t hash, struct slice key)
{
        return is_live(slot) && slot->hash == hash && slice_eq(key_of(slot), key);
}

static struct hmap_slot *find_slot(const struct hmap *m, uint64_t hash, struct slice key)
{
        if (m->cap == 0)
                return NULL;
        for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
                struct hmap_slot *slot = &m->slots[i];
                if (slot_is(slot, hash, key))
                        return slot;
                if (!slot->value)
                        return NULL;
        }
}

static void rehash(struct hmap *m, size_t cap)
{
        struct hmap_slot *slots = mem_zalloc(cap * sizeof(*slots));
        for (size_t i = 0; i < m->cap; i++) {
                if (!is_live(&m->slots[i]))
                        continue;
                size_t at = m->slots[i].hash & (cap - 1);
                while (slots[at].value)
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
        while (is_live(&m->slots[at]))
                at = (at + 1) & (m->cap - 1);
        slot = &m->slots[at];
        if (slot->value == DEAD)
                m->dead--;
        *slot = (struct hmap_slot){.hash = hash, .value = value};
        set_key(slot, key);
        m->used++;
        return NULL;
}

void *hmap_take(struct hmap *m, struct slice key)
{
        struct hmap_slot *slot = find_slot(m, hash64(key), key);
        if (!slot)
                return NULL;
        void *value = slot->value;
        free_key(slot);
        *slot = (struct hmap_slot){.value = DEAD};
        m->used--;
        m->dead++;
        return value;
}

void *hmap_next(const struct hmap *m, size_t *cursor, struct slice *key)
{
        while (*cursor < m->cap) {
                const struct hmap_slot *slot = &m->slots[(*cursor)++];
                if (!is_live(slot))
                        continue;
                if (key)
                        *key = key_of(slot);
                return slot->value;
        }
        return NULL;
}
