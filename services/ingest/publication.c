#include "services/ingest/publication.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/pg/membership.h"
#include "common/pg/partition.h"

void publication_names(const char *stream_id, struct object_names *out)
{
        pg_publication_name(stream_id, out->publication);
        int n = snprintf(out->slot, sizeof(out->slot), "electric_slot_%s", stream_id);
        SLUICE_ASSERT(n > 0 && (size_t)n < sizeof(out->slot));
}

/* ---- SQL */

void publication_sql_create(struct buf *out, const char *publication, int server_version)
{
        buf_puts(out, "CREATE PUBLICATION ");
        pg_put_ident(out, slice_cstr(publication));
        if (server_version >= 180000)
                buf_puts(out, " WITH (publish_generated_columns = stored)");
}

void publication_sql_repair(struct buf *out, const char *publication)
{
        buf_puts(out, "ALTER PUBLICATION ");
        pg_put_ident(out, slice_cstr(publication));
        buf_puts(out, " SET (publish = 'insert, update, delete, truncate')");
}

/* The table and its partitions. Tables that inherit from it are no part of it
 * (docs/differences.md).
 */
#define TREE                                                                                       \
        "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION "                                       \
        "SELECT p.child FROM " PG_PARTITIONS " p JOIN tree t ON p.parent = t.oid)"

static const char inspect_head[] =
        TREE ", pub AS (SELECT * FROM pg_catalog.pg_publication WHERE pubname = $2)"
             " SELECT n.nspname, c.relname, ";
static const char inspect_tail[] =
        ", (SELECT bool_and(k.relreplident = 'f') FROM pg_catalog.pg_class k JOIN tree USING (oid)"
        "  WHERE k.relkind IN ('r', 'p')),"
        " pg_catalog.pg_has_role(pub.pubowner, 'USAGE'),"
        " (SELECT string_agg(format('ALTER TABLE ONLY %I.%I REPLICA IDENTITY FULL', m.nspname,"
        "   k.relname), '; ' ORDER BY k.oid) FROM pg_catalog.pg_class k JOIN tree USING (oid)"
        "  JOIN pg_catalog.pg_namespace m ON m.oid = k.relnamespace"
        "  WHERE k.relkind IN ('r', 'p') AND k.relreplident <> 'f')"
        ", EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = pub.oid"
        "  AND r.prrelid = c.oid)"
        " FROM pub, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = $1::oid";

void publication_sql_inspect(struct buf *out, int server_version)
{
        buf_puts(out, inspect_head);
        pg_put_membership(out, "$1", server_version);
        buf_puts(out, inspect_tail);
}

const char publication_sql_bare[] =
        "WITH RECURSIVE tree(oid) AS (SELECT r.prrelid FROM pg_catalog.pg_publication_rel r"
        " JOIN pg_catalog.pg_publication b ON b.oid = r.prpubid WHERE b.pubname = $1"
        " UNION SELECT p.child FROM " PG_PARTITIONS " p JOIN tree t ON p.parent = t.oid)"
        " SELECT k.oid::text FROM pg_catalog.pg_class k JOIN tree USING (oid)"
        " WHERE k.relkind IN ('r', 'p') AND k.relreplident <> 'f'";

/* Every transaction that has written has an xid and holds a lock on it until it is visible to every
 * new snapshot; so does a prepared one, under another virtualtransaction but the same xid. One that
 * holds the table's lock without having an xid has not written yet: what it will write comes after
 * the publication was altered. pg_locks is read once, or its two halves would tell of different
 * moments. */
const char publication_sql_writers[] =
        TREE ", locks AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks)"
             " SELECT DISTINCT x.transactionid::text FROM locks l JOIN locks x"
             " ON x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'"
             " AND x.granted AND x.mode = 'ExclusiveLock'"
             " WHERE l.locktype = 'relation' AND l.granted AND l.relation IN (SELECT oid FROM tree)"
             " AND l.database = (SELECT oid FROM pg_catalog.pg_database"
             "  WHERE datname = pg_catalog.current_database())"
             " AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',"
             "  'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";

const char publication_sql_unfinished[] =
        "SELECT transactionid::text FROM pg_catalog.pg_locks WHERE locktype = 'transactionid'"
        " AND granted AND mode = 'ExclusiveLock' AND transactionid::text = ANY ($1::text[])";

static bool is_true(const PGresult *res, int column)
{
        return slice_eq(pg_value(res, 0, column), SLICE_LIT("t"));
}

void publication_read_facts(const PGresult *res, struct table_facts *out)
{
        SLUICE_ASSERT(PQntuples(res) == 1 && PQnfields(res) == FACTS_IDENTITY_SQL + 2);
        *out = (struct table_facts){.schema = pg_value(res, 0, 0),
                                    .table = pg_value(res, 0, 1),
                                    .membership = pg_value(res, 0, 2),
                                    .full = is_true(res, 3),
                                    .may_alter = is_true(res, 4)};
        out->partly = out->membership.len == 0 && is_true(res, FACTS_IDENTITY_SQL + 1);
}

/* ---- refusals */

static void put_table(struct buf *out, struct slice schema, struct slice table)
{
        buf_puts(out, "Database table \"");
        buf_put_slice(out, schema);
        buf_putc(out, '.');
        buf_put_slice(out, table);
        buf_putc(out, '"');
}

static void put_missing(struct buf *out, struct slice schema, struct slice table,
                        const char *publication)
{
        put_table(out, schema, table);
        buf_printf(out, " is missing from the publication \"%s\" and ", publication);
}

uint64_t publication_refuse(struct buf *out, enum table_refusal why, struct slice schema,
                            struct slice table, const char *publication, struct slice detail)
{
        switch (why) {
        case REFUSE_MISSING_MANUAL:
                put_missing(out, schema, table, publication);
                buf_puts(out, "the ELECTRIC_MANUAL_TABLE_PUBLISHING setting prevents Electric from "
                              "adding it");
                return 503;
        case REFUSE_MISSING_UNPRIVILEGED:
                put_missing(out, schema, table, publication);
                buf_puts(out, "Electric lacks privileges to add it");
                return 503;
        case REFUSE_PARTLY:
                put_table(out, schema, table);
                buf_printf(out,
                           " is in the publication \"%s\" with a row filter or a column list, "
                           "and must be in it without",
                           publication);
                return 503;
        case REFUSE_IDENTITY:
                put_table(out, schema, table);
                buf_puts(out, " does not have its replica identity set to FULL");
                return 503;
        case REFUSE_GONE:
                put_table(out, schema, table);
                buf_puts(out, " has been dropped or renamed");
                return 503;
        case REFUSE_DISCONNECTED:
                buf_puts(out, "Database connection not available");
                return 503;
        case REFUSE_LOCK_TIMEOUT:
                buf_puts(out, "Snapshot timed out while waiting for a table lock");
                return 503;
        case REFUSE_WRITERS:
                buf_puts(out, "Snapshot timed out while waiting for transactions that wrote to the "
                              "table before it was published. Check that you don't have pending "
                              "transactions in the database.");
                return 503;
        case REFUSE_PRIVILEGE:
                buf_puts(out, "Unable to create initial snapshot: ");
                buf_put_slice(out, detail);
                return 503;
        case REFUSE_UNEXPECTED:
                break;
        }
        buf_puts(out, "Unexpected error while creating snapshot: ");
        buf_put_slice(out, detail);
        return 500;
}

enum table_refusal publication_judge(const char *sqlstate)
{
        static const struct {
                const char *state;
                enum table_refusal refusal;
        } table[] = {
                {"42501", REFUSE_PRIVILEGE},    /* insufficient_privilege */
                {"55P03", REFUSE_LOCK_TIMEOUT}, /* lock_not_available */
                {"40P01", REFUSE_LOCK_TIMEOUT}, /* deadlock_detected */
                {"57014", REFUSE_LOCK_TIMEOUT}, /* query_canceled: statement_timeout */
                {"42P01", REFUSE_GONE},         /* undefined_table */
        };
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
                if (strcmp(table[i].state, sqlstate) == 0)
                        return table[i].refusal;
        return REFUSE_UNEXPECTED;
}
