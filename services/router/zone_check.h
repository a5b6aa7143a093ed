/* Has the database the same rules of a time zone as this host? Both have them from files of their
 * own, of some release of the time zone database. So Postgres is asked for the time in the zone,
 * and back, at each change that we know of, before and after it, in between, and all along the
 * centuries.
 *
 * A server process of Postgres keeps the rules that it read first: who wants to know about its
 * files asks on a new connection. */
#ifndef SERVICES_ROUTER_ZONE_CHECK_H
#define SERVICES_ROUTER_ZONE_CHECK_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "services/router/pgwait.h"
#include "services/router/zone.h"

/* One statement, of some ten milliseconds, of powers as well (power_check.h); *agrees is also false
 * when the database does not know the zone. Errors as pgwait_exec(). */
int zone_check(PGconn *conn, const struct pgwait *w, const struct zone *z, bool *agrees,
               char state[6], struct buf *why);

#endif
