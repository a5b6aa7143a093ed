/* Content codings: which one a request gets (RFC 9110 §8.4, §12.5.3). Pure functions. */
#ifndef SERVICES_EDGE_CODING_H
#define SERVICES_EDGE_CODING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

/* In the order of preference between codings that a client wants equally: on rows as JSON zstd is
 * the smallest and by far the cheapest (compress.c has the figures), brotli comes close. */
enum coding { CODING_ZSTD, CODING_BROTLI, CODING_GZIP, CODING_IDENTITY, N_CODINGS };

/* The name on the wire. */
struct slice coding_name(enum coding c);

/* What the Accept-Encoding lines of a request say so far. */
struct coding_wish {
        int16_t weight[N_CODINGS]; /* in thousandths; -1: not named */
        int16_t others;            /* `*`; -1: not named */
};

void coding_wish_init(struct coding_wish *w);
/* One header line; elements that are not well-formed are skipped. */
void coding_wish_add(struct coding_wish *w, struct slice line);
/* The coding with the greatest weight. Identity when no other is acceptable, be it acceptable or
 * not: an answer that cannot be read is worth more than none. `*` alone stands for gzip, the one
 * that everybody who says `*` can read. */
enum coding coding_choose(const struct coding_wish *w);

#endif
