#include "services/router/catalog_glance.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/pg/membership.h"
#include "common/pg/pg.h"
#include "services/router/catalog_query.h"

enum { SQL_MAX_BYTES = 16 * 1024 };

/* The transaction that wrote a catalog row tells it from every other version of it. */
static const char select_head[] =
        "SELECT c.oid, concat_ws(' ', c.xmin::text, n.xmin::text,"
        " (SELECT string_agg(concat_ws('.', a.xmin::text, t.xmin::text), ' ' ORDER BY a.attnum)"
        "  FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
        "  WHERE a.attrelid = c.oid AND a.attnum > 0),"
        " (SELECT i.indexrelid::text || '.' || i.xmin::text FROM pg_catalog.pg_index i"
        "  WHERE i.indrelid = c.oid AND i.indisprimary),"
        " CASE WHEN c.relkind = 'p' THEN (SELECT string_agg(i.inhrelid::text || '.' ||"
        "  i.xmin::text, ' ' ORDER BY i.inhrelid) FROM pg_catalog.pg_partition_tree(c.oid) t"
        "  JOIN pg_catalog.pg_inherits i ON i.inhrelid = t.relid) END,"
        " CASE WHEN c.relispartition THEN (SELECT string_agg(i.inhrelid::text || '.' ||"
        "  i.xmin::text, ' ' ORDER BY i.inhrelid)"
        "  FROM pg_catalog.pg_partition_ancestors(c.oid) t"
        "  JOIN pg_catalog.pg_inherits i ON i.inhrelid = t.relid) END),"
        " pg_catalog.row_security_active(c.oid), ";
static const char select_tail[] =
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND c.oid = ANY ($1::pg_catalog.oid[]) ORDER BY c.oid";

enum field { F_OID, F_PRINT, F_HIDDEN, F_MEMBER };

uint64_t catalog_member(struct slice membership)
{
        return membership.len ? hash64(membership) | 1 : 0;
}

static void read_row(const PGresult *res, int row, struct glance *out)
{
        *out = (struct glance){.oid = (uint32_t)strtoul(PQgetvalue(res, row, F_OID), NULL, 10),
                               .print = hash64(pg_value(res, row, F_PRINT)),
                               .hidden = PQgetvalue(res, row, F_HIDDEN)[0] == 't',
                               .member = catalog_member(pg_value(res, row, F_MEMBER))};
}

int catalog_glance(PGconn *conn, const struct pgwait *w, const char *publication,
                   const uint32_t *oids, uint32_t n, struct glance *out, uint32_t *n_found,
                   char state[6], struct buf *why)
{
        struct buf sql;
        PGresult *res = NULL;
        char *array = catalog_oid_array(oids, n);
        const char *params[] = {array, publication};
        buf_init(&sql, SQL_MAX_BYTES);
        buf_puts(&sql, select_head);
        if (publication)
                pg_put_full_membership(&sql, "c.oid", "$2", PQserverVersion(conn));
        else
                buf_puts(&sql, "NULL");
        buf_puts(&sql, select_tail);
        SLUICE_ASSERT(buf_status(&sql) == 0);
        int err =
                pgwait_exec(conn, w, buf_cstr(&sql), publication ? 2 : 1, params, &res, state, why);
        buf_fini(&sql);
        mem_free(array);
        if (err)
                return err;
        *n_found = (uint32_t)PQntuples(res);
        SLUICE_ASSERT(*n_found <= n);
        for (uint32_t i = 0; i < *n_found; i++)
                read_row(res, (int)i, &out[i]);
        PQclear(res);
        return 0;
}
