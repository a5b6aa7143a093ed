/* The rules of one time zone, read from a TZif file (RFC 9636, versions 1 to 4) and asked as
 * Postgres' localtime.c asks them. The bytes may be anything. Seconds count from 1970, offsets are
 * seconds east of Greenwich. Pure; immutable once read. */
#ifndef SERVICES_ROUTER_TZIF_H
#define SERVICES_ROUTER_TZIF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

enum { TZIF_MAX_BYTES = 1 << 16 };

struct tzif {
        uint32_t n;    /* transitions; the rule of the file's footer is spelled out for 400 years */
        uint32_t cap;  /* of both arrays */
        int64_t *at;   /* ascending */
        int32_t *east; /* from at[i] on */
        int32_t first; /* before at[0] */
        bool repeats;  /* after the last one, as 400 years before */
};

/* ERR_FORMAT: no such file, or one with leap seconds. */
int tzif_read(struct slice bytes, struct tzif *out);
void tzif_fini(struct tzif *z);
/* Of a moment. */
int32_t tzif_east_at(const struct tzif *z, int64_t utc);
/* Of what the clock on the wall says; of a time that it skips the one before, of a time that it
 * says twice the later one (DetermineTimeZoneOffset()). */
int32_t tzif_east_of_local(const struct tzif *z, int64_t local);

#endif
