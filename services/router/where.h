/* Where clauses (protocol §5): text to verdict. The clause is parsed by libpg_query, type-checked
 * here against the table, and either compiled into a program that evaluates rows exactly as
 * Postgres would, or refused with the text that protocol §5.7 names. What cannot be evaluated
 * exactly is refused. The client's text never reaches Postgres: where_sql() rebuilds it from the
 * checked tree.
 *
 * A compiled clause is immutable; any thread may evaluate it. */
#ifndef SERVICES_ROUTER_WHERE_H
#define SERVICES_ROUTER_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "services/router/render.h"
#include "services/router/table.h"
#include "services/router/where_power.h"

enum { WHERE_MAX_BYTES = 65536 };

struct where;
struct zone_set;

enum where_verdict {
        WHERE_FALSE,
        WHERE_TRUE,
        WHERE_NULL,
        WHERE_ERROR /* counts as not in, protocol §3.7 */
};

/* ERR_INVAL: *why has the message for the client, as protocol §5.7 (with its location). `params`
 * are $1…; `usable`: by table column index, which columns may be mentioned (NULL: all). Blank text:
 * ERR_NOTFOUND, there is no clause. *out is the caller's. */
int where_compile(struct slice text, const struct table *t, const bool *usable,
                  const struct slice *params, uint32_t n_params, struct where **out,
                  struct buf *why);
void where_free(struct where *w);
/* The row has the table's columns; columns that where_uses() denies may be VALUE_NULL. */
enum where_verdict where_eval(const struct where *w, struct row row);
bool where_uses(const struct where *w, uint32_t column);
/* Does the verdict depend on the order of strings? The evaluator knows the bytewise order alone (C,
 * POSIX, C.UTF-8): under another collation of the database such a clause must be refused. */
bool where_needs_bytewise_collation(const struct where *w);
/* Does it map upper and lower case (lower, upper, ILIKE)? That is done as libc's C.UTF-8 does it:
 * right for LC_CTYPE of UTF-8 but for Turkic and Baltic ones, not for C and POSIX, nor for ICU. */
bool where_needs_utf8_ctype(const struct where *w);
/* The time zones that it names, of which the database must have the same rules (zone_check.h);
 * NULL: none. */
const struct zone_set *where_zones(const struct where *w);
/* The rules of its numeric ^ numeric, which are among the zones; without one, or with
 * POWER_UNKNOWN, nothing changes. Before it is shared between threads. */
void where_assume_power(struct where *w, enum where_power_rules rules);
/* Was some time in such a zone settled here, so that the SQL has its value? */
bool where_settles_zones(const struct where *w);
/* SQL of the clause, rebuilt and fully parenthesised, constants as quoted and cast literals; equal
 * clauses (up to spelling) give equal text, which is the clause's identity. */
void where_sql(const struct where *w, struct buf *out);

/* What an index may use (design §5): the conjuncts at the top that are `column = constant` (or IN a
 * list: several constants), in text form of the column's type. */
struct where_equality {
        uint32_t column;
        const struct slice
                *texts; /* canonical output text of the constants: equal values, equal text */
        uint32_t n;
};
uint32_t where_equalities(const struct where *w, const struct where_equality **out);
/* The clause is its one equality and nothing else: a row is in when, and only when, its column has
 * one of the texts. */
bool where_is_equality(const struct where *w);

#endif
