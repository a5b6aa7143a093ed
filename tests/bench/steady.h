/* A shape with one live client on a table of its own, written to at a steady rate: how late the
 * rows are seen while something else happens to the server. Rows are sent whether or not those
 * before them were seen. */
#ifndef TESTS_BENCH_STEADY_H
#define TESTS_BENCH_STEADY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/feed.h"
#include "tests/bench/hist.h"
#include "tests/bench/shape.h"

struct bench;

struct steady {
        struct bench *b;
        struct shape_client client;
        struct feed feed;
        char table[80];
        char *definition;
        struct hist *seen; /* since steady_begin() */
        uint64_t next_id;  /* the client's */
        bool synced, done;
};

/* Makes the table `name` and waits until the client is live. */
void steady_open(struct steady *s, struct bench *b, const char *name);
void steady_close(struct steady *s);
/* Begins to write, 20 rows a second. */
void steady_begin(struct steady *s);
/* Writes no more, and waits until what was written is seen. */
void steady_end(struct steady *s, uint64_t seconds);

#endif
