/* Makes shapes that no row of a run matches: `name = 'x<i>'` or `name ILIKE 'x<i>%'`, each synced
 * once by one of a few connections. */
#ifndef TESTS_BENCH_MAKER_H
#define TESTS_BENCH_MAKER_H

#include <stdbool.h>
#include <stdint.h>

struct bench;

struct maker {
        struct bench *b;
        const char *operator; /* "=" or "ILIKE" */
        const char *table;    /* without its schema */
        uint64_t next;        /* the first that is not made */
        uint64_t count, finished, wanted;
        bool done;
};

/* Up to shape count-1. Returns shapes per second, or REPORT_NONE when there are none to make. */
double maker_make(struct maker *m, uint64_t count);

#endif
