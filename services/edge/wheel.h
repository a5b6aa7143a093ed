/* Timers by the ten thousand: a hashed wheel of coarse ticks. Setting and cancelling are O(1); an
 * entry fires at the first advance at or after its time, at most one tick late. One thread; time
 * comes in as a parameter. */
#ifndef SERVICES_EDGE_WHEEL_H
#define SERVICES_EDGE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"

enum {
        WHEEL_TICK_MS = 20,
        WHEEL_SLOTS = 1024 /* one turn is 20 s: a long poll is looked at once */
};

struct wheel_entry {
        struct list link; /* list of one: not set */
        uint64_t due_tick;
};

struct wheel {
        struct list slots[WHEEL_SLOTS];
        uint64_t done_tick; /* every tick up to this one has fired */
        uint64_t count;
};

typedef void wheel_callback(void *arg, struct wheel_entry *e);

void wheel_init(struct wheel *w, uint64_t now_ms);
void wheel_entry_init(struct wheel_entry *e);
static inline bool wheel_is_set(const struct wheel_entry *e)
{
        return !list_empty(&e->link);
}
/* Sets or sets again. */
void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t at_ms);
/* Harmless when it is not set. */
void wheel_cancel(struct wheel *w, struct wheel_entry *e);
/* Fires what is due. The callback may set and cancel any entry. */
void wheel_advance(struct wheel *w, uint64_t now_ms, wheel_callback *cb, void *arg);

#endif
