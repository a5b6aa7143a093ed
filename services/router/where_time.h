/* Dates, times and intervals: as Postgres stores, reads and prints them under the display settings
 * of protocol §3.3 (ISO, UTC, iso_8601). Literals are read in these forms only, intervals in more
 * (where_interval.c); texts that are cast have forms of their own (where_moment.h). */
#ifndef SERVICES_ROUTER_WHERE_TIME_H
#define SERVICES_ROUTER_WHERE_TIME_H

#include "services/router/where_type.h"

#define USECS_PER_SEC          INT64_C(1000000)
#define USECS_PER_DAY          (INT64_C(86400) * USECS_PER_SEC)
#define TIME_INFINITY          INT64_MAX /* timestamps and dates alike, in where_value.i */
#define TIME_NINFINITY         INT64_MIN
#define TIME_DAYS_1970_TO_2000 INT64_C(10957)

/* Days and microseconds count from 2000-01-01. */
static inline bool time_is_finite(int64_t v)
{
        return v != TIME_INFINITY && v != TIME_NINFINITY;
}
bool time_date_is_valid(int64_t days);
bool time_timestamp_is_valid(int64_t usecs);

struct time_day {
        int64_t year; /* 0 is 1 BC */
        int month, day;
};
int64_t time_days_of(int64_t year, int month, int day);
struct time_day time_day_of(int64_t days);
int time_month_days(int64_t year, int month);
/* Towards the past. */
int64_t time_floor_div(int64_t a, int64_t b);

/* ERR_FORMAT, ERR_RANGE. A column can have one timestamp more than the range: the first behind it,
 * made by rounding. */
int time_read_date(struct slice text, int64_t *out);
int time_read_time(struct slice text, int64_t *out);
/* Without a zone the time is UTC; a zone means nothing to a timestamp. */
int time_read_timestamp(struct slice text, bool with_zone, int64_t *out);
int time_read_interval(struct slice text, struct where_interval *out);
/* Of a text that is cast: no more than all versions of Postgres read alike, which is what passes
 * the filter, a regular expression. */
int time_cast_interval(struct slice text, struct where_interval *out);
const char *time_interval_filter(void);
void time_print_date(int64_t days, struct buf *out);
void time_print_time(int64_t usecs, struct buf *out);
void time_print_timestamp(int64_t usecs, bool with_zone, struct buf *out);
void time_print_interval(const struct where_interval *v, struct buf *out);
/* A month counts 30 days. */
int time_interval_cmp(const struct where_interval *a, const struct where_interval *b);

#endif
