/* ORDER BY of a subset (protocol §6.7): a list of plain columns, rebuilt as SQL. Pure. */
#ifndef SERVICES_ROUTER_SUBSET_ORDER_H
#define SERVICES_ROUTER_SUBSET_ORDER_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "services/router/table.h"

enum { SUBSET_ORDER_MAX_BYTES = 65536 };

/* Appends `"a" DESC NULLS LAST, "b"` to *sql; nothing when every item is a constant. `usable`: by
 * table column index, NULL: all. ERR_INVAL: *why has the message for the client (protocol §4.2). */
int subset_order(struct slice text, const struct table *t, const bool *usable, struct buf *sql,
                 struct buf *why);

#endif
