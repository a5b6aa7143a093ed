/* A run: the log record that holds consecutive entries of one shape together with an index of their
 * offsets.
 *
 *   u64 checksum (xxh3 of the rest) · u32 n · n × { u64 tx, u64 op, u32 end } · bytes
 *
 * All little-endian, as the host is; `end` is where entry i ends in `bytes`, which is the entries
 * joined by commas. Pure. */
#ifndef SERVICES_ROUTER_RUN_H
#define SERVICES_ROUTER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/offset.h"
#include "common/base/slice.h"

enum { RUN_HEAD_BYTES = 12, RUN_INDEX_BYTES = 20 };

static inline size_t run_bytes(uint32_t n, size_t entries_bytes)
{
        return RUN_HEAD_BYTES + (size_t)n * RUN_INDEX_BYTES + entries_bytes;
}

/* ---- writing, into room of run_bytes(): every entry's index, the bytes, then the seal */

void run_set_index(void *room, uint32_t i, struct log_offset at, uint32_t end);
/* Where the joined entries go. */
char *run_room(void *room, uint32_t n);
void run_seal(void *room, uint32_t n, size_t entries_bytes);

/* ---- reading */

struct run {
        uint32_t n;
        const unsigned char *index;
        struct slice bytes;
};

/* Borrows `value`; ERR_CORRUPT. */
int run_parse(struct slice value, struct run *out);
struct log_offset run_offset(const struct run *r, uint32_t i);
/* Entries [from, to) with the commas between them; ERR_CORRUPT. */
int run_slice(const struct run *r, uint32_t from, uint32_t to, struct slice *out);
/* Number of entries at or before `at`: the index of the first one after it. */
uint32_t run_find(const struct run *r, struct log_offset at);
/* The largest `to` in (from, limit] with at most max_bytes in [from, to); from + 1 at least. */
uint32_t run_fit(const struct run *r, uint32_t from, uint32_t limit, uint64_t max_bytes);

#endif
