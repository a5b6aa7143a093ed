/* Many live clients, of one shape or of several, who all expect the same rows 1, 2, 3 … in order.
 */
#ifndef TESTS_BENCH_CROWD_H
#define TESTS_BENCH_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/hist.h"
#include "tests/bench/shape.h"

struct bench;

struct crowd {
        struct bench *b;
        struct shape_client *clients;
        size_t count, started, synced;
        bool all_synced;
        uint64_t target_id; /* the row that ends the round */
        size_t reached;     /* clients that have it */
        uint64_t last_ns;   /* when the last of them got it */
        bool all_reached;
        struct hist *seen; /* of the rows that end a round; NULL: not measured */
};

/* Opens `count` clients of one definition and waits until all are up to date and live; at most 256
 * are on their way at a time. */
void crowd_open(struct crowd *c, struct bench *b, const char *definition, size_t count,
                enum shape_follow follow);
/* The same with a definition for each. */
void crowd_open_each(struct crowd *c, struct bench *b, char *const *definitions, size_t count,
                     enum shape_follow follow);
void crowd_close(struct crowd *c);
/* All but the first `count` go; their shapes stay. */
void crowd_keep(struct crowd *c, size_t count);
/* Before a round: row `id` will end it. */
void crowd_expect(struct crowd *c, uint64_t id);
/* Waits until every client has that row. */
void crowd_wait(struct crowd *c, uint64_t seconds);
/* Lets the clients' next requests reach the server and be parked. That is not visible from outside,
 * so it is a time: 50 ms and 50 us a client. */
void crowd_settle(struct crowd *c);
/* Bytes received on all connections so far, HTTP included. */
uint64_t crowd_bytes(const struct crowd *c);

#endif
