/* A histogram of durations with a relative error below 0.8 % over the whole range of uint64_t (HDR
 * style: 128 equal steps between powers of two), so that nothing has to be known about the
 * distribution beforehand. */
#ifndef TESTS_BENCH_HIST_H
#define TESTS_BENCH_HIST_H

#include <stdint.h>

enum { HIST_STEP_BITS = 7, HIST_SLOTS = (64 - HIST_STEP_BITS + 1) << HIST_STEP_BITS };

struct hist {
        uint64_t count;
        uint64_t min, max;
        double sum;
        uint64_t slots[HIST_SLOTS];
};

/* 58 KB: heap, owned by the caller, freed with mem_free(). */
struct hist *hist_new(void);
void hist_reset(struct hist *h);
void hist_add(struct hist *h, uint64_t value);
/* The smallest recorded value that at least `q` (0..1) of all values do not exceed, within the
 * error; 0 when empty. q = 1 is the maximum, exactly. */
uint64_t hist_quantile(const struct hist *h, double q);
double hist_mean(const struct hist *h);

#endif
