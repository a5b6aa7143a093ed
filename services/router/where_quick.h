/* Clauses of the simplest form, which most clauses have, are read here: libpg_query takes as long
 * for `name = 'x'` as all else that is done for a shape at a restart.
 *
 *   column (= <> != < > <= >=) value     column [I]LIKE value     column IN (value, …)
 *   column IS [NOT] NULL                 and any of these with AND
 *
 * A value is an integer, a string without quotes and backslashes in it, a parameter, TRUE or
 * FALSE. What is read here is what libpg_query would have made of it, or nothing. */
#ifndef SERVICES_ROUTER_WHERE_QUICK_H
#define SERVICES_ROUTER_WHERE_QUICK_H

#include "services/router/where_parse.h"

/* NULL: not of that form, or not for sure. The tree lives in `arena`, and may borrow `clause`. */
struct where_parsed *where_parse_quick(struct slice clause, struct where_scratch *arena);

#endif
