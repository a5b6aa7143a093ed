/* Functions and casts of dates, times and intervals. */
#ifndef SERVICES_ROUTER_WHERE_TIME_FN_H
#define SERVICES_ROUTER_WHERE_TIME_FN_H

#include "services/router/where_type.h"

where_fn where_date_add_int, where_int_add_date, where_date_sub_int, where_date_sub;
where_fn where_date_add_time, where_time_add_date;
where_fn where_date_add_interval, where_interval_add_date, where_date_sub_interval;
where_fn where_stamp_add_interval, where_interval_add_stamp, where_stamp_sub_interval,
        where_stamp_sub;
where_fn where_time_add_interval, where_interval_add_time, where_time_sub_interval, where_time_sub;
where_fn where_interval_add, where_interval_sub, where_interval_neg, where_interval_mul,
        where_interval_mul_left;
where_fn where_justify_days, where_justify_hours, where_justify_interval;
/* The time in a zone, to and from the time in UTC. The zone is a name, found by the checker
 * (ctx->zone), a text with a fixed offset, which the checker has seen to, or an offset itself. */
where_fn where_to_zone, where_from_zone, where_to_offset, where_from_offset;
static inline bool where_zone_is_named(where_fn *fn)
{
        return fn == where_to_zone || fn == where_from_zone;
}
/* UTC and its names, or POSIX' [UTC|GMT][+-]hh[:mm[:ss]], in which + is west of Greenwich:
 * microseconds west. ERR_FORMAT. */
int where_zone_read(struct slice zone, int64_t *west);

where_fn where_date_to_stamp, where_stamp_to_date, where_stamp_to_time, where_stamp_to_stamp,
        where_time_to_interval, where_interval_to_time;
where_cmp where_cmp_date_stamp, where_cmp_stamp_date, where_cmp_stamp_zoned, where_cmp_zoned_stamp;

#endif
