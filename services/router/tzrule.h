/* The rule of a time zone as POSIX' TZ writes it and the footer of a TZif file has it, such as
 * `CET-1CEST,M3.5.0,M10.5.0/3`. The bytes may be anything. Pure. */
#ifndef SERVICES_ROUTER_TZRULE_H
#define SERVICES_ROUTER_TZRULE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

enum tzrule_kind { TZRULE_JULIAN /* without 29 February */, TZRULE_DAY, TZRULE_WEEKDAY };

struct tzrule_date {
        enum tzrule_kind kind;
        int day; /* 1…365; 0…365; 0 is Sunday */
        int week, month;
        int32_t secs; /* of the clock on the wall; may be of another day */
};

struct tzrule {
        int32_t standard, summer; /* seconds east */
        bool changes;             /* else `standard` alone counts */
        struct tzrule_date start, end;
};

struct tzrule_change {
        int64_t at; /* seconds from 1970 */
        int32_t east;
};

/* ERR_FORMAT; so is summer time without its dates, which POSIX leaves to the system. */
int tzrule_read(struct slice text, struct tzrule *out);
/* The changes of a year, ascending: 2, or 0 when it is always summer. */
uint32_t tzrule_year(const struct tzrule *r, int64_t year, struct tzrule_change out[2]);

#endif
