/* Has the database the digits for numeric ^ numeric that are computed here (where_num_power.c)? Its
 * version says by which rules; whether it keeps to them it is asked, with powers of all sizes. */
#ifndef SERVICES_ROUTER_POWER_CHECK_H
#define SERVICES_ROUTER_POWER_CHECK_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "services/router/pgwait.h"
#include "services/router/where_power.h"

/* By the server's version, without asking. */
enum where_power_rules power_rules_of(const PGconn *conn);
/* One statement, of some milliseconds. Errors as pgwait_exec(). */
int power_check(PGconn *conn, const struct pgwait *w, enum where_power_rules rules, bool *agrees,
                char state[6], struct buf *why);

#endif
