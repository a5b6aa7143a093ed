#include "tests/bench/stats.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void samples_add(struct samples *s, double value)
{
        if (s->count == s->cap) {
                s->cap = s->cap ? s->cap * 2 : 16;
                s->at = mem_resize(s->at, s->cap, sizeof *s->at);
        }
        s->at[s->count++] = value;
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

double samples_median(const struct samples *s)
{
        if (s->count == 0)
                return 0;
        double *sorted = mem_array(s->count, sizeof *sorted);
        memcpy(sorted, s->at, s->count * sizeof *sorted);
        qsort(sorted, s->count, sizeof *sorted, compare);
        double median = s->count % 2 ? sorted[s->count / 2]
                                     : (sorted[s->count / 2 - 1] + sorted[s->count / 2]) / 2;
        mem_free(sorted);
        return median;
}

void samples_fini(struct samples *s)
{
        mem_free(s->at);
        *s = (struct samples){0};
}
