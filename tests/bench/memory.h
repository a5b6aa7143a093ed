/* How much memory each of the server's processes needs at its most: anonymous pages, resident or
 * swapped out. Pages of files are not in it: the kernel has them back whenever it wants, and the
 * log that a router maps can be as large as the machine's memory without anybody lacking any. */
#ifndef TESTS_BENCH_MEMORY_H
#define TESTS_BENCH_MEMORY_H

#include "tests/bench/machine.h"
#include "tests/bench/net.h"

struct bench;

struct memory {
        struct bench *b;
        struct net_timer timer;
        uint64_t before[MACHINE_PROCESSES], most[MACHINE_PROCESSES]; /* bytes */
};

/* Looks every 20 ms, from the loop, until memory_report(). The struct stays where it is. */
void memory_watch(struct memory *m, struct bench *b);
/* A table of processes, and a claim about the largest. */
void memory_report(struct memory *m, const char *during);
/* Of one process now; 0 when it is gone. */
uint64_t memory_of(pid_t pid);

#endif
