/* Where a snapshot's chunks end (protocol §6.3): the row with which the sum of row sizes, each plus
 * one, reaches the threshold is the last of its chunk. What follows the last row, snapshot-end,
 * belongs to the chunk after the last closed one. Pure. */
#ifndef SERVICES_ROUTER_CUTTER_H
#define SERVICES_ROUTER_CUTTER_H

#include <stdbool.h>
#include <stdint.h>

struct cutter {
        uint64_t threshold;
        uint64_t sum;
        uint32_t chunk; /* the next row's, 0-based */
};

static inline struct cutter cutter_init(uint64_t threshold)
{
        return (struct cutter){.threshold = threshold};
}

/* Counts a row into the current chunk. True when it closes it: then cutter_next() is to be called.
 */
static inline bool cutter_add(struct cutter *c, uint64_t row_bytes)
{
        c->sum += row_bytes + 1;
        return c->sum >= c->threshold;
}

static inline void cutter_next(struct cutter *c)
{
        c->sum = 0;
        c->chunk++;
}

#endif
