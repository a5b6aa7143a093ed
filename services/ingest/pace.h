/* When the replication socket may be left alone for a moment.
 *
 * The walsender sends every row by itself. Waking for each costs it, us and everybody behind us
 * more than the row does, so while rows come in quick succession the socket is looked at once in
 * PACE_REST_MS and what has gathered by then is one batch. Who comes alone is not made to wait: a
 * rest begins only behind the second of two batches less than two rests apart, or inside a
 * transaction that is already large. Pure: the time comes in. */
#ifndef SERVICES_INGEST_PACE_H
#define SERVICES_INGEST_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACE_REST_MS = 1, PACE_LARGE_BYTES = 16384 };

struct pace {
        uint64_t cut_us; /* when a batch was cut last, on the monotonic clock; 0: never */
        bool close;      /* and it was close to the one before */
};

void pace_cut(struct pace *p, uint64_t now_us);
/* The socket has run dry between transactions. */
bool pace_may_rest(const struct pace *p, uint64_t now_us);
/* It has within one, of which so many bytes wait to be cut. */
bool pace_may_rest_in_txn(size_t waiting_bytes);

#endif
