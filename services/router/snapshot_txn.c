/* The transaction of a snapshot: see snapshot_read.c for why the steps come in this order. */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/pg/membership.h"
#include "common/pg/pg.h"
#include "services/router/catalog_glance.h"
#include "services/router/catalog_query.h"
#include "services/router/snapshot_run.h"

enum {
        CONNECT_TIMEOUT_S = 10,
        LOCK_TIMEOUT_MS = 5000, /* protocol §4.7 */
        SQL_MAX_BYTES = 64 * 1024
};

/* ---- statements */

struct pgwait run_wait_ms(const struct run *run, uint64_t ms)
{
        uint64_t deadline_ms = clock_mono_ms() + ms;
        if (run->deadline_ms && run->deadline_ms < deadline_ms)
                deadline_ms = run->deadline_ms;
        return (struct pgwait){.deadline_ms = deadline_ms, .wake_fd = run->reader->wake_fd};
}

/* Asks the server to stop, too: a statement that waits would not notice that its client has left.
 */
void run_abandon(struct run *run)
{
        char unused[256];
        struct snapshot_reader *r = run->reader;
        PGcancel *cancel = PQstatus(r->conn) == CONNECTION_OK ? PQgetCancel(r->conn) : NULL;
        if (cancel)
                PQcancel(cancel, unused, sizeof(unused));
        PQfreeCancel(cancel);
        snapshot_disconnect(r);
        run->in_transaction = false;
}

int run_statement_failed(struct run *run, int err, const char *state, uint64_t started_ms)
{
        switch (err) {
        case ERR_DB:
                trouble_sql(&run->trouble, state, buf_slice(&run->why),
                            clock_mono_ms() - started_ms);
                return err; /* the connection is as good as before */
        case ERR_TIMEOUT:
                trouble_slow_start(&run->trouble);
                break;
        case ERR_CANCELLED:
                break;
        default:
                trouble_no_connection(&run->trouble);
                break;
        }
        run_abandon(run);
        return err;
}

static int execute(struct run *run, const char *sql, PGresult **out)
{
        struct pgwait w = run_wait_ms(run, SNAPSHOT_STATEMENT_TIMEOUT_MS);
        char state[6] = "";
        uint64_t started_ms = clock_mono_ms();
        buf_reset(&run->why);
        int err = pgwait_exec(run->reader->conn, &w, sql, 0, NULL, out, state, &run->why);
        return err ? run_statement_failed(run, err, state, started_ms) : 0;
}

static struct pg_options connection_options(const struct run *run)
{
        const struct snapshot_options *o = run->reader->options;
        return (struct pg_options){.url = o->database_url,
                                   .ca_file = o->ca_file,
                                   .application_name = "sluice-snapshot",
                                   .kind = PG_NORMAL,
                                   .connect_timeout_s = CONNECT_TIMEOUT_S,
                                   .statement_timeout_ms = o->timeout_ms,
                                   .lock_timeout_ms = LOCK_TIMEOUT_MS,
                                   .pooled = o->pooled};
}

static int connect_database(struct run *run)
{
        struct snapshot_reader *r = run->reader;
        struct pg_options o = connection_options(run);
        buf_reset(&run->why);
        int err = pg_connect(&o, &r->conn, NULL, &run->why);
        if (!err)
                err = pgwait_adopt(r->conn);
        if (err) {
                snapshot_disconnect(r);
                trouble_no_connection(&run->trouble);
        }
        return err;
}

/* ---- the transaction */

static int begin_and_lock(struct run *run)
{
        struct buf sql;
        buf_init(&sql, SQL_MAX_BYTES);
        struct pg_options o = connection_options(run);
        buf_puts(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ");
        pg_put_local_settings(&sql, &o);
        buf_puts(&sql, "LOCK TABLE ");
        table_put_sql(run->table, &sql);
        buf_puts(&sql, " IN ACCESS SHARE MODE");
        run->in_transaction = true;
        int err = execute(run, buf_cstr(&sql), NULL);
        buf_fini(&sql);
        return err;
}

/* A connection that was idle may have died unnoticed; then a new one is tried, once. */
int run_open_transaction(struct run *run)
{
        bool reused = run->reader->conn != NULL;
        int err = reused ? 0 : connect_database(run);
        if (!err)
                err = begin_and_lock(run);
        if (err == ERR_CLOSED && reused) {
                err = connect_database(run);
                if (!err)
                        err = begin_and_lock(run);
        }
        return err;
}

int run_commit(struct run *run)
{
        struct buf sql;
        buf_init(&sql, SQL_MAX_BYTES);
        pg_put_commit_durably(&sql, run->snapshot.insert_lsn);
        int err = execute(run, buf_cstr(&sql), NULL);
        buf_fini(&sql);
        if (!err)
                run->in_transaction = false;
        return err;
}

void run_close_transaction(struct run *run)
{
        struct snapshot_reader *r = run->reader;
        struct pgwait w = {.deadline_ms = clock_mono_ms() + SNAPSHOT_STATEMENT_TIMEOUT_MS,
                           .wake_fd = PGWAIT_NO_FD};
        struct buf unused;
        if (!run->in_transaction || !r->conn)
                return;
        run->in_transaction = false;
        buf_init(&unused, 0);
        if (pgwait_exec(r->conn, &w, "ROLLBACK", 0, NULL, NULL, NULL, &unused) != 0)
                snapshot_disconnect(r);
        buf_fini(&unused);
}

static int parse_snapshot(const PGresult *res, struct pg_snapshot *out)
{
        struct pg_snapshot s;
        if (PQntuples(res) != 1 || PQnfields(res) != 3 ||
            pg_snapshot_parse(pg_value(res, 0, 0), &s) != 0)
                return ERR_FORMAT;
        int err = lsn_parse(pg_value(res, 0, 1), &s.insert_lsn);
        s.member = catalog_member(pg_value(res, 0, 2));
        if (err)
                pg_snapshot_fini(&s);
        else
                *out = s;
        return err;
}

/* The position is read after the snapshot is taken (step 4), within one statement: the
 * transaction's snapshot exists before its first expression is evaluated. */
static void put_take_snapshot(const struct run *run, struct buf *sql)
{
        const char *publication = run->reader->options->publication;
        struct buf name;
        char oid[16];
        buf_puts(sql, "SELECT pg_catalog.pg_current_snapshot(),"
                      " pg_catalog.pg_current_wal_insert_lsn(), ");
        if (!publication) {
                buf_puts(sql, "NULL");
                return;
        }
        buf_init(&name, 2 * PG_PUBLICATION_NAME_BYTES);
        pg_put_literal(&name, slice_cstr(publication));
        snprintf(oid, sizeof(oid), "%u", (unsigned)run->table->oid);
        pg_put_full_membership(sql, oid, buf_cstr(&name), PQserverVersion(run->reader->conn));
        buf_fini(&name);
}

int run_take_snapshot(struct run *run)
{
        PGresult *res = NULL;
        struct buf sql;
        buf_init(&sql, SQL_MAX_BYTES);
        put_take_snapshot(run, &sql);
        int err = execute(run, buf_cstr(&sql), &res);
        buf_fini(&sql);
        if (err)
                return err;
        pg_snapshot_fini(&run->snapshot);
        err = parse_snapshot(res, &run->snapshot);
        if (err)
                trouble_unexpected(&run->trouble, SLICE_LIT("malformed snapshot"));
        PQclear(res);
        if (!err && run->reader->options->publication && run->snapshot.member == 0) {
                trouble_refetch(&run->trouble); /* it was taken out since it was put in */
                err = ERR_NOTFOUND;
        }
        return err;
}

/* The writer's verdict on a callback: gone, again, or its own failure. */
int run_sink_said(struct run *run, int err)
{
        if (err == ERR_CANCELLED)
                run->gone = true;
        else if (err)
                trouble_unexpected(&run->trouble, slice_cstr(err_text(err)));
        return err;
}

static int judge_snapshot(struct run *run)
{
        const struct snapshot_sink *sink = run->reader->sink;
        int err = sink->begin(sink->arg, run->job->shape_id, &run->snapshot);
        return err == ERR_AGAIN ? err : run_sink_said(run, err);
}

int run_try_snapshot(struct run *run)
{
        const struct snapshot_sink *sink = run->reader->sink;
        int err = run_open_transaction(run);
        if (!err)
                err = run_sink_said(run, sink->hold(sink->arg, &run->job->shape_id, 1));
        if (!err)
                err = run_take_snapshot(run);
        if (!err)
                err = judge_snapshot(run);
        if (err)
                run_close_transaction(run);
        return err;
}

/* ---- is the table still the same? */

static bool same_column(const struct table_column *a, const struct table_column *b)
{
        return slice_eq(a->name, b->name) && a->type_oid == b->type_oid;
}

static bool same_key(const struct table *a, const struct table *b)
{
        if (a->n_pk != b->n_pk)
                return false;
        for (uint32_t i = 0; i < a->n_pk; i++)
                if (!slice_eq(a->columns[a->pk[i]].name, b->columns[b->pk[i]].name))
                        return false;
        return true;
}

bool run_still_fits(const struct projection *p, const struct table *now)
{
        const struct table *then = projection_table(p);
        if (then->oid != now->oid || !same_key(then, now))
                return false;
        for (uint32_t i = 0; i < then->n_columns; i++) {
                if (!projection_needs(p, i))
                        continue;
                int at = table_find_column(now, then->columns[i].name);
                if (at < 0 || !same_column(&then->columns[i], &now->columns[at]))
                        return false;
        }
        return true;
}

int run_look_at_table(struct run *run, struct table **now)
{
        struct pgwait w = run_wait_ms(run, SNAPSHOT_STATEMENT_TIMEOUT_MS);
        char state[6] = "";
        uint64_t started_ms = clock_mono_ms();
        buf_reset(&run->why);
        int err = catalog_query_name(run->reader->conn, &w, run->table->schema, run->table->name,
                                     now, state, &run->why);
        if (err && err != ERR_NOTFOUND)
                return run_statement_failed(run, err, state, started_ms);
        if (err)
                trouble_refetch(&run->trouble);
        return err;
}
