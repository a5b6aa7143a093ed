/* BEGIN, LOCK TABLE: nobody may rewrite or drop the table between the snapshot and the reading.
 * Neither statement takes a snapshot.
 *
 * The snapshot, and the insert position after it. A client forgets the snapshot when the log has
 * reached that position, so every transaction that the snapshot sees must have committed before it;
 * the position up to which WAL is written would not do, since a commit need not wait for that to
 * become visible.
 *
 * The writer is asked what it has routed that the snapshot does not see (subset_seen.h). When there
 * is something, all is done again from BEGIN on, until a snapshot sees that.
 *
 * The rows.
 *
 * COMMIT, when what the snapshot saw is on the database's disk: the client keeps these rows. */
#include "services/router/subset_run.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/pg/pg.h"
#include "services/router/catalog_query.h"
#include "services/router/pgwait.h"
#include "services/router/subset_seen.h"

enum {
        CONNECT_TIMEOUT_S = 10,
        SQL_MAX_BYTES = 16 << 20, /* parameters become part of it */
        WHY_MAX_BYTES = 16 * 1024,
        RETRY_MAX_MS = 50,
        END_TIMEOUT_MS = 5000
};

struct run {
        struct subset_reader *r;
        struct subset_job *job;
        struct trouble *trouble;
        struct buf why, sql;
        struct pg_snapshot snapshot;
        struct subset_unseen unseen; /* of the first snapshot */
        bool asked;
        bool in_transaction;
};

/* ---- statements */

void subset_disconnect(struct subset_reader *r)
{
        PQfinish(r->conn);
        r->conn = NULL;
}

static struct pgwait wait_until(const struct subset_reader *r, uint64_t deadline_ms)
{
        return (struct pgwait){.deadline_ms = deadline_ms, .wake_fd = r->wake_fd};
}

/* Asks the server to stop, too: a statement that waits would not notice that its client has left.
 */
static void abandon(struct subset_reader *r)
{
        char unused[256];
        PGcancel *cancel = PQstatus(r->conn) == CONNECTION_OK ? PQgetCancel(r->conn) : NULL;
        if (cancel)
                PQcancel(cancel, unused, sizeof(unused));
        PQfreeCancel(cancel);
        subset_disconnect(r);
}

/* A label that its enum has not, a time zone that the database has not: the reference passes
 * Postgres' message on, as plain text (protocol §4.2). */
static bool is_bad_literal(const char *state)
{
        return strcmp(state, "22P02") == 0 || strcmp(state, "22023") == 0;
}

static int statement_failed(struct subset_reader *r, int err, const char *state, struct slice why,
                            uint64_t started_ms, struct trouble *t)
{
        uint64_t took_ms = clock_mono_ms() - started_ms;
        if (err == ERR_DB && is_bad_literal(state)) {
                t->status = 400;
                subset_refusal("where", why, true, &t->body);
                return err;
        }
        if (err == ERR_DB) {
                trouble_sql(t, state, why, took_ms);
                return err;
        }
        if (err == ERR_TIMEOUT)
                trouble_slow_query(t, took_ms);
        else
                trouble_no_connection(t);
        abandon(r);
        return err;
}

static int execute(struct run *run, const char *sql, PGresult **out)
{
        struct pgwait w = wait_until(run->r, run->job->deadline_ms);
        char state[6] = "";
        uint64_t started_ms = clock_mono_ms();
        buf_reset(&run->why);
        int err = pgwait_exec(run->r->conn, &w, sql, 0, NULL, out, state, &run->why);
        return err ? statement_failed(run->r, err, state, buf_slice(&run->why), started_ms,
                                      run->trouble)
                   : 0;
}

static struct pg_options connection_options(const struct subset_reader *r)
{
        return (struct pg_options){.url = r->database_url,
                                   .ca_file = r->ca_file,
                                   .application_name = "sluice-subset",
                                   .kind = PG_NORMAL,
                                   .connect_timeout_s = CONNECT_TIMEOUT_S,
                                   .statement_timeout_ms = SUBSET_STATEMENT_TIMEOUT_MS,
                                   .lock_timeout_ms = SUBSET_LOCK_TIMEOUT_MS,
                                   .pooled = r->pooled};
}

static int connect_database(struct subset_reader *r, struct trouble *t)
{
        struct buf why;
        struct pg_options o = connection_options(r);
        buf_init(&why, WHY_MAX_BYTES);
        int err = pg_connect(&o, &r->conn, NULL, &why);
        if (!err)
                err = pgwait_adopt(r->conn);
        if (err) {
                log_warning("subset_connect", "no connection for subsets: %s", buf_cstr(&why));
                subset_disconnect(r);
                trouble_no_connection(t);
        }
        buf_fini(&why);
        return err;
}

/* ---- the transaction */

static int begin_and_lock(struct run *run)
{
        struct buf sql;
        buf_init(&sql, 64 * 1024);
        struct pg_options o = connection_options(run->r);
        buf_puts(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ");
        pg_put_local_settings(&sql, &o);
        buf_puts(&sql, "LOCK TABLE ");
        table_put_sql(projection_table(run->job->projection), &sql);
        buf_puts(&sql, " IN ACCESS SHARE MODE");
        run->in_transaction = true;
        int err = execute(run, buf_cstr(&sql), NULL);
        buf_fini(&sql);
        return err;
}

static void end_transaction(struct run *run)
{
        struct pgwait w = {.deadline_ms = clock_mono_ms() + END_TIMEOUT_MS,
                           .wake_fd = PGWAIT_NO_FD};
        struct buf unused;
        if (!run->in_transaction || !run->r->conn)
                return;
        run->in_transaction = false;
        buf_init(&unused, 0);
        if (pgwait_exec(run->r->conn, &w, "ROLLBACK", 0, NULL, NULL, NULL, &unused) != 0)
                subset_disconnect(run->r);
        buf_fini(&unused);
}

static int commit(struct run *run)
{
        struct buf sql;
        buf_init(&sql, 1024);
        pg_put_commit_durably(&sql, run->snapshot.insert_lsn);
        int err = execute(run, buf_cstr(&sql), NULL);
        buf_fini(&sql);
        if (!err)
                run->in_transaction = false;
        return err;
}

/* A connection that was idle may have died unnoticed; then a new one is tried, once. */
static int open_transaction(struct run *run)
{
        bool reused = run->r->conn != NULL;
        int err = reused ? 0 : connect_database(run->r, run->trouble);
        if (!err)
                err = begin_and_lock(run);
        if (err == ERR_CLOSED && reused) {
                run->trouble->status = 0;
                err = connect_database(run->r, run->trouble);
                if (!err)
                        err = begin_and_lock(run);
        }
        return err;
}

static int parse_snapshot(const PGresult *res, struct pg_snapshot *out)
{
        struct pg_snapshot s;
        if (PQntuples(res) != 1 || PQnfields(res) != 3 ||
            pg_snapshot_parse(pg_value(res, 0, 0), &s) != 0)
                return ERR_FORMAT;
        int err = lsn_parse(pg_value(res, 0, 1), &s.insert_lsn);
        if (err)
                pg_snapshot_fini(&s);
        else
                *out = s;
        return err;
}

/* Another table may have the name by now. */
static bool is_same_table(const PGresult *res, const struct table *t)
{
        uint64_t oid;
        return slice_parse_u64(pg_value(res, 0, 2), &oid) == 0 && oid == t->oid;
}

static int use_snapshot(struct run *run, const PGresult *res)
{
        pg_snapshot_fini(&run->snapshot);
        run->snapshot = (struct pg_snapshot){0};
        int err = parse_snapshot(res, &run->snapshot);
        if (err) {
                trouble_unexpected(run->trouble, SLICE_LIT("malformed snapshot"));
        } else if (!is_same_table(res, projection_table(run->job->projection))) {
                trouble_refetch(run->trouble);
                err = ERR_NOTFOUND;
        }
        return err;
}

static int take_snapshot(struct run *run)
{
        PGresult *res = NULL;
        struct buf name, sql;
        buf_init(&name, 16 * 1024);
        buf_init(&sql, 64 * 1024);
        table_put_name(projection_table(run->job->projection), &name);
        buf_puts(&sql, "SELECT pg_catalog.pg_current_snapshot(),"
                       " pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.to_regclass(");
        pg_put_literal(&sql, buf_slice(&name));
        buf_puts(&sql, ")::pg_catalog.oid");
        int err = execute(run, buf_cstr(&sql), &res);
        buf_fini(&sql);
        buf_fini(&name);
        if (!err)
                err = use_snapshot(run, res);
        PQclear(res);
        return err;
}

/* ERR_AGAIN: a younger one is wanted. */
static int judge_snapshot(struct run *run)
{
        if (run->asked)
                return subset_unseen_passed(&run->unseen, &run->snapshot) ? 0 : ERR_AGAIN;
        int err = subset_unseen_list(run->r->writer, &run->snapshot, &run->unseen);
        if (err) {
                trouble_no_connection(run->trouble);
                return err;
        }
        run->asked = true;
        return run->unseen.n == 0 ? 0 : ERR_AGAIN;
}

static int try_snapshot(struct run *run)
{
        int err = open_transaction(run);
        if (!err)
                err = take_snapshot(run);
        if (!err)
                err = judge_snapshot(run);
        if (err)
                end_transaction(run);
        return err;
}

/* Postgres has no event for a transaction becoming visible; it is a matter of microseconds, unless
 * its commit waits for a standby. */
static int get_snapshot(struct run *run)
{
        uint64_t wait_ms = 0;
        int err;
        while ((err = try_snapshot(run)) == ERR_AGAIN) {
                if (clock_mono_ms() + wait_ms >= run->job->deadline_ms) {
                        trouble_slow_start(run->trouble);
                        return ERR_TIMEOUT;
                }
                if (wait_ms > 0 && pgwait_pause(run->r->wake_fd, wait_ms) != 0) {
                        trouble_no_connection(run->trouble);
                        return ERR_CANCELLED;
                }
                wait_ms = wait_ms < RETRY_MAX_MS / 2 ? wait_ms * 2 + 1 : RETRY_MAX_MS;
        }
        return err;
}

/* ---- rows */

struct rows {
        struct run *run;
        struct change_value *values; /* one row, by table column */
        uint32_t *columns;           /* result field -> table column */
        int n_fields;
        char tail[48];
        size_t start;
};

static void rows_init(struct rows *rows, struct run *run)
{
        const struct table *t = projection_table(run->job->projection);
        *rows = (struct rows){.run = run, .start = run->job->body->len};
        rows->values = mem_zalloc((t->n_columns + 1) * sizeof(*rows->values));
        rows->columns = mem_array(t->n_columns + 1, sizeof(*rows->columns));
        for (uint32_t i = 0; i < t->n_columns; i++)
                if (projection_needs(run->job->projection, i))
                        rows->columns[rows->n_fields++] = i;
        snprintf(rows->tail, sizeof(rows->tail), ",\"snapshot_mark\":%u}}", run->job->mark);
}

static void rows_fini(struct rows *rows)
{
        mem_free(rows->values);
        mem_free(rows->columns);
}

static int too_large(struct run *run)
{
        struct buf text;
        struct trouble *t = run->trouble;
        buf_init(&text, 256);
        buf_printf(&text, "the subset is bigger than the maximum of %zu bytes", run->r->max_bytes);
        t->status = 400;
        subset_refusal("limit", buf_slice(&text), false, &t->body);
        buf_fini(&text);
        return ERR_LIMIT;
}

/* The mark goes into the headers, which end the row. */
static int add_row(struct rows *rows, const PGresult *res)
{
        struct run *run = rows->run;
        struct buf *body = run->job->body;
        const struct projection *p = run->job->projection;
        SLUICE_ASSERT(PQnfields(res) == rows->n_fields);
        for (int i = 0; i < rows->n_fields; i++) {
                struct change_value *v = &rows->values[rows->columns[i]];
                int len = PQgetlength(res, 0, i);
                v->kind = len == 0 && PQgetisnull(res, 0, i) ? VALUE_NULL : VALUE_TEXT;
                v->text = slice_of(PQgetvalue(res, 0, i), (size_t)len);
        }
        if (body->len > rows->start)
                buf_putc(body, ',');
        render_snapshot_row(p, (struct row){rows->values, projection_table(p)->n_columns}, body);
        if (buf_status(body) != 0)
                return too_large(run);
        SLUICE_ASSERT(body->len > rows->start + 2 && body->p[body->len - 1] == '}');
        body->len -= 2;
        buf_puts(body, rows->tail);
        return buf_status(body) != 0 ? too_large(run) : 0;
}

static int send_select(struct run *run, const struct pgwait *w)
{
        PGconn *conn = run->r->conn;
        int sent = PQsendQueryParams(conn, buf_cstr(&run->sql), 0, NULL, NULL, NULL, NULL, 0) &&
                   PQsetSingleRowMode(conn);
        return sent ? pgwait_flush(conn, w) : ERR_CLOSED;
}

static int select_failed(struct run *run, const PGresult *res, uint64_t started_ms)
{
        int err = PQstatus(run->r->conn) == CONNECTION_OK ? ERR_DB : ERR_CLOSED;
        buf_reset(&run->why);
        pg_error_line(PQresultErrorMessage(res), &run->why);
        return statement_failed(run->r, err, pg_sqlstate(res), buf_slice(&run->why), started_ms,
                                run->trouble);
}

/* Until libpq says that the statement is over. */
static int receive_rows(struct rows *rows, const struct pgwait *w)
{
        struct run *run = rows->run;
        uint64_t started_ms = clock_mono_ms();
        int failed = 0;
        while (run->r->conn) {
                int err = pgwait_ready(run->r->conn, w);
                if (err)
                        return statement_failed(run->r, err, "", SLICE_EMPTY, started_ms,
                                                run->trouble);
                PGresult *res = PQgetResult(run->r->conn);
                if (!res)
                        break;
                ExecStatusType status = PQresultStatus(res);
                if (status == PGRES_SINGLE_TUPLE && !failed)
                        failed = add_row(rows, res);
                else if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK && !failed)
                        failed = select_failed(run, res, started_ms);
                PQclear(res);
                if (failed == ERR_LIMIT) {
                        abandon(run->r); /* in the middle of the rows */
                        return failed;
                }
        }
        return failed;
}

static int select_rows(struct run *run)
{
        struct pgwait w = wait_until(run->r, run->job->deadline_ms);
        struct rows rows;
        rows_init(&rows, run);
        int err = send_select(run, &w);
        if (err)
                err = statement_failed(run->r, err, "", SLICE_EMPTY, clock_mono_ms(), run->trouble);
        else
                err = receive_rows(&rows, &w);
        if (!err)
                run->job->rows =
                        slice_of(run->job->body->p + rows.start, run->job->body->len - rows.start);
        rows_fini(&rows);
        return err;
}

/* ---- the body */

static void put_metadata(const struct run *run)
{
        const struct pg_snapshot *s = &run->snapshot;
        struct buf *b = run->job->body;
        buf_printf(b, "{\"metadata\":{\"xmin\":\"%llu\",\"xmax\":\"%llu\",\"xip_list\":[",
                   (unsigned long long)s->xmin, (unsigned long long)s->xmax);
        for (uint32_t i = 0; i < s->n_xip; i++)
                buf_printf(b, "%s\"%llu\"", i ? "," : "", (unsigned long long)s->xip[i]);
        buf_printf(b, "],\"database_lsn\":\"%llu\",\"snapshot_mark\":%u},\"data\":[",
                   (unsigned long long)s->insert_lsn.v, run->job->mark);
}

static int put_end(struct run *run)
{
        const struct slice end = SLICE_LIT("]}");
        struct subset_job *job = run->job;
        size_t start = (size_t)(job->rows.p - job->body->p);
        buf_put_slice(job->body, end);
        job->rows.p = job->body->p + start; /* the buffer may have moved */
        return buf_status(job->body) != 0 ? too_large(run) : 0;
}

static int run_steps(struct run *run)
{
        int err = subset_query_sql(run->job->query, run->job->shape, run->job->projection,
                                   &run->sql, &run->trouble->body);
        if (err) {
                run->trouble->status = 400;
                return err;
        }
        err = get_snapshot(run);
        if (err)
                return err;
        put_metadata(run);
        err = select_rows(run);
        if (!err)
                err = commit(run);
        return err ? err : put_end(run);
}

int subset_run(struct subset_reader *r, struct subset_job *job, struct trouble *trouble)
{
        struct run run = {.r = r, .job = job, .trouble = trouble};
        buf_init(&run.why, WHY_MAX_BYTES);
        buf_init(&run.sql, SQL_MAX_BYTES);
        int err = run_steps(&run);
        end_transaction(&run);
        SLUICE_ASSERT((err == 0) == (trouble->status == 0));
        subset_unseen_fini(&run.unseen);
        pg_snapshot_fini(&run.snapshot);
        buf_fini(&run.sql);
        buf_fini(&run.why);
        return err;
}

/* ---- validating needs no more than the table */

static int query_table(struct subset_reader *r, const struct definition *d, uint64_t deadline_ms,
                       struct table **out, struct trouble *t)
{
        struct pgwait w = wait_until(r, deadline_ms);
        struct buf why;
        char state[6] = "";
        uint64_t started_ms = clock_mono_ms();
        buf_init(&why, WHY_MAX_BYTES);
        int err = catalog_query_name(r->conn, &w, d->schema, d->table, out, state, &why);
        if (err && err != ERR_NOTFOUND)
                statement_failed(r, err, state, buf_slice(&why), started_ms, t);
        buf_fini(&why);
        return err;
}

int subset_find_table(struct subset_reader *r, const struct definition *d, uint64_t deadline_ms,
                      struct table **out, struct trouble *trouble)
{
        bool reused = r->conn != NULL;
        int err = reused ? 0 : connect_database(r, trouble);
        if (!err)
                err = query_table(r, d, deadline_ms, out, trouble);
        if (err == ERR_CLOSED && reused) {
                trouble->status = 0;
                err = connect_database(r, trouble);
                if (!err)
                        err = query_table(r, d, deadline_ms, out, trouble);
        }
        return err;
}
