/* Time zones by name, from the host's time zone database: /usr/share/zoneinfo, or what TZDIR says,
 * as for every program. A zone is read once and kept as long as the process lives, so that pointers
 * to it are good for ever and a shape's rules do not change under it; their number is bounded.
 *
 * Whether the database has the same rules must be asked of it (zone_check.h). */
#ifndef SERVICES_ROUTER_ZONE_H
#define SERVICES_ROUTER_ZONE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "services/router/tzif.h"
#include "services/router/where_power.h"

enum { ZONE_MAX = 2048, ZONE_MAX_NAME = 64, ZONE_POWERS = 2 };

struct zone {
        struct slice name;
        struct tzif rules;
        enum where_power_rules power; /* zone_of_power() */
        uint64_t print;               /* identifies name and rules */
        atomic_uint_fast64_t users;   /* clauses of shapes */
};

/* Any thread. By the name as the files are spelled. ERR_NOTFOUND: there is none, or it has no such
 * name; ERR_FORMAT: its file cannot be understood; ERR_LIMIT: there are too many. */
int zone_find(struct slice name, const struct zone **out);
/* What stands in a set for the rules of numeric powers: the clause depends on them as on a zone's.
 */
const struct zone *zone_of_power(enum where_power_rules rules);
/* Postgres' microseconds from 2000: seconds east of a moment, and of a local time. */
int32_t zone_east_at(const struct zone *z, int64_t usecs);
int32_t zone_east_of_local(const struct zone *z, int64_t usecs);
/* Any thread. The zones that have users; `out` has room for ZONE_MAX. */
uint32_t zone_list_used(const struct zone **out);

/* ---- the zones of one clause */

enum { ZONE_SET_MAX = 8 };

struct zone_set {
        uint32_t n;
        const struct zone *zones[ZONE_SET_MAX];
};

/* False: it is full. */
bool zone_set_add(struct zone_set *s, const struct zone *z);
/* POWER_UNKNOWN: no such rules are in it. NULL is allowed, here and below: no zones. */
enum where_power_rules zone_set_power(const struct zone_set *s);
/* Puts others in the place of the rules of powers, which must be there. */
void zone_set_power_to(struct zone_set *s, enum where_power_rules rules);
bool zone_set_has(const struct zone_set *s, const struct zone *z);
/* Identifies the zones' names and rules; 0: no zones. */
uint64_t zone_set_print(const struct zone_set *s);
/* Counts the clause among the zones' users, and no more. */
void zone_set_use(const struct zone_set *s);
void zone_set_unuse(const struct zone_set *s);

#endif
