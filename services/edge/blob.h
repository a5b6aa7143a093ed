/* Bytes that several owners share: mostly a message as the bus received it, sent by reference to
 * any number of clients. The count is not atomic: a blob belongs to one loop once it has been
 * posted there. */
#ifndef SERVICES_EDGE_BLOB_H
#define SERVICES_EDGE_BLOB_H

#include <stdint.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/base/slice.h"
#include "common/bus/bus.h"

enum { BLOB_MAGIC = 0xb10b0001 };

struct blob {
        uint32_t magic;
        uint32_t refs;
        struct bus_msg *msg; /* NULL: the bytes are our own copy */
        struct slice bytes;
};

static inline struct blob *blob_new(struct bus_msg *msg, struct slice bytes)
{
        struct blob *b = mem_new(struct blob);
        *b = (struct blob){.magic = BLOB_MAGIC, .refs = 1, .msg = msg, .bytes = bytes};
        return b;
}

/* A message, kept without copying; one reference. */
static inline struct blob *blob_of(struct bus_msg *msg)
{
        return blob_new(bus_msg_ref(msg), bus_msg_body(msg));
}

/* A copy, with one reference. */
static inline struct blob *blob_copy(struct slice bytes)
{
        return blob_new(NULL, slice_dup(bytes));
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
        if (b->msg)
                bus_msg_unref(b->msg);
        else
                mem_free((void *)(uintptr_t)b->bytes.p);
        b->magic = 0;
        mem_free(b);
}

static inline struct slice blob_slice(const struct blob *b)
{
        return b->bytes;
}

#endif
