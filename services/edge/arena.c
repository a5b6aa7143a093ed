#include "services/edge/arena.h"

#include <stdint.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { ARENA_BLOCK = 32 * 1024, ARENA_ALIGN = 16 };

struct arena_block {
        struct arena_block *next;
        size_t used, cap;
        _Alignas(ARENA_ALIGN) char bytes[];
};

static struct arena_block *block_new(size_t cap, struct arena_block *next)
{
        struct arena_block *b = mem_array(1, sizeof(*b) + cap);
        b->next = next;
        b->used = 0;
        b->cap = cap;
        return b;
}

void arena_init(struct arena *a)
{
        a->first = block_new(ARENA_BLOCK, NULL);
        a->rest = NULL;
}

void arena_fini(struct arena *a)
{
        arena_reset(a);
        mem_free(a->first);
        a->first = NULL;
}

void arena_reset(struct arena *a)
{
        while (a->rest) {
                struct arena_block *b = a->rest;
                a->rest = b->next;
                mem_free(b);
        }
        a->first->used = 0;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
        SLUICE_ASSERT(bytes <= SIZE_MAX / 2);
        size_t need = (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
        struct arena_block *b = a->rest ? a->rest : a->first;
        if (b->cap - b->used < need) {
                b = block_new(need > ARENA_BLOCK ? need : ARENA_BLOCK, a->rest);
                a->rest = b;
        }
        char *p = b->bytes + b->used;
        b->used += need;
        memset(p, 0, need);
        return p;
}

void *arena_array(struct arena *a, size_t count, size_t object_bytes)
{
        size_t bytes;
        bool overflow = __builtin_mul_overflow(count, object_bytes, &bytes);
        SLUICE_ASSERT(!overflow);
        return arena_alloc(a, bytes);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
        char *p = arena_alloc(a, s.len + 1);
        if (s.len)
                memcpy(p, s.p, s.len);
        return slice_of(p, s.len);
}
