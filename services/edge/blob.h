/* Bytes that several owners share: received once, sent by reference to any number of clients. The
 * count is not atomic: a blob belongs to one loop once it has been posted there. */
#ifndef SERVICES_EDGE_BLOB_H
#define SERVICES_EDGE_BLOB_H

#include <stdint.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/base/slice.h"

enum { BLOB_MAGIC = 0xb10b0001 };

struct blob {
        uint32_t magic;
        uint32_t refs;
        size_t len;
        char bytes[];
};

/* A copy, with one reference. */
static inline struct blob *blob_new(struct slice s)
{
        struct blob *b = mem_array(1, sizeof(*b) + s.len);
        b->magic = BLOB_MAGIC;
        b->refs = 1;
        b->len = s.len;
        if (s.len)
                memcpy(b->bytes, s.p, s.len);
        return b;
}

static inline struct blob *blob_ref(struct blob *b)
{
        CHECK_OBJ(b, BLOB_MAGIC);
        b->refs++;
        return b;
}

/* NULL is allowed. */
static inline void blob_unref(struct blob *b)
{
        if (!b)
                return;
        CHECK_OBJ(b, BLOB_MAGIC);
        SLUICE_ASSERT(b->refs > 0);
        if (--b->refs > 0)
                return;
        b->magic = 0;
        mem_free(b);
}

static inline struct slice blob_slice(const struct blob *b)
{
        return slice_of(b->bytes, b->len);
}

#endif
