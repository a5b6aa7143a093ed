/* Reads descriptions of tables from Postgres' catalogs. Two statements each, usable inside a
 * transaction of the caller's. */
#ifndef SERVICES_ROUTER_CATALOG_QUERY_H
#define SERVICES_ROUTER_CATALOG_QUERY_H

#include <libpq-fe.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "services/router/pgwait.h"
#include "services/router/table.h"

/* By name. ERR_NOTFOUND: no ordinary or partitioned table of this name; other errors as
 * pgwait_exec(). *out is the caller's. */
int catalog_query_name(PGconn *conn, const struct pgwait *w, struct slice schema, struct slice name,
                       struct table **out, char state[6], struct buf *why);

struct catalog_tables {
        struct table **tables; /* owned, by ascending oid; those that do not exist are missing */
        uint32_t n;
};

/* By oid, all at once. */
int catalog_query_oids(PGconn *conn, const struct pgwait *w, const uint32_t *oids, uint32_t n,
                       struct catalog_tables *out, char state[6], struct buf *why);
/* Array literal for oid[]; mem_free. */
char *catalog_oid_array(const uint32_t *oids, uint32_t n);
void catalog_tables_fini(struct catalog_tables *t);

#endif
