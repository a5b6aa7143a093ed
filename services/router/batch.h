/* A batch of the change stream (common/wire/change.h) on its way through the writer: reference
 * counted, because shapes that wait for their snapshot keep it; its bytes stay in the bus' message.
 * Any thread. */
#ifndef SERVICES_ROUTER_BATCH_H
#define SERVICES_ROUTER_BATCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/slice.h"

struct bus_msg;

struct batch {
        uint32_t magic;
        _Atomic uint32_t refs;
        struct list node; /* the writer's queue */
        uint64_t epoch, seq;
        struct slice bytes;  /* in msg or copy */
        struct bus_msg *msg; /* a reference of its own, or NULL */
        char *copy;          /* owned, or NULL */
};

enum { BATCH_MAGIC = 0xba7c4001 };

/* Takes the message, whose body holds `bytes`. */
struct batch *batch_of_msg(struct bus_msg *msg, uint64_t epoch, uint64_t seq, struct slice bytes);
struct batch *batch_of_copy(uint64_t epoch, uint64_t seq, struct slice bytes);
struct batch *batch_ref(struct batch *b);
void batch_unref(struct batch *b);

#endif
