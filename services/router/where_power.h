/* numeric ^ numeric has other digits in other versions of Postgres. */
#ifndef SERVICES_ROUTER_WHERE_POWER_H
#define SERVICES_ROUTER_WHERE_POWER_H

/* How many digits an integer power has: as many as its base, at least 16 behind the point (14, 15);
 * or at least 16 that count (16 and later). */
enum where_power_rules { POWER_UNKNOWN, POWER_BY_SCALE, POWER_BY_WEIGHT };

#endif
