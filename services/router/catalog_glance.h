/* A glance at the catalog: has anything changed about these tables? One statement and one row for
 * each, cheap enough to be asked every second, because a schema change shows in no other way before
 * the table's next write, and event triggers are for superusers. What it covers is what shapes rely
 * on: the table's row, its columns', its primary key's, its schema's, those of the partitions below
 * and tables above it, how it is published, and whether row-level security hides rows from us. */
#ifndef SERVICES_ROUTER_CATALOG_GLANCE_H
#define SERVICES_ROUTER_CATALOG_GLANCE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "services/router/pgwait.h"

struct glance {
        uint32_t oid;
        uint64_t print;  /* another one: look at the table */
        uint64_t member; /* identifies its membership (common/pg/membership.h); 0: none */
        bool hidden;     /* row-level security applies to us */
};

/* Fills `out`, which has room for n, by ascending oid; tables that do not exist are missing.
 * `publication` NULL: nothing is asked about it. Errors as pgwait_exec(). */
int catalog_glance(PGconn *conn, const struct pgwait *w, const char *publication,
                   const uint32_t *oids, uint32_t n, struct glance *out, uint32_t *n_found,
                   char state[6], struct buf *why);
/* What identifies a membership, from its text. */
uint64_t catalog_member(struct slice membership);

#endif
