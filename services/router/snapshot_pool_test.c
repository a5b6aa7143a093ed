/* Snapshots of a real Postgres into a sink that keeps everything: TEST_DATABASE_URL names a
 * database, whose schema sluice_snapshot_test is the test's own. */
#include "services/router/snapshot.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/catalog_query.h"
#include "services/router/test_db.h"

#define SCHEMA "sluice_snapshot_test"

enum { MAX_CHUNKS = 64, SHAPE = 256 };

/* ---- a sink */

struct sink {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct buf chunks[MAX_CHUNKS];
        bool closed[MAX_CHUNKS];
        uint32_t n_chunks, n_holds, n_begins, n_ensures;
        bool started, ended, failed, ensured, blocked;
        uint32_t refuse_begins; /* so many times ERR_AGAIN */
        int rows_error;         /* what rows() returns */
        uint32_t ensure_status; /* fail with it */
        bool block_rows;        /* rows() waits until this is false */
        uint32_t status;
        struct buf body;
        struct pg_snapshot snapshot;
        void (*on_begin)(struct sink *s);
        void *db;
};

static void sink_init(struct sink *s)
{
        *s = (struct sink){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        for (int i = 0; i < MAX_CHUNKS; i++)
                buf_init(&s->chunks[i], 64 << 20);
        buf_init(&s->body, 1 << 20);
}

static void sink_fini(struct sink *s)
{
        for (int i = 0; i < MAX_CHUNKS; i++)
                buf_fini(&s->chunks[i]);
        buf_fini(&s->body);
}

static void changed(struct sink *s)
{
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
}

static int on_hold(void *arg, const uint64_t *shape_ids, uint32_t n)
{
        struct sink *s = arg;
        assert_int_equal(n, 1);
        assert_int_equal(shape_ids[0], SHAPE);
        pthread_mutex_lock(&s->lock);
        s->n_holds++;
        changed(s);
        return 0;
}

static int on_begin(void *arg, uint64_t shape_id, const struct pg_snapshot *snapshot)
{
        struct sink *s = arg;
        (void)shape_id;
        pthread_mutex_lock(&s->lock);
        s->n_begins++;
        s->snapshot = *snapshot;
        s->snapshot.xip = NULL;
        bool again = s->refuse_begins > 0;
        s->refuse_begins -= again;
        s->started = !again;
        if (s->on_begin)
                s->on_begin(s);
        changed(s);
        return again ? ERR_AGAIN : 0;
}

static int on_rows(void *arg, uint64_t shape_id, uint32_t chunk, struct buf *entries, bool closes)
{
        struct sink *s = arg;
        (void)shape_id;
        pthread_mutex_lock(&s->lock);
        s->blocked = true;
        pthread_cond_broadcast(&s->changed);
        while (s->block_rows)
                pthread_cond_wait(&s->changed, &s->lock);
        assert_true(chunk < MAX_CHUNKS && s->started && !s->closed[chunk]);
        assert_true(chunk == 0 || s->closed[chunk - 1]);
        if (s->chunks[chunk].len > 0)
                buf_putc(&s->chunks[chunk], ',');
        struct slice taken = buf_take(entries);
        buf_put_slice(&s->chunks[chunk], taken);
        mem_free((void *)(uintptr_t)taken.p);
        s->closed[chunk] = closes;
        s->n_chunks = chunk + 1;
        int err = s->rows_error;
        s->ended |= err == ERR_CANCELLED; /* the job has ended with it */
        changed(s);
        return err;
}

static int on_end(void *arg, uint64_t shape_id, uint32_t chunk)
{
        struct sink *s = arg;
        (void)shape_id;
        pthread_mutex_lock(&s->lock);
        assert_int_equal(chunk, s->n_chunks - 1);
        s->ended = true;
        changed(s);
        return 0;
}

static void on_failed(void *arg, uint64_t shape_id, const struct snapshot_failure *f)
{
        struct sink *s = arg;
        (void)shape_id;
        pthread_mutex_lock(&s->lock);
        s->status = f->status;
        buf_put_slice(&s->body, f->body);
        s->failed = true;
        changed(s);
}

static int on_ensure(void *arg, const struct table *t, struct snapshot_failure *failure,
                     struct buf *body)
{
        struct sink *s = arg;
        assert_true(t->oid > 0);
        pthread_mutex_lock(&s->lock);
        s->n_ensures++;
        changed(s);
        if (s->ensure_status == 0)
                return 0;
        buf_puts(body, "{\"message\":\"no\"}");
        *failure = (struct snapshot_failure){.status = s->ensure_status, .body = buf_slice(body)};
        return ERR_DENIED;
}

static void await(struct sink *s, const bool *what)
{
        pthread_mutex_lock(&s->lock);
        while (!*what)
                pthread_cond_wait(&s->changed, &s->lock);
        pthread_mutex_unlock(&s->lock);
}

/* ---- jobs */

struct env {
        PGconn *db;
        struct snapshot_pool *pool;
        struct sink sink;
        struct table *table;
        struct projection *projection;
};

static struct table *describe(PGconn *db, const char *name)
{
        struct pgwait w = {.wake_fd = PGWAIT_NO_FD};
        struct table *t = NULL;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(
                catalog_query_name(db, &w, SLICE_LIT(SCHEMA), slice_cstr(name), &t, NULL, &why), 0);
        buf_fini(&why);
        return t;
}

static void open_limited(struct env *e, void *db, const char *table, uint64_t chunk_bytes,
                         uint32_t silence_ms, uint32_t timeout_ms)
{
        *e = (struct env){.db = db};
        sink_init(&e->sink);
        struct snapshot_sink sink = {.arg = &e->sink,
                                     .hold = on_hold,
                                     .begin = on_begin,
                                     .rows = on_rows,
                                     .end = on_end,
                                     .failed = on_failed,
                                     .ensure_table = on_ensure};
        struct snapshot_options o = {.database_url = test_db_url(),
                                     .workers = 1,
                                     .chunk_bytes = chunk_bytes,
                                     .batch_bytes = 1000,
                                     .first_row_timeout_ms = 1500,
                                     .silence_ms = silence_ms,
                                     .timeout_ms = timeout_ms,
                                     .max_queue = 2};
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(snapshot_pool_open(&e->pool, &o, &sink, &why), 0);
        buf_fini(&why);
        e->table = describe(e->db, table);
        uint32_t all[16];
        for (uint32_t i = 0; i < e->table->n_columns; i++)
                all[i] = i;
        e->projection = projection_new(e->table, all, e->table->n_columns, REPLICA_DEFAULT);
}

static void open_env(struct env *e, void *db, const char *table, uint64_t chunk_bytes)
{
        open_limited(e, db, table, chunk_bytes, 0, 0);
}

static void close_env(struct env *e)
{
        snapshot_pool_close(e->pool);
        projection_free(e->projection);
        table_free(e->table);
        sink_fini(&e->sink);
}

static void submit(struct env *e, const char *where, bool only_end)
{
        struct snapshot_job job = {.shape_id = SHAPE,
                                   .projection = e->projection,
                                   .where_sql = slice_cstr(where),
                                   .only_end = only_end};
        assert_int_equal(snapshot_submit(e->pool, &job), 0);
}

static void expect_chunk(struct env *e, uint32_t chunk, const char *start)
{
        const char *text = buf_cstr(&e->sink.chunks[chunk]);
        if (strncmp(text, start, strlen(start)) != 0)
                assert_string_equal(text, start);
}

#define ROW(id, value)                                                                             \
        "{\"key\":\"\\\"" SCHEMA "\\\".\\\"t\\\"/\\\"" id "\\\"\",\"value\":{\"id\":\"" id         \
        "\",\"v\":" value "},\"headers\":{\"operation\":\"insert\",\"relation\":[\"" SCHEMA        \
        "\",\"t\"]}}"

static void whole_table(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t values (1, 'x'), (2, null), (3, '')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        assert_int_equal(e.sink.n_ensures, 1);
        assert_int_equal(e.sink.n_chunks, 1);
        assert_true(e.sink.snapshot.insert_lsn.v > 0);
        assert_false(e.sink.closed[0]);
        expect_chunk(&e, 0,
                     ROW("1", "\"x\"") "," ROW("2", "null") "," ROW(
                             "3", "\"\"") ",{\"headers\":{"
                                          "\"control\":\"snapshot-end\",\"xmin\":\"");
        close_env(&e);
}

static void filtered(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t values (1, 'x'), (2, null), (3, '')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "id = '2'::int4 OR v = ''' or true --'::text", false);
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0, ROW("2", "null") ",{\"headers\":{\"control\":\"snapshot-end\"");
        close_env(&e);
}

/* Nothing but snapshot-end: an empty table, and log=changes_only of one that is not. */
static void only_the_end(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text); insert into t values (1, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "", true);
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0, "{\"headers\":{\"control\":\"snapshot-end\"");
        close_env(&e);
        test_db_sql(*state, "truncate t");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0, "{\"headers\":{\"control\":\"snapshot-end\"");
        close_env(&e);
}

/* Rows of 122 bytes: one and a half batches to a chunk, and the last row closes the last one. */
static void chunks(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t select n, 'x' from generate_series(100, 139) n");
        open_env(&e, *state, "t", (sizeof(ROW("100", "\"x\"")) - 1 + 1) * 10);
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        assert_int_equal(e.sink.n_chunks, 5);
        for (uint32_t i = 0; i < 4; i++) {
                assert_true(e.sink.closed[i]);
                assert_int_equal(e.sink.chunks[i].len, sizeof(ROW("100", "\"x\"")) * 10 - 1);
        }
        expect_chunk(&e, 1, ROW("110", "\"x\"") "," ROW("111", "\"x\""));
        assert_false(e.sink.closed[4]);
        expect_chunk(&e, 4, "{\"headers\":{\"control\":\"snapshot-end\"");
        close_env(&e);
}

static void one_form_of_values(void **state)
{
        struct env e;
        test_db_sql(
                *state,
                "create table t (b bool, i inet, c char(4), t timestamptz, v interval, f float8,"
                " y bytea, d date, primary key (b, i));"
                "insert into t values (true, '10.0.0.1', 'ab', '2024-02-01 12:00+02', '1 day 2 h',"
                " 0.1, 'hi', '2024-02-01')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0,
                     "{\"key\":\"\\\"" SCHEMA
                     "\\\".\\\"t\\\"/\\\"true\\\"/\\\"10.0.0.1//32\\\"\",\"value\":{"
                     "\"b\":\"true\",\"c\":\"ab  \",\"d\":\"2024-02-01\",\"f\":\"0.1\","
                     "\"i\":\"10.0.0.1/32\",\"t\":\"2024-02-01 10:00:00+00\",\"v\":\"P1DT2H\","
                     "\"y\":\"\\\\x6869\"},");
        close_env(&e);
}

static void expect_failure(struct env *e, uint32_t status, const char *body)
{
        await(&e->sink, &e->sink.failed);
        assert_int_equal(e->sink.status, status);
        assert_non_null(strstr(buf_cstr(&e->sink.body), body));
        assert_false(e->sink.ended);
}

/* What COPY escapes, and what it would be taken for. */
static void escapes(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t values (1, E'\\\\N'), (2, "
                            "E'a\\tb\\nc\\\\d\\re\\bf\\fg\\013h\\001\"'),"
                            " (3, E'\\\\.'), (4, E'\\\\'), (5, E'x\\\\\\\\N\\t'), (6, 'N')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        struct slice rows[] = {
                SLICE_LIT(ROW("1", "\"\\\\N\"") ","),
                SLICE_LIT(ROW("2", "\"a\\tb\\nc\\\\d\\re\\bf\\fg\\u000bh\\u0001\\\"\"") ","),
                SLICE_LIT(ROW("3", "\"\\\\.\"") ","),
                SLICE_LIT(ROW("4", "\"\\\\\"") ","),
                SLICE_LIT(ROW("5", "\"x\\\\\\\\N\\t\"") ","),
                SLICE_LIT(ROW("6", "\"N\"") ","),
        };
        struct buf all;
        buf_init(&all, 4096);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                buf_put_slice(&all, rows[i]);
        expect_chunk(&e, 0, buf_cstr(&all));
        buf_fini(&all);
        close_env(&e);
}

/* Rows have been handed over when the statement fails. */
static void fails_in_the_middle(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t select n, repeat('x', 100)"
                            " from generate_series(1, 10000) n; analyze t");
        open_env(&e, *state, "t", 16 << 20);
        submit(&e, "1 / (id - 9000) < 2", false);
        expect_failure(
                &e, 500,
                "{\"message\":\"Unexpected error while creating snapshot: division by zero\"}");
        assert_true(e.sink.blocked);
        e.sink.failed = false;
        e.sink.n_chunks = 0;
        buf_reset(&e.sink.chunks[0]);
        submit(&e, "id = 7", false); /* the connection is as good as before */
        await(&e.sink, &e.sink.ended);
        assert_non_null(strstr(buf_cstr(&e.sink.chunks[0]), "/\\\"7\\\"\""));
        close_env(&e);
}

static void expect_no_statement(void *db, const char *like)
{
        char sql[256];
        snprintf(sql, sizeof(sql),
                 "select count(*) from pg_stat_activity where application_name = 'sluice-snapshot'"
                 " and state = 'active' and query like '%%%s%%'",
                 like);
        while (test_db_number(db, sql))
                continue;
}

/* Rows have come, and then the server sends nothing more: for as long as it may, and no longer. */
static void stalls_in_the_middle(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t select n, repeat('x', 1000)"
                            " from generate_series(1, 100) n; analyze t");
        open_limited(&e, *state, "t", 16 << 20, 1000, 0);
        submit(&e, "id < 100 or pg_sleep(62) is not null", false);
        expect_failure(&e, 503, "Snapshot query took too long to return data (cancelled after ");
        assert_true(e.sink.blocked && !e.sink.ended);
        expect_no_statement(*state, "pg_sleep(62)");
        e.sink.failed = false;
        e.sink.n_chunks = 0;
        buf_reset(&e.sink.chunks[0]);
        submit(&e, "id = 7", false); /* the worker is as good as new */
        await(&e.sink, &e.sink.ended);
        close_env(&e);
}

/* Rows come all the time, and it takes too long for all that. */
static void takes_too_long(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t select n, repeat('x', 3000)"
                            " from generate_series(1, 600) n; analyze t");
        open_limited(&e, *state, "t", 16 << 20, 0, 1500);
        submit(&e, "pg_sleep(0.02) is not null", false);
        expect_failure(&e, 503, "Snapshot query took too long to return data (cancelled after ");
        assert_true(e.sink.blocked && !e.sink.ended);
        expect_no_statement(*state, "pg_sleep(0.02)");
        close_env(&e);
}

/* The server ends the connection while rows flow. */
static void loses_connection_in_the_middle(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t select n, repeat('x', 1000)"
                            " from generate_series(1, 50000) n");
        open_env(&e, *state, "t", 60 << 20);
        e.sink.block_rows = true;
        submit(&e, "", false);
        await(&e.sink, &e.sink.blocked);
        test_db_sql(*state, "select pg_terminate_backend(pid) from pg_stat_activity"
                            " where application_name = 'sluice-snapshot'");
        pthread_mutex_lock(&e.sink.lock);
        e.sink.block_rows = false;
        changed(&e.sink);
        expect_failure(&e, 503, "Database connection not available");
        close_env(&e);
}

/* Another snapshot for each refusal, under a new hold; the connection stays usable for the next
 * job. */
static void younger_snapshots(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text); insert into t values (1, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        e.sink.refuse_begins = 3;
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        assert_int_equal(e.sink.n_begins, 4);
        assert_int_equal(e.sink.n_holds, 4);
        expect_chunk(&e, 0, ROW("1", "\"x\""));
        close_env(&e);
}

static void failures(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text); insert into t values (0, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "1 / id = 1", false);
        expect_failure(
                &e, 500,
                "{\"message\":\"Unexpected error while creating snapshot: division by zero\"}");
        close_env(&e);

        open_env(&e, *state, "t", 1 << 20);
        e.sink.ensure_status = 503;
        submit(&e, "", false);
        expect_failure(&e, 503, "{\"message\":\"no\"}");
        close_env(&e);

        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "pg_sleep(60) is not null", false);
        expect_failure(&e, 503, "(cancelled after 1500ms)");
        close_env(&e);
        /* The server was told, too: the statement goes away long before its minute is over. */
        expect_no_statement(*state, "pg_sleep(60)");
}

static void locked_table(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text)");
        open_env(&e, *state, "t", 1 << 20);
        test_db_sql(*state, "begin; lock table t");
        submit(&e, "", false);
        expect_failure(&e, 503, "Snapshot timed out while waiting for a table lock");
        test_db_sql(*state, "rollback");
        close_env(&e);
}

/* Whatever has happened to the table since the shape learnt of it. */
static void changed_tables(void **state)
{
        static const char *const changes[] = {
                "drop table t",
                "alter table t rename to u",
                "alter table t drop column v",
                "alter table t alter column v type varchar",
                "alter table t rename column v to w",
                "alter table t drop constraint t_pkey",
                "drop table t; create table t (id int primary key, v text)",
                "drop table t; create view t as select 1 as id, 'x'::text as v",
        };
        for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
                struct env e;
                test_db_sql(*state, "drop schema " SCHEMA " cascade; create schema " SCHEMA);
                test_db_sql(*state, "create table t (id int primary key, v text)");
                open_env(&e, *state, "t", 1 << 20);
                test_db_sql(*state, changes[i]);
                submit(&e, "", false);
                expect_failure(&e, 409, "must-refetch");
                close_env(&e);
        }
}

static void unaffected_table(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (x int, id int primary key, v text)");
        test_db_sql(*state, "alter table t drop column x; insert into t values (1, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        test_db_sql(*state,
                    "alter table t add column more int; alter table t alter column v set not null");
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0, ROW("1", "\"x\"") ",{\"headers\"");
        close_env(&e);
}

/* The table cannot be rewritten between the snapshot and the reading. */
static void try_to_rewrite(struct sink *s)
{
        PGresult *res =
                PQexec(s->db, "set lock_timeout = 50; alter table t alter column v type varchar");
        assert_string_equal(pg_sqlstate(res), "55P03");
        PQclear(res);
}

static void locked_against_rewriting(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text); insert into t values (1, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        e.sink.db = *state;
        e.sink.on_begin = try_to_rewrite;
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0, ROW("1", "\"x\""));
        close_env(&e);
}

static void lost_connection(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text); insert into t values (1, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        test_db_sql(*state, "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                            " where application_name = 'sluice-snapshot'");
        e.sink.ended = e.sink.closed[0] = false;
        buf_reset(&e.sink.chunks[0]);
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0, ROW("1", "\"x\""));
        assert_false(e.sink.failed);
        close_env(&e);
}

static void no_database(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text)");
        open_env(&e, *state, "t", 1 << 20);
        snapshot_pool_close(e.pool);
        struct snapshot_sink sink = {
                .arg = &e.sink, .failed = on_failed, .ensure_table = on_ensure};
        struct snapshot_options o = {.database_url = "postgres://nobody@127.0.0.1:1/none",
                                     .workers = 2,
                                     .chunk_bytes = 1,
                                     .batch_bytes = 1,
                                     .first_row_timeout_ms = 1,
                                     .max_queue = 2};
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(snapshot_pool_open(&e.pool, &o, &sink, &why), 0);
        buf_fini(&why);
        submit(&e, "", false);
        expect_failure(&e, 503, "{\"message\":\"Database connection not available\"}");
        close_env(&e);
}

/* ---- giving up */

static void cancel_running_query(void **state)
{
        struct env e;
        test_db_sql(*state, "create table t (id int primary key, v text);"
                            "insert into t values (1, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "pg_sleep(61) is not null", false);
        await(&e.sink, &e.sink.started);
        snapshot_cancel(e.pool, SHAPE + 1); /* another's */
        snapshot_cancel(e.pool, SHAPE);
        expect_failure(&e, 409, "must-refetch");
        e.sink.failed = false;
        submit(&e, "", false); /* the worker is as good as new */
        await(&e.sink, &e.sink.ended);
        expect_chunk(&e, 0, ROW("1", "\"x\""));
        close_env(&e);
}

/* A job that waits behind another one is not even begun. */
static void cancel_queued_job(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text);"
                    "insert into t select n, repeat('x', 100) from generate_series(1, 1000) n");
        open_env(&e, *state, "t", 1 << 20);
        e.sink.block_rows = true;
        submit(&e, "", false);
        await(&e.sink, &e.sink.blocked);
        struct snapshot_job job = {.shape_id = SHAPE + 1, .projection = e.projection};
        assert_int_equal(snapshot_submit(e.pool, &job), 0);
        job.shape_id++;
        assert_int_equal(snapshot_submit(e.pool, &job), 0);
        assert_int_equal(snapshot_submit(e.pool, &job), ERR_AGAIN);
        snapshot_cancel(e.pool, SHAPE + 1);
        snapshot_cancel(e.pool, SHAPE + 2);
        pthread_mutex_lock(&e.sink.lock);
        e.sink.block_rows = false;
        changed(&e.sink);
        await(&e.sink, &e.sink.failed);
        assert_int_equal(e.sink.status, 409);
        assert_true(e.sink.ended);
        assert_int_equal(e.sink.n_ensures, 1);
        close_env(&e);
}

/* The writer says that the shape is gone: the worker stops at once, and is ready for the next. */
static void writer_cancels(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text);"
                    "insert into t select n, repeat('x', 100) from generate_series(1, 200000) n");
        open_env(&e, *state, "t", 1 << 20);
        e.sink.rows_error = ERR_CANCELLED;
        submit(&e, "", false);
        await(&e.sink, &e.sink.ended);
        assert_false(e.sink.failed);
        pthread_mutex_lock(&e.sink.lock);
        e.sink.ended = false;
        e.sink.rows_error = 0;
        buf_reset(&e.sink.chunks[0]);
        pthread_mutex_unlock(&e.sink.lock);
        submit(&e, "id = 7", false);
        await(&e.sink, &e.sink.ended);
        assert_non_null(strstr(buf_cstr(&e.sink.chunks[0]), "/\\\"7\\\"\""));
        close_env(&e);
}

static void close_while_running(void **state)
{
        struct env e;
        test_db_sql(*state,
                    "create table t (id int primary key, v text); insert into t values (1, 'x')");
        open_env(&e, *state, "t", 1 << 20);
        submit(&e, "pg_sleep(62) is not null", false);
        await(&e.sink, &e.sink.started);
        submit(&e, "", false);
        close_env(&e);
        assert_false(e.sink.failed || e.sink.ended);
}

static int setup(void **state)
{
        return test_db_setup(state, SCHEMA);
}

#define DB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, test_db_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                DB_TEST(whole_table),          DB_TEST(filtered),
                DB_TEST(only_the_end),         DB_TEST(chunks),
                DB_TEST(one_form_of_values),   DB_TEST(escapes),
                DB_TEST(fails_in_the_middle),  DB_TEST(loses_connection_in_the_middle),
                DB_TEST(stalls_in_the_middle), DB_TEST(takes_too_long),
                DB_TEST(younger_snapshots),    DB_TEST(failures),
                DB_TEST(locked_table),         DB_TEST(changed_tables),
                DB_TEST(unaffected_table),     DB_TEST(locked_against_rewriting),
                DB_TEST(lost_connection),      DB_TEST(no_database),
                DB_TEST(cancel_running_query), DB_TEST(cancel_queued_job),
                DB_TEST(writer_cancels),       DB_TEST(close_while_running),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
