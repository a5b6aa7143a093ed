/* The physical reference for throughput: pg_recvlogical, pgoutput to /dev/null. */
#ifndef TESTS_BENCH_RECVLOGICAL_H
#define TESTS_BENCH_RECVLOGICAL_H

#include <stdint.h>

struct bench;

/* Creates the slot `<run>_ref<number>`: what is written from now on waits in it. */
void recvlogical_create(struct bench *b, int number);
/* Drains the slot up to `end_lsn` (as Postgres prints it); nanoseconds from start to exit. */
uint64_t recvlogical_drain(struct bench *b, int number, const char *end_lsn);
void recvlogical_drop(struct bench *b, int number);

#endif
