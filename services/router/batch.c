#include "services/router/batch.h"

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"

static struct batch *batch_new(uint64_t epoch, uint64_t seq)
{
        struct batch *b = mem_new(struct batch);
        b->magic = BATCH_MAGIC;
        atomic_init(&b->refs, 1);
        list_init(&b->node);
        b->epoch = epoch;
        b->seq = seq;
        return b;
}

struct batch *batch_of_msg(struct bus_msg *msg, uint64_t epoch, uint64_t seq, struct slice bytes)
{
        struct batch *b = batch_new(epoch, seq);
        b->msg = msg;
        b->bytes = bytes;
        return b;
}

struct batch *batch_of_copy(uint64_t epoch, uint64_t seq, struct slice bytes)
{
        struct batch *b = batch_new(epoch, seq);
        b->bytes = slice_dup(bytes);
        b->copy = (char *)b->bytes.p;
        return b;
}

struct batch *batch_ref(struct batch *b)
{
        CHECK_OBJ(b, BATCH_MAGIC);
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
        return b;
}

void batch_unref(struct batch *b)
{
        CHECK_OBJ(b, BATCH_MAGIC);
        if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
                return;
        if (b->msg)
                bus_msg_unref(b->msg);
        mem_free(b->copy);
        b->magic = 0;
        mem_free(b);
}
