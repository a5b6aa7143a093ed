/* The rows of a snapshot, from COPY to the sink: never more than a batch of them is in memory. COPY
 * in text format is what costs both sides least; it takes no parameters, and needs none: a clause
 * is rebuilt with its constants. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/pg/pg.h"
#include "services/router/copytext.h"
#include "services/router/cutter.h"
#include "services/router/snapshot_run.h"

enum { SQL_MAX_BYTES = 4 * 1024 * 1024, WHOLE_MAX_BYTES = 256 * 1024 };

struct rows {
        struct run *run;
        struct cutter cutter;
        struct buf entries;          /* of the current chunk, not handed over yet */
        struct change_value *values; /* one row, by table column */
        uint32_t *columns;           /* field -> table column */
        uint32_t n_fields;
        bool whole; /* all of it is to stay in `entries`, or is too much */
};

static void rows_init(struct rows *rows, struct run *run)
{
        enum { ENTRIES_MAX_BYTES = 1 << 30 /* Postgres' own limit for one row */ };
        const struct table *t = run->table;
        *rows = (struct rows){.run = run};
        rows->cutter = cutter_init(run->reader->options->chunk_bytes);
        buf_init(&rows->entries, ENTRIES_MAX_BYTES);
        rows->values = mem_zalloc((t->n_columns + 1) * sizeof(*rows->values));
        rows->columns = mem_array(t->n_columns, sizeof(*rows->columns));
        for (uint32_t i = 0; i < t->n_columns; i++)
                if (projection_needs(run->job->projection, i))
                        rows->columns[rows->n_fields++] = i;
}

static void rows_fini(struct rows *rows)
{
        buf_fini(&rows->entries);
        mem_free(rows->values);
        mem_free(rows->columns);
}

static void put_copy(const struct rows *rows, struct buf *out)
{
        const struct table *t = rows->run->table;
        struct slice where = rows->run->job->where_sql;
        buf_puts(out, "COPY (SELECT");
        for (uint32_t i = 0; i < rows->n_fields; i++) {
                buf_puts(out, i > 0 ? ", " : " ");
                pg_put_ident(out, t->columns[rows->columns[i]].name);
        }
        buf_puts(out, " FROM ");
        table_put_sql(t, out);
        if (where.len > 0) {
                buf_puts(out, " WHERE ");
                buf_put_slice(out, where);
        }
        buf_puts(out, ") TO STDOUT");
}

/* Hands over what is there; the buffer is empty afterwards and has room for the next batch. */
static int flush_rows(struct rows *rows, bool closes)
{
        struct run *run = rows->run;
        const struct snapshot_sink *sink = run->reader->sink;
        int err = sink->rows(sink->arg, run->job->shape_id, rows->cutter.chunk, &rows->entries,
                             closes);
        buf_reset(&rows->entries);
        if (closes)
                cutter_next(&rows->cutter);
        return run_sink_said(run, err);
}

static void start_entry(struct rows *rows)
{
        uint32_t batch = rows->run->reader->options->batch_bytes;
        if (rows->entries.len > 0)
                buf_putc(&rows->entries, ',');
        else if (!rows->whole)
                buf_reserve(&rows->entries, batch + batch / 4);
}

static int unexpected(struct run *run, int err, struct slice what)
{
        trouble_unexpected(&run->trouble, what);
        return err;
}

static int add_row(struct rows *rows, char *line, size_t len)
{
        struct run *run = rows->run;
        if (copytext_parse(line, len, rows->columns, rows->n_fields, rows->values) != 0)
                return unexpected(run, ERR_FORMAT, SLICE_LIT("malformed row"));
        start_entry(rows);
        size_t before = rows->entries.len;
        render_snapshot_row(run->job->projection, (struct row){rows->values, run->table->n_columns},
                            &rows->entries);
        if (buf_status(&rows->entries) != 0)
                return unexpected(run, ERR_LIMIT, SLICE_LIT("row is too large"));
        bool closes = cutter_add(&rows->cutter, rows->entries.len - before);
        if (rows->whole)
                return closes || rows->entries.len >= WHOLE_MAX_BYTES ? ERR_LIMIT : 0;
        if (closes || rows->entries.len >= run->reader->options->batch_bytes)
                return flush_rows(rows, closes);
        return 0;
}

static int send_copy(struct rows *rows, const struct pgwait *w)
{
        struct run *run = rows->run;
        PGconn *conn = run->reader->conn;
        struct buf sql;
        buf_init(&sql, SQL_MAX_BYTES);
        put_copy(rows, &sql);
        int sent = buf_status(&sql) == 0 && PQsendQuery(conn, buf_cstr(&sql));
        buf_fini(&sql);
        return sent ? pgwait_flush(conn, w) : ERR_CLOSED;
}

/* A row did not come in time, somebody wants the worker back, or the connection is lost. */
static int rows_stopped(struct run *run, int err, uint64_t after_ms)
{
        run_statement_failed(run, err, "", 0);
        if (err == ERR_TIMEOUT)
                trouble_slow_query(&run->trouble, after_ms);
        return err;
}

static int copy_failed(struct run *run, const PGresult *res, uint64_t started_ms)
{
        int err = PQstatus(run->reader->conn) == CONNECTION_OK ? ERR_DB : ERR_CLOSED;
        buf_reset(&run->why);
        pg_error_line(PQresultErrorMessage(res), &run->why);
        return run_statement_failed(run, err, pg_sqlstate(res), started_ms);
}

/* How the statement ended, unless that is known; libpq has nothing more to say afterwards. */
static int finish_copy(struct run *run, int err, uint64_t started_ms)
{
        struct pgwait w = run_wait_ms(run, SNAPSHOT_STATEMENT_TIMEOUT_MS);
        PGresult *res = NULL;
        int waited = pgwait_results(run->reader->conn, &w, &res);
        if (waited)
                return run_statement_failed(run, waited, "", 0);
        if (!err && PQresultStatus(res) != PGRES_COMMAND_OK)
                err = copy_failed(run, res, started_ms);
        PQclear(res);
        return err;
}

/* Up to the last row. The deadline is for the first one (protocol §4.7). Afterwards a table may
 * take as long as it is large, but a server that stands still holds back the vacuum of all its
 * tables for nothing. */
static int receive_rows(struct rows *rows, struct pgwait *w, uint64_t started_ms)
{
        struct run *run = rows->run;
        const struct snapshot_options *o = run->reader->options;
        for (;;) {
                char *line = NULL;
                size_t len;
                int err = pgwait_copy_line(run->reader->conn, w, &line, &len);
                if (err)
                        return rows_stopped(run, err,
                                            w->deadline_ms == PGWAIT_NO_DEADLINE
                                                    ? clock_mono_ms() - started_ms
                                                    : o->first_row_timeout_ms);
                if (!line)
                        return 0;
                if (!rows->whole) {
                        w->deadline_ms = PGWAIT_NO_DEADLINE;
                        w->silence_ms = o->silence_ms;
                }
                err = add_row(rows, line, len);
                PQfreemem(line);
                if (err)
                        return err;
        }
}

static int copy_rows(struct rows *rows)
{
        struct run *run = rows->run;
        uint64_t started_ms = clock_mono_ms();
        struct pgwait w = run_wait_ms(run, run->reader->options->first_row_timeout_ms);
        int err = send_copy(rows, &w);
        if (!err)
                err = pgwait_ready(run->reader->conn, &w);
        if (err)
                return rows_stopped(run, err, run->reader->options->first_row_timeout_ms);
        PGresult *res = PQgetResult(run->reader->conn);
        if (PQresultStatus(res) == PGRES_COPY_OUT)
                err = receive_rows(rows, &w, started_ms);
        else
                err = copy_failed(run, res, started_ms);
        PQclear(res);
        if (!run->reader->conn)
                return err;
        if (err && err != ERR_DB) {
                run_abandon(run); /* in the middle of the rows */
                return err;
        }
        return finish_copy(run, err, started_ms);
}

static void put_snapshot_end(struct rows *rows)
{
        const struct pg_snapshot *s = &rows->run->snapshot;
        start_entry(rows);
        render_snapshot_end(s->xmin, s->xmax, s->xip, s->n_xip, &rows->entries);
}

static int end_rows(struct rows *rows)
{
        struct run *run = rows->run;
        const struct snapshot_sink *sink = run->reader->sink;
        put_snapshot_end(rows);
        int err = flush_rows(rows, false);
        if (!err)
                err = run_sink_said(run,
                                    sink->end(sink->arg, run->job->shape_id, rows->cutter.chunk));
        return err;
}

int run_read_rows(struct run *run)
{
        struct rows rows;
        int err = 0;
        rows_init(&rows, run);
        if (!run->job->only_end)
                err = copy_rows(&rows);
        if (!err)
                err = run_commit(run);
        if (!err)
                err = end_rows(&rows);
        rows_fini(&rows);
        return err;
}

int run_read_whole(struct run *run, struct buf *out)
{
        struct rows rows;
        int err = 0;
        rows_init(&rows, run);
        rows.whole = true;
        if (!run->job->only_end)
                err = copy_rows(&rows);
        if (!err) {
                put_snapshot_end(&rows);
                buf_put_slice(out, buf_slice(&rows.entries));
                err = buf_status(out) != 0 ? ERR_LIMIT : 0;
        }
        rows_fini(&rows);
        return err;
}
