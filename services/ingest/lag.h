/* How late a position of the WAL is, in time: samples of where the WAL ended when. Bounded: when
 * it is full every second sample goes and new ones come half as often, so that a lag of days is
 * still told, to a hundredth of it. Pure; time is a parameter. */
#ifndef SERVICES_INGEST_LAG_H
#define SERVICES_INGEST_LAG_H

#include <stdint.h>

#include "common/base/offset.h"

enum { LAG_SAMPLES = 256 };

struct lag {
        struct lag_sample {
                lsn_t end;
                uint64_t at_ms;
        } samples[LAG_SAMPLES]; /* ascending */
        uint32_t n;
        uint64_t stride_ms; /* between samples */
};

/* The WAL ends at `end`. An end before the last one is of another server: all is forgotten. */
void lag_note(struct lag *l, lsn_t end, uint64_t now_ms);
/* Nobody will ask about positions before `at`. */
void lag_release(struct lag *l, lsn_t at);
/* Bytes that the last known end is ahead of `at`, the first byte that has not been dealt with. */
uint64_t lag_bytes(const struct lag *l, lsn_t at);
/* Since when the WAL is known to have gone beyond `at`; 0: it has not. */
uint64_t lag_ms(const struct lag *l, lsn_t at, uint64_t now_ms);

#endif
