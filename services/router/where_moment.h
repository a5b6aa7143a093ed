/* Texts as Postgres' input functions of date, time, timestamp and timestamptz read them (its
 * datetime.c), with DateStyle ISO, DMY and TimeZone UTC: what a cast of a text column needs. The
 * texts of a temporal column and of constants are read by where_time.h, which knows fewer forms.
 *
 * Some texts are not judged: what they are depends on the clock (now, today), on settings or files
 * of the server (the names and abbreviations of time zones), or differs between its versions. Here
 * they are errors. So that the database agrees, the SQL filters what it casts by a regular
 * expression that nothing else passes; what passes is read here exactly as Postgres 14 to 18 do.
 * Pure; any thread. */
#ifndef SERVICES_ROUTER_WHERE_MOMENT_H
#define SERVICES_ROUTER_WHERE_MOMENT_H

#include "services/router/where_type.h"

/* Is a cast from a text to the type filtered? */
static inline bool where_cast_is_filtered(enum where_type to)
{
        return to == WT_DATE || to == WT_TIME || to == WT_TIMESTAMP || to == WT_TIMESTAMPTZ ||
               to == WT_INTERVAL;
}
/* Postgres' regular expression, which ignores case, of the texts that are judged. */
const char *where_cast_filter(enum where_type to);
/* The value of a text that is cast to one of these types. ERR_FORMAT, ERR_RANGE. */
int where_cast_read(enum where_type to, struct slice text, struct where_value *out);

/* The filter of date, timestamp and timestamptz, or of time; the value. */
const char *where_moment_filter(bool time_only);
int where_moment_read(enum where_type t, struct slice text, int64_t *out);

#endif
