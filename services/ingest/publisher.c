#include "services/ingest/publisher.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"

enum {
        CONNECT_TIMEOUT_S = 5,
        STATEMENT_TIMEOUT_MS = 30000,
        SQL_MAX_BYTES = 16 << 20, /* one ALTER TABLE for each partition */
        WHY_MAX_BYTES = 4096
};

static const struct outcome FINE = {0};

static struct outcome refused(enum table_refusal reason)
{
        return (struct outcome){true, reason};
}

void publisher_init(struct publisher *p, const struct publisher_options *o)
{
        *p = (struct publisher){.o = *o};
}

void publisher_fini(struct publisher *p)
{
        PQfinish(p->conn);
        p->conn = NULL;
}

/* ---- the connection */

static int connect_if_needed(struct publisher *p, struct buf *why)
{
        if (p->conn && PQstatus(p->conn) == CONNECTION_OK)
                return 0;
        PQfinish(p->conn);
        p->conn = NULL;
        struct pg_options o = {.url = p->o.url,
                               .ca_file = p->o.ca_file,
                               .application_name = "sluice-ingest",
                               .connect_timeout_s = CONNECT_TIMEOUT_S,
                               .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
                               .lock_timeout_ms = PUBLISHER_LOCK_MS};
        int err = pg_connect(&o, &p->conn, NULL, why);
        if (!err)
                PQsetErrorVerbosity(p->conn, PQERRORS_TERSE); /* clients see the message alone */
        return err;
}

/* One statement; *why is replaced by Postgres' message when it fails. */
static struct outcome query(struct publisher *p, const char *sql, int n, const char *const *params,
                            PGresult **out, struct buf *why)
{
        char state[6] = "";
        buf_reset(why);
        int err = pg_exec(p->conn, sql, n, params, out, state, why);
        if (!err)
                return FINE;
        return refused(err == ERR_CLOSED ? REFUSE_DISCONNECTED : publication_judge(state));
}

/* A connection that was idle may have ended unnoticed: what changes nothing is tried twice. */
static struct outcome look(struct publisher *p, const char *sql, int n, const char *const *params,
                           PGresult **out, struct buf *why)
{
        for (int attempt = 0;; attempt++) {
                buf_reset(why);
                if (connect_if_needed(p, why))
                        return refused(REFUSE_DISCONNECTED);
                struct outcome o = query(p, sql, n, params, out, why);
                if (!o.refused || o.reason != REFUSE_DISCONNECTED || attempt > 0)
                        return o;
        }
}

static struct outcome look_by_oid(struct publisher *p, const char *sql, uint32_t oid,
                                  PGresult **out, struct buf *why)
{
        char text[16];
        snprintf(text, sizeof(text), "%" PRIu32, oid);
        const char *params[] = {text};
        return look(p, sql, 1, params, out, why);
}

/* ---- looking */

struct outcome publisher_inspect(struct publisher *p, uint32_t oid, const char *schema,
                                 const char *table, PGresult **out, struct buf *why)
{
        struct buf sql;
        struct table_facts f;
        char text[16];
        snprintf(text, sizeof(text), "%" PRIu32, oid);
        const char *params[] = {text, p->o.names.publication};
        buf_reset(why);
        if (connect_if_needed(p, why))
                return refused(REFUSE_DISCONNECTED);
        buf_init(&sql, SQL_MAX_BYTES);
        publication_sql_inspect(&sql, PQserverVersion(p->conn));
        struct outcome o = look(p, buf_cstr(&sql), 2, params, out, why);
        buf_fini(&sql);
        if (o.refused)
                return o;
        if (PQntuples(*out) == 1) {
                publication_read_facts(*out, &f);
                if (!schema || (slice_eq(f.schema, slice_cstr(schema)) &&
                                slice_eq(f.table, slice_cstr(table))))
                        return FINE;
        }
        PQclear(*out);
        *out = NULL;
        return refused(REFUSE_GONE);
}

struct outcome publisher_bare(struct publisher *p, PGresult **out, struct buf *why)
{
        const char *params[] = {p->o.names.publication};
        return look(p, publication_sql_bare, 1, params, out, why);
}

struct outcome publisher_wal(struct publisher *p, struct wal_facts *out, struct buf *why)
{
        const char *params[] = {p->o.names.slot};
        PGresult *res = NULL;
        struct wal_facts f;
        struct outcome o = look(p,
                                "SELECT pg_catalog.pg_current_wal_lsn(), restart_lsn,"
                                " confirmed_flush_lsn FROM pg_catalog.pg_replication_slots"
                                " WHERE slot_name = $1",
                                1, params, &res, why);
        if (o.refused)
                return o;
        bool known = PQntuples(res) == 1 && lsn_parse(pg_value(res, 0, 0), &f.end) == 0 &&
                     lsn_parse(pg_value(res, 0, 1), &f.kept_from) == 0 &&
                     lsn_parse(pg_value(res, 0, 2), &f.confirmed) == 0;
        PQclear(res);
        if (known)
                *out = f;
        return known ? FINE : refused(REFUSE_UNEXPECTED);
}

/* ---- altering */

static struct outcome may_alter(const struct publisher *p, const struct table_facts *f)
{
        bool member = f->membership.len > 0;
        if (f->partly)
                return refused(REFUSE_PARTLY);
        if (p->o.manual)
                return refused(member ? REFUSE_IDENTITY : REFUSE_MISSING_MANUAL);
        if (!member && !f->may_alter)
                return refused(REFUSE_MISSING_UNPRIVILEGED);
        return FINE;
}

static void put_alter(struct buf *sql, const struct publisher *p, uint32_t lock_timeout_ms,
                      const PGresult *res)
{
        struct table_facts f;
        publication_read_facts(res, &f);
        buf_printf(sql, "BEGIN; SET LOCAL lock_timeout = %" PRIu32 "; ", lock_timeout_ms);
        if (f.membership.len == 0) {
                buf_puts(sql, "ALTER PUBLICATION ");
                pg_put_ident(sql, slice_cstr(p->o.names.publication));
                buf_puts(sql, " ADD TABLE ONLY ");
                pg_put_ident(sql, f.schema);
                buf_putc(sql, '.');
                pg_put_ident(sql, f.table);
                buf_puts(sql, "; ");
        }
        if (!PQgetisnull(res, 0, FACTS_IDENTITY_SQL)) {
                buf_put_slice(sql, pg_value(res, 0, FACTS_IDENTITY_SQL));
                buf_puts(sql, "; ");
        }
        buf_puts(sql, "COMMIT");
}

static void roll_back(struct publisher *p)
{
        struct buf ignored;
        buf_init(&ignored, WHY_MAX_BYTES);
        (void)query(p, "ROLLBACK", 0, NULL, NULL, &ignored);
        buf_fini(&ignored);
}

static struct outcome alter(struct publisher *p, uint32_t lock_timeout_ms, const PGresult *facts,
                            struct buf *why)
{
        struct buf sql;
        struct table_facts f;
        publication_read_facts(facts, &f);
        buf_init(&sql, SQL_MAX_BYTES);
        put_alter(&sql, p, lock_timeout_ms, facts);
        fault_point(FAULT_INGEST_TABLE_BEFORE);
        struct outcome o = buf_status(&sql) ? refused(REFUSE_UNEXPECTED)
                                            : query(p, buf_cstr(&sql), 0, NULL, NULL, why);
        buf_fini(&sql);
        fault_point(FAULT_INGEST_TABLE_AFTER);
        if (o.refused)
                roll_back(p);
        else
                log_info("table_published", "table %.*s.%.*s is published with full identity",
                         SLICE_FMT(f.schema), SLICE_FMT(f.table));
        return o;
}

/* Looks again after altering: what is remembered must be what is there. */
struct outcome publisher_order(struct publisher *p, uint32_t oid, uint32_t lock_timeout_ms,
                               PGresult **facts, struct buf *why)
{
        for (int attempt = 0;; attempt++) {
                struct table_facts f;
                publication_read_facts(*facts, &f);
                if (publisher_in_order(&f))
                        return FINE;
                if (attempt > 1) /* somebody undoes it as fast as we do it */
                        return refused(f.full ? REFUSE_MISSING_UNPRIVILEGED : REFUSE_IDENTITY);
                struct outcome o = may_alter(p, &f);
                if (!o.refused)
                        o = alter(p, lock_timeout_ms, *facts, why);
                if (o.refused)
                        return o;
                PQclear(*facts);
                *facts = NULL;
                o = publisher_inspect(p, oid, NULL, NULL, facts, why);
                if (o.refused)
                        return o;
        }
}

/* ---- writers (I2b) */

/* Array literal of column 0, NULL when there is no row. */
static char *take_array(const PGresult *res)
{
        struct buf text;
        if (PQntuples(res) == 0)
                return NULL;
        buf_init(&text, SQL_MAX_BYTES);
        for (int i = 0; i < PQntuples(res); i++) {
                buf_putc(&text, i ? ',' : '{');
                buf_put_slice(&text, pg_value(res, i, 0)); /* digits */
        }
        buf_putc(&text, '}');
        SLUICE_ASSERT(buf_status(&text) == 0); /* locks are bounded by the server's shared memory */
        char *array = slice_dup_cstr(buf_slice(&text));
        buf_fini(&text);
        return array;
}

struct outcome publisher_writers(struct publisher *p, uint32_t oid, char **xids, struct buf *why)
{
        PGresult *res;
        struct outcome o = look_by_oid(p, publication_sql_writers, oid, &res, why);
        if (!o.refused) {
                *xids = take_array(res);
                PQclear(res);
        }
        return o;
}

struct outcome publisher_unfinished(struct publisher *p, char **xids, struct buf *why)
{
        const char *params[] = {*xids};
        PGresult *res;
        struct outcome o = look(p, publication_sql_unfinished, 1, params, &res, why);
        if (!o.refused) {
                mem_free(*xids);
                *xids = take_array(res);
                PQclear(res);
        }
        return o;
}

bool publisher_needs_second_pass(const struct publisher *p, const struct table_facts *f)
{
        return f->may_alter && !p->o.manual &&
               pg_publication_needs_second_pass(PQserverVersion(p->conn));
}

struct outcome publisher_touch(struct publisher *p, struct buf *why)
{
        struct buf sql;
        buf_init(&sql, WHY_MAX_BYTES);
        publication_sql_repair(&sql, p->o.names.publication);
        struct outcome o = look(p, buf_cstr(&sql), 0, NULL, NULL, why);
        buf_fini(&sql);
        return o;
}
