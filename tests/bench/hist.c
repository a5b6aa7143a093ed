#include "tests/bench/hist.h"

#include <math.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { STEPS = 1 << HIST_STEP_BITS };

struct hist *hist_new(void)
{
        struct hist *h = mem_new(struct hist);
        hist_reset(h);
        return h;
}

void hist_reset(struct hist *h)
{
        memset(h, 0, sizeof *h);
        h->min = UINT64_MAX;
}

/* How far a value is shifted so that it keeps one bit more than HIST_STEP_BITS. */
static unsigned shift_of(uint64_t value)
{
        if (value < 2 * STEPS)
                return 0;
        return 63U - (unsigned)__builtin_clzll(value) - HIST_STEP_BITS;
}

void hist_add(struct hist *h, uint64_t value)
{
        unsigned shift = shift_of(value);
        uint64_t slot = ((uint64_t)shift << HIST_STEP_BITS) + (value >> shift);
        SLUICE_ASSERT(slot < HIST_SLOTS);
        h->slots[slot]++;
        h->count++;
        h->sum += (double)value;
        if (value < h->min)
                h->min = value;
        if (value > h->max)
                h->max = value;
}

/* The largest value that lands in the slot. */
static uint64_t slot_top(uint64_t slot)
{
        if (slot < 2 * STEPS)
                return slot;
        unsigned shift = (unsigned)(slot >> HIST_STEP_BITS) - 1;
        uint64_t steps = slot - ((uint64_t)shift << HIST_STEP_BITS);
        return (steps << shift) + (((uint64_t)1 << shift) - 1);
}

uint64_t hist_quantile(const struct hist *h, double q)
{
        SLUICE_ASSERT(q >= 0 && q <= 1);
        if (h->count == 0)
                return 0;
        double wanted = ceil(q * (double)h->count);
        uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted;
        if (rank >= h->count)
                return h->max;
        uint64_t seen = 0;
        for (uint64_t slot = 0; slot < HIST_SLOTS; slot++) {
                seen += h->slots[slot];
                if (seen >= rank)
                        return slot_top(slot) < h->max ? slot_top(slot) : h->max;
        }
        return h->max;
}

double hist_mean(const struct hist *h)
{
        return h->count ? h->sum / (double)h->count : 0;
}
