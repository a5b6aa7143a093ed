/* A few measurements of one thing and their median. */
#ifndef TESTS_BENCH_STATS_H
#define TESTS_BENCH_STATS_H

#include <stddef.h>

struct samples {
        double *at;
        size_t count, cap;
};

void samples_add(struct samples *s, double value);
/* 0 when there are none. */
double samples_median(const struct samples *s);
void samples_fini(struct samples *s);

#endif
