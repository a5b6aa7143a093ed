#include "services/router/catalog_query.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/pg/partition.h"
#include "common/pg/pg.h"
#include "common/wire/change.h"

/* Columns of the result, one row for each column of a table (one with a null attname for a table
 * without any). */
enum field {
        F_OID,
        F_SCHEMA,
        F_TABLE,
        F_KIND,
        F_COLUMN,
        F_TYPE_OID,
        F_TYPE_NAME,
        F_TYPE_MOD,
        F_DIMS,
        F_NOT_NULL,
        F_ENUM_OID,
        F_ENUM_NAME,
        F_GENERATED,
        F_BASE_TYPE,
        F_PK_INDEX,
        F_COLLATION_PROVIDER,
        F_COLLATE,
        F_CTYPE,
        F_DETERMINISTIC,
        F_LABELS
};

/* An array type is one whose element names it as its array: oidvector, name and point have
 * elements, too. `base` follows domains to what they are made of. Included columns of a covering
 * key are not part of it. A column has its own collation or the database's; before Postgres 15 the
 * latter was always libc's, and 17 brought one of its own, which has no column in 16. */
#define SELECT_TABLES                                                                              \
        "SELECT c.oid, n.nspname, c.relname, c.relkind, a.attname, a.atttypid,"                    \
        " coalesce(e.typname, t.typname), a.atttypmod,"                                            \
        " CASE WHEN e.oid IS NULL THEN 0 ELSE greatest(a.attndims, 1) END,"                        \
        " a.attnotnull, enum.oid, pg_catalog.format('\"%s\".\"%s\"',"                              \
        " pg_catalog.replace(enum_schema.nspname, '\"', '\"\"'),"                                  \
        " pg_catalog.replace(enum.typname, '\"', '\"\"')), a.attgenerated, base.oid,"              \
        " CASE WHEN pk.place < i.indnkeyatts THEN pk.place END,"                                   \
        " CASE WHEN own.oid IS NULL THEN coalesce(pg_catalog.to_jsonb(db)->>'datlocprovider', "    \
        "'c')"                                                                                     \
        " ELSE own.collprovider::text END,"                                                        \
        " CASE WHEN own.oid IS NULL THEN db.datcollate ELSE own.collcollate END,"                  \
        " CASE WHEN own.oid IS NULL THEN db.datctype ELSE own.collctype END,"                      \
        " coalesce(own.collisdeterministic, true),"                                                \
        " CASE WHEN enum.oid IS NOT NULL THEN (SELECT pg_catalog.array_agg(l.enumlabel)"           \
        " FROM pg_catalog.pg_enum l WHERE l.enumtypid = enum.oid) END"                             \
        " FROM pg_catalog.pg_class c"                                                              \
        " JOIN pg_catalog.pg_database db ON db.datname = pg_catalog.current_database()"            \
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"                                \
        " LEFT JOIN pg_catalog.pg_attribute a"                                                     \
        " ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"                           \
        " LEFT JOIN pg_catalog.pg_collation own"                                                   \
        " ON own.oid = a.attcollation AND own.collprovider <> 'd'"                                 \
        " LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"                                    \
        " LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid"              \
        " LEFT JOIN pg_catalog.pg_type enum"                                                       \
        " ON enum.typtype = 'e' AND enum.oid = coalesce(e.oid, t.oid)"                             \
        " LEFT JOIN pg_catalog.pg_namespace enum_schema ON enum_schema.oid = enum.typnamespace"    \
        " LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary"                \
        " LEFT JOIN LATERAL (SELECT"                                                               \
        " pg_catalog.array_position(i.indkey::pg_catalog.int2[], a.attnum) AS place) pk ON true"   \
        " LEFT JOIN LATERAL (WITH RECURSIVE b AS ("                                                \
        "SELECT t.oid, t.typtype, t.typbasetype UNION ALL"                                         \
        " SELECT d.oid, d.typtype, d.typbasetype FROM b"                                           \
        " JOIN pg_catalog.pg_type d ON b.typtype = 'd' AND d.oid = b.typbasetype)"                 \
        " SELECT b.oid FROM b WHERE b.typtype <> 'd') base ON true"                                \
        " WHERE c.relkind IN ('r', 'p') AND "

#define ORDER_TABLES " ORDER BY c.oid, a.attnum"

static const char by_name[] = SELECT_TABLES "n.nspname = $1 AND c.relname = $2" ORDER_TABLES;
static const char by_oid[] = SELECT_TABLES "c.oid = ANY ($1::pg_catalog.oid[])" ORDER_TABLES;

/* Of pg_type.dat; they never change. */
enum { BOOL_OID = 16, INET_OID = 869 };

/* From here on stored generated columns can be published; virtual ones never. */
enum { PUBLISHES_GENERATED_VERSION = 180000 };

/* ---- reading a result */

struct rows {
        const PGresult *res;
        int server_version;
};

static uint32_t u32_at(const struct rows *r, int row, enum field f)
{
        return (uint32_t)strtoul(PQgetvalue(r->res, row, (int)f), NULL, 10);
}

static int32_t i32_at(const struct rows *r, int row, enum field f)
{
        return (int32_t)strtol(PQgetvalue(r->res, row, (int)f), NULL, 10);
}

static struct slice text_at(const struct rows *r, int row, enum field f)
{
        return pg_value(r->res, row, (int)f);
}

static bool is_generated(const struct rows *r, int row)
{
        char kind = PQgetvalue(r->res, row, F_GENERATED)[0]; /* '', s or v */
        if (kind == 's')
                return r->server_version < PUBLISHES_GENERATED_VERSION;
        return kind != '\0';
}

static enum render_as render_of(uint32_t base_type)
{
        if (base_type == BOOL_OID)
                return RENDER_BOOL;
        return base_type == INET_OID ? RENDER_INET : RENDER_TEXT;
}

static bool is_bytewise(struct slice collate)
{
        static const char *const names[] = {"C", "POSIX", "C.UTF-8", "C.utf8"};
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                if (slice_eq(collate, slice_cstr(names[i])))
                        return true;
        return false;
}

/* A locale of UTF-8 whose case rules are the common ones. */
static bool has_utf8_case(struct slice ctype)
{
        static const char *const own_rules[] = {"tr", "az", "lt", "crh", "tt"};
        const char *dot = ctype.len ? memchr(ctype.p, '.', ctype.len) : NULL;
        if (!dot)
                return false;
        struct slice charset = slice_of(dot, ctype.len - (size_t)(dot - ctype.p));
        if (!slice_eq(charset, SLICE_LIT(".UTF-8")) && !slice_eq(charset, SLICE_LIT(".utf8")))
                return false;
        for (size_t i = 0; i < sizeof(own_rules) / sizeof(*own_rules); i++) {
                size_t n = strlen(own_rules[i]);
                if (ctype.len > n && memcmp(ctype.p, own_rules[i], n) == 0 && ctype.p[n] == '_')
                        return false;
        }
        return true;
}

/* Providers: libc, ICU, and Postgres' own, whose order is bytewise in all of its locales. */
static uint8_t collation_of(const struct rows *r, int row)
{
        char provider = PQgetvalue(r->res, row, F_COLLATION_PROVIDER)[0];
        unsigned bits = 0;
        if (PQgetvalue(r->res, row, F_DETERMINISTIC)[0] == 't')
                bits |= COLLATION_EQUAL_BYTES;
        if (provider == 'b' || (provider == 'c' && is_bytewise(text_at(r, row, F_COLLATE))))
                bits |= COLLATION_BYTEWISE;
        if (provider == 'c' && has_utf8_case(text_at(r, row, F_CTYPE)))
                bits |= COLLATION_UTF8_CASE;
        return (uint8_t)bits;
}

static void fill_column(const struct rows *r, int row, struct table_column *c)
{
        c->name = slice_dup(text_at(r, row, F_COLUMN));
        c->type_oid = u32_at(r, row, F_TYPE_OID);
        c->type_name = slice_dup(text_at(r, row, F_TYPE_NAME));
        c->type_mod = i32_at(r, row, F_TYPE_MOD);
        c->dims = i32_at(r, row, F_DIMS);
        c->not_null = PQgetvalue(r->res, row, F_NOT_NULL)[0] == 't';
        c->enum_oid = u32_at(r, row, F_ENUM_OID);
        if (c->enum_oid)
                c->enum_name = slice_dup(text_at(r, row, F_ENUM_NAME));
        c->generated = is_generated(r, row);
        c->render = render_of(u32_at(r, row, F_BASE_TYPE));
        c->collation = collation_of(r, row);
        c->labels = slice_dup(text_at(r, row, F_LABELS));
        c->pk_index = PQgetisnull(r->res, row, F_PK_INDEX) ? -1 : i32_at(r, row, F_PK_INDEX);
}

/* A key column that the result does not describe would leave a hole: Postgres has no such key. */
static void fill_key(struct table *t)
{
        for (uint32_t i = 0; i < t->n_columns; i++) {
                int32_t place = t->columns[i].pk_index;
                SLUICE_ASSERT(place < (int32_t)t->n_pk);
                if (place >= 0)
                        t->pk[place] = i;
        }
}

/* The rows [from, to) describe one table. */
static struct table *table_from(const struct rows *r, int from, int to)
{
        uint32_t n_columns = PQgetisnull(r->res, from, F_COLUMN) ? 0 : (uint32_t)(to - from);
        uint32_t n_pk = 0;
        for (int row = from; row < to; row++)
                n_pk += !PQgetisnull(r->res, row, F_PK_INDEX);
        struct table *t = table_new(n_columns, n_pk);
        t->oid = u32_at(r, from, F_OID);
        t->schema = slice_dup(text_at(r, from, F_SCHEMA));
        t->name = slice_dup(text_at(r, from, F_TABLE));
        t->kind = PQgetvalue(r->res, from, F_KIND)[0];
        for (uint32_t i = 0; i < n_columns; i++)
                fill_column(r, from + (int)i, &t->columns[i]);
        fill_key(t);
        return t;
}

static int table_end(const struct rows *r, int from)
{
        int n = PQntuples(r->res), to = from + 1;
        while (to < n && u32_at(r, to, F_OID) == u32_at(r, from, F_OID))
                to++;
        return to;
}

/* ---- parameters */

/* No name in Postgres has a NUL, and C strings would end there. */
static bool has_nul(struct slice name)
{
        return memchr(name.p, '\0', name.len) != NULL;
}

char *catalog_oid_array(const uint32_t *oids, uint32_t n)
{
        enum { OID_MAX_BYTES = 11 };
        struct buf text;
        buf_init(&text, 2 + (size_t)n * OID_MAX_BYTES);
        buf_putc(&text, '{');
        for (uint32_t i = 0; i < n; i++) {
                if (i > 0)
                        buf_putc(&text, ',');
                buf_put_u64(&text, oids[i]);
        }
        buf_putc(&text, '}');
        char *array = slice_dup_cstr(buf_slice(&text));
        buf_fini(&text);
        return array;
}

/* ---- partitions */

enum link_field { L_ROOT, L_UP, L_CHILD, L_PARENT, L_SINCE, L_BORN };

static const char links_of[] =
        "WITH RECURSIVE down(root, child, parent) AS ("
        "SELECT p.parent, p.child, p.parent FROM " PG_PARTITIONS
        " p WHERE p.parent = ANY ($1::pg_catalog.oid[])"
        " UNION ALL SELECT d.root, p.child, p.parent FROM down d JOIN " PG_PARTITIONS
        " p ON p.parent = d.child), up(root, child, parent) AS ("
        "SELECT p.child, p.child, p.parent FROM " PG_PARTITIONS
        " p WHERE p.child = ANY ($1::pg_catalog.oid[])"
        " UNION ALL SELECT u.root, p.child, p.parent FROM up u JOIN " PG_PARTITIONS
        " p ON p.child = u.parent)"
        " SELECT l.root, l.up, l.child, l.parent, " PG_PARTITION_FACTS
        " FROM (SELECT *, false AS up FROM down UNION ALL SELECT *, true FROM up) l"
        " JOIN pg_catalog.pg_inherits i ON i.inhrelid = l.child AND i.inhparent = l.parent"
        " ORDER BY l.root";

static uint32_t link_u32(const PGresult *res, int row, enum link_field f)
{
        return (uint32_t)strtoul(PQgetvalue(res, row, (int)f), NULL, 10);
}

static bool link_flag(const PGresult *res, int row, enum link_field f)
{
        return PQgetvalue(res, row, (int)f)[0] == 't';
}

/* The rows [from, to) are about one table. */
static void fill_links(struct table *t, const PGresult *res, int from, int to)
{
        t->links = mem_array((size_t)(to - from), sizeof(*t->links));
        for (int row = from; row < to; row++) {
                struct tree_link link = {.child = link_u32(res, row, L_CHILD),
                                         .parent = link_u32(res, row, L_PARENT),
                                         .since = link_u32(res, row, L_SINCE),
                                         .born = link_flag(res, row, L_BORN)};
                if (link_flag(res, row, L_UP)) {
                        tree_add_above(&t->tree, &link);
                } else {
                        tree_add_below(&t->tree, &link);
                        t->links[t->n_links++] = link;
                }
        }
}

/* Where the tables, by ascending oid, stand among partitions. A statement of its own: what changes
 * between the two is seen by the next look. */
static int add_links(PGconn *conn, const struct pgwait *w, struct table **tables, uint32_t n,
                     char state[6], struct buf *why)
{
        PGresult *res = NULL;
        uint32_t *oids = mem_array(n ? n : 1, sizeof(*oids));
        for (uint32_t i = 0; i < n; i++)
                oids[i] = tables[i]->oid;
        char *array = catalog_oid_array(oids, n);
        mem_free(oids);
        int err = pgwait_exec(conn, w, links_of, 1, (const char *const *)&array, &res, state, why);
        mem_free(array);
        if (err)
                return err;
        int row = 0, end = PQntuples(res);
        for (uint32_t i = 0; i < n; i++) {
                int from = row;
                while (row < end && link_u32(res, row, L_ROOT) == tables[i]->oid)
                        row++;
                if (row > from)
                        fill_links(tables[i], res, from, row);
        }
        SLUICE_ASSERT(row == end);
        PQclear(res);
        return 0;
}

/* ---- statements */

int catalog_query_name(PGconn *conn, const struct pgwait *w, struct slice schema, struct slice name,
                       struct table **out, char state[6], struct buf *why)
{
        if (has_nul(schema) || has_nul(name))
                return ERR_NOTFOUND;
        char *params[2] = {slice_dup_cstr(schema), slice_dup_cstr(name)};
        PGresult *res = NULL;
        int err = pgwait_exec(conn, w, by_name, 2, (const char *const *)params, &res, state, why);
        mem_free(params[0]);
        mem_free(params[1]);
        if (err)
                return err;
        struct rows r = {res, PQserverVersion(conn)};
        struct table *t = PQntuples(res) > 0 ? table_from(&r, 0, PQntuples(res)) : NULL;
        PQclear(res);
        err = t ? add_links(conn, w, &t, 1, state, why) : ERR_NOTFOUND;
        if (err)
                table_free(t);
        else
                *out = t;
        return err;
}

static void collect_tables(const struct rows *r, uint32_t max, struct catalog_tables *out)
{
        *out = (struct catalog_tables){.tables = mem_array(max, sizeof(*out->tables))};
        int to;
        for (int from = 0; from < PQntuples(r->res); from = to) {
                to = table_end(r, from);
                SLUICE_ASSERT(out->n < max);
                out->tables[out->n++] = table_from(r, from, to);
        }
}

int catalog_query_oids(PGconn *conn, const struct pgwait *w, const uint32_t *oids, uint32_t n,
                       struct catalog_tables *out, char state[6], struct buf *why)
{
        char *array = catalog_oid_array(oids, n);
        PGresult *res = NULL;
        int err = pgwait_exec(conn, w, by_oid, 1, (const char *const *)&array, &res, state, why);
        mem_free(array);
        if (err)
                return err;
        struct rows r = {res, PQserverVersion(conn)};
        collect_tables(&r, n, out);
        PQclear(res);
        err = add_links(conn, w, out->tables, out->n, state, why);
        if (err)
                catalog_tables_fini(out);
        return err;
}

void catalog_tables_fini(struct catalog_tables *t)
{
        for (uint32_t i = 0; i < t->n; i++)
                table_free(t->tables[i]);
        mem_free(t->tables);
        *t = (struct catalog_tables){0};
}
