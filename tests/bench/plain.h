/* The physical reference for fan-out: a process that writes the same number of bytes to the same
 * number of plain sockets, one write after the other, while this process reads them in the same
 * loop as it reads its clients. */
#ifndef TESTS_BENCH_PLAIN_H
#define TESTS_BENCH_PLAIN_H

#include <stddef.h>
#include <stdint.h>

struct bench;
struct samples;

/* Adds `rounds` measurements in milliseconds, from the word to write to the last byte of the last
 * socket, to *out. */
void plain_fanout(struct bench *b, size_t sockets, size_t bytes, int rounds, struct samples *out);

#endif
