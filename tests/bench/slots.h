/* The server's replication slots, as Postgres tells: those of the run's database that somebody
 * reads. */
#ifndef TESTS_BENCH_SLOTS_H
#define TESTS_BENCH_SLOTS_H

#include <stdint.h>

struct bench;

/* Fails the run when nobody reads a slot: then there is nothing to wait for. */
void slots_require(struct bench *b);
/* Until all of them are confirmed up to `end_lsn` (as Postgres prints it); fails the run when that
 * takes longer than `seconds`. */
void slots_wait_confirmed(struct bench *b, const char *end_lsn, uint64_t seconds);

#endif
