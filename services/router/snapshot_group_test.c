/* Shapes that wait for one table and are read together, against a real Postgres
 * (TEST_DATABASE_URL). The pool has one worker, which the first job holds up until the others are
 * queued. */
#include "services/router/snapshot_group.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/catalog_query.h"
#include "services/router/test_db.h"

#define SCHEMA "sluice_group_test"

enum { SHAPES = 9, FIRST = 256, LARGE_BYTES = 600 * 1000 };

/* What became of a shape. */
struct fate {
        struct buf entries;
        bool together, ended, failed;
        uint32_t status, holds;
};

struct env {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct fate fates[SHAPES];
        uint32_t n_ensures, n_wholes, n_done;
        uint32_t refuse; /* so many verdicts of whole() are ERR_AGAIN */
        bool let_go;     /* the worker may go on from its first ensure_table */
        uint64_t cancel; /* this shape, when rows of a group have been read; 0: none */
        struct snapshot_pool *pool;
        struct table *table;
        struct projection *projection;
};

static struct fate *fate_of(struct env *e, uint64_t id)
{
        assert_in_range(id, FIRST, FIRST + SHAPES - 1);
        return &e->fates[id - FIRST];
}

static void unlock(struct env *e)
{
        pthread_cond_broadcast(&e->changed);
        pthread_mutex_unlock(&e->lock);
}

static void is_done(struct env *e, struct fate *f)
{
        assert_false(f->ended || f->failed);
        e->n_done++;
}

static int on_hold(void *arg, const uint64_t *ids, uint32_t n)
{
        struct env *e = arg;
        pthread_mutex_lock(&e->lock);
        for (uint32_t i = 0; i < n; i++)
                fate_of(e, ids[i])->holds++;
        unlock(e);
        return 0;
}

static int on_begin(void *arg, uint64_t id, const struct pg_snapshot *snapshot)
{
        (void)arg;
        (void)id;
        assert_true(snapshot->xmin > 0);
        return 0;
}

static int on_rows(void *arg, uint64_t id, uint32_t chunk, struct buf *entries, bool closes)
{
        struct env *e = arg;
        (void)chunk;
        (void)closes;
        if (fate_of(e, id)->entries.len > 0)
                buf_putc(&fate_of(e, id)->entries, ',');
        buf_put_slice(&fate_of(e, id)->entries, buf_slice(entries));
        return 0;
}

static int on_end(void *arg, uint64_t id, uint32_t chunk)
{
        struct env *e = arg;
        (void)chunk;
        pthread_mutex_lock(&e->lock);
        is_done(e, fate_of(e, id));
        fate_of(e, id)->ended = true;
        unlock(e);
        return 0;
}

static void on_whole(void *arg, const struct pg_snapshot *s, struct snapshot_whole *shapes,
                     uint32_t n)
{
        struct env *e = arg;
        assert_true(s->xmin > 0 && n > 0);
        pthread_mutex_lock(&e->lock);
        e->n_wholes++;
        for (uint32_t i = 0; i < n; i++) {
                struct fate *f = fate_of(e, shapes[i].shape_id);
                assert_true(f->holds > 0);
                shapes[i].err = e->refuse > 0 ? ERR_AGAIN : 0;
                e->refuse -= e->refuse > 0;
                if (shapes[i].err)
                        continue;
                is_done(e, f);
                f->ended = f->together = true;
                buf_put_slice(&f->entries, buf_slice(shapes[i].entries));
        }
        unlock(e);
}

static void on_failed(void *arg, uint64_t id, const struct snapshot_failure *failure)
{
        struct env *e = arg;
        pthread_mutex_lock(&e->lock);
        is_done(e, fate_of(e, id));
        fate_of(e, id)->failed = true;
        fate_of(e, id)->status = failure->status;
        unlock(e);
}

static int on_ensure(void *arg, const struct table *t, struct snapshot_failure *failure,
                     struct buf *body)
{
        struct env *e = arg;
        (void)t;
        (void)failure;
        (void)body;
        pthread_mutex_lock(&e->lock);
        e->n_ensures++;
        pthread_cond_broadcast(&e->changed);
        while (!e->let_go)
                pthread_cond_wait(&e->changed, &e->lock);
        uint64_t cancel = e->n_ensures == 2 ? e->cancel : 0;
        unlock(e);
        if (cancel)
                snapshot_cancel(e->pool, cancel);
        return 0;
}

static void open_env(struct env *e, PGconn *db)
{
        struct pgwait w = {.wake_fd = PGWAIT_NO_FD};
        uint32_t all[2] = {0, 1};
        struct buf why;
        *e = (struct env){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        for (int i = 0; i < SHAPES; i++)
                buf_init(&e->fates[i].entries, 64 << 20);
        struct snapshot_sink sink = {.arg = e,
                                     .hold = on_hold,
                                     .begin = on_begin,
                                     .rows = on_rows,
                                     .end = on_end,
                                     .whole = on_whole,
                                     .failed = on_failed,
                                     .ensure_table = on_ensure};
        struct snapshot_options o = {.database_url = test_db_url(),
                                     .workers = 1,
                                     .chunk_bytes = 10 << 20,
                                     .batch_bytes = 512 * 1024,
                                     .first_row_timeout_ms = 30000,
                                     .max_queue = 100};
        buf_init(&why, 1024);
        assert_int_equal(catalog_query_name(db, &w, SLICE_LIT(SCHEMA), SLICE_LIT("t"), &e->table,
                                            NULL, &why),
                         0);
        e->projection = projection_new(e->table, all, 2, REPLICA_DEFAULT);
        assert_int_equal(snapshot_pool_open(&e->pool, &o, &sink, &why), 0);
        buf_fini(&why);
}

static void close_env(struct env *e)
{
        snapshot_pool_close(e->pool);
        projection_free(e->projection);
        table_free(e->table);
        for (int i = 0; i < SHAPES; i++)
                buf_fini(&e->fates[i].entries);
}

static void submit_with(struct env *e, int i, const char *where, const struct projection *p)
{
        struct snapshot_job job = {
                .shape_id = (uint64_t)(FIRST + i), .projection = p, .where_sql = slice_cstr(where)};
        assert_int_equal(snapshot_submit(e->pool, &job), 0);
}

static void submit(struct env *e, int i, const char *where)
{
        submit_with(e, i, where, e->projection);
}

/* The first job is with the worker, so what is submitted now waits. */
static void hold_up(struct env *e)
{
        submit(e, 0, "id = 0");
        pthread_mutex_lock(&e->lock);
        while (e->n_ensures == 0)
                pthread_cond_wait(&e->changed, &e->lock);
        pthread_mutex_unlock(&e->lock);
}

static void let_go(struct env *e, uint32_t n_done)
{
        pthread_mutex_lock(&e->lock);
        e->let_go = true;
        pthread_cond_broadcast(&e->changed);
        while (e->n_done < n_done)
                pthread_cond_wait(&e->changed, &e->lock);
        pthread_mutex_unlock(&e->lock);
}

/* One row, its id, and snapshot-end. */
static void expect_row(struct env *e, int i)
{
        char row[64];
        struct fate *f = &e->fates[i];
        snprintf(row, sizeof(row), "\"value\":{\"id\":\"%d\"", i);
        assert_true(f->ended && !f->failed);
        assert_non_null(strstr(buf_cstr(&f->entries), row));
        assert_null(strstr(strstr(buf_cstr(&f->entries), row) + 1, "\"value\""));
        assert_non_null(
                strstr(buf_cstr(&f->entries), "},{\"headers\":{\"control\":\"snapshot-end\""));
}

static void submit_ids(struct env *e, int from)
{
        for (int i = from; i < SHAPES; i++) {
                char where[32];
                snprintf(where, sizeof(where), "id = %d", i);
                submit(e, i, where);
        }
}

static void make_table(PGconn *db)
{
        test_db_sql(db, "create table t (id int primary key, v text);"
                        "insert into t select n, 'x' from generate_series(0, 20) n");
}

static void one_transaction_for_all(void **state)
{
        struct env e;
        make_table(*state);
        open_env(&e, *state);
        hold_up(&e);
        submit_ids(&e, 1);
        let_go(&e, SHAPES);
        assert_int_equal(e.n_ensures, 2);
        assert_int_equal(e.n_wholes, 1);
        for (int i = 0; i < SHAPES; i++) {
                expect_row(&e, i);
                assert_true(e.fates[i].together == (i > 0));
        }
        close_env(&e);
}

/* A shape that turns out large is read by itself, in batches. */
static void a_large_one(void **state)
{
        struct env e;
        make_table(*state);
        test_db_sql(*state, "update t set v = repeat('y', 600000) where id = 3");
        open_env(&e, *state);
        hold_up(&e);
        submit_ids(&e, 1);
        let_go(&e, SHAPES);
        for (int i = 0; i < SHAPES; i++) {
                expect_row(&e, i);
                assert_true(e.fates[i].together == (i != 0 && i != 3));
        }
        assert_true(e.fates[3].entries.len > LARGE_BYTES);
        close_env(&e);
}

/* What fails with one of them is told of that one alone, with Postgres' own words. */
static void one_fails(void **state)
{
        struct env e;
        make_table(*state);
        open_env(&e, *state);
        hold_up(&e);
        submit(&e, 1, "1 / (id - 1) = 0");
        submit_ids(&e, 2);
        let_go(&e, SHAPES);
        assert_true(e.fates[1].failed && !e.fates[1].ended);
        assert_int_equal(e.fates[1].status, 500);
        for (int i = 2; i < SHAPES; i++) {
                expect_row(&e, i);
                assert_true(e.fates[i].together);
        }
        close_env(&e);
}

/* The writer wants a younger snapshot for some: they are held and read again, the others not. */
static void younger_snapshots(void **state)
{
        struct env e;
        make_table(*state);
        open_env(&e, *state);
        e.refuse = 3;
        hold_up(&e);
        submit_ids(&e, 1);
        let_go(&e, SHAPES);
        assert_int_equal(e.n_wholes, 2);
        for (int i = 1; i < SHAPES; i++) {
                expect_row(&e, i);
                assert_int_equal(e.fates[i].holds, i <= 3 ? 2 : 1);
        }
        close_env(&e);
}

/* For ever: in the end each is read alone, and has a begin() of its own. */
static void always_too_old(void **state)
{
        struct env e;
        make_table(*state);
        open_env(&e, *state);
        e.refuse = UINT32_MAX;
        hold_up(&e);
        submit_ids(&e, 1);
        let_go(&e, SHAPES);
        for (int i = 1; i < SHAPES; i++) {
                expect_row(&e, i);
                assert_false(e.fates[i].together);
        }
        close_env(&e);
}

/* One that believes in another table than there is now is told so, the others go on. */
static void one_does_not_fit(void **state)
{
        struct env e;
        struct pgwait w = {.wake_fd = PGWAIT_NO_FD};
        uint32_t all[2] = {0, 1};
        struct table *before = NULL;
        struct buf why;
        make_table(*state);
        buf_init(&why, 1024);
        assert_int_equal(catalog_query_name(*state, &w, SLICE_LIT(SCHEMA), SLICE_LIT("t"), &before,
                                            NULL, &why),
                         0);
        buf_fini(&why);
        test_db_sql(*state, "alter table t alter v type varchar");
        struct projection *old = projection_new(before, all, 2, REPLICA_DEFAULT);
        open_env(&e, *state);
        hold_up(&e);
        submit_with(&e, 1, "id = 1", old);
        submit_ids(&e, 2);
        let_go(&e, SHAPES);
        assert_true(e.fates[1].failed);
        assert_int_equal(e.fates[1].status, 409);
        for (int i = 2; i < SHAPES; i++) {
                expect_row(&e, i);
                assert_true(e.fates[i].together);
        }
        close_env(&e);
        projection_free(old);
        table_free(before);
}

/* A shape that goes while its group is read does not stop the others; when it is still to be read
 * then, it ends as a cancelled one. */
static void one_is_cancelled(void **state)
{
        struct env e;
        make_table(*state);
        open_env(&e, *state);
        e.cancel = FIRST + 4;
        hold_up(&e);
        submit(&e, 1, "1 / (id - 1) = 0"); /* the group ends here, the rest is for later */
        submit_ids(&e, 2);
        let_go(&e, SHAPES);
        assert_true(e.fates[4].failed && !e.fates[4].ended);
        assert_int_equal(e.fates[4].status, 409);
        for (int i = 2; i < SHAPES; i++)
                if (i != 4)
                        expect_row(&e, i);
        close_env(&e);
}

static void close_with_a_group(void **state)
{
        struct env e;
        make_table(*state);
        open_env(&e, *state);
        hold_up(&e);
        submit(&e, 1, "pg_sleep(62) is not null");
        submit_ids(&e, 2);
        let_go(&e, 1);
        close_env(&e);
}

static int setup(void **state)
{
        return test_db_setup(state, SCHEMA);
}

#define DB_TEST(f) cmocka_unit_test_setup_teardown(f, setup, test_db_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                DB_TEST(one_transaction_for_all),
                DB_TEST(a_large_one),
                DB_TEST(one_fails),
                DB_TEST(younger_snapshots),
                DB_TEST(always_too_old),
                DB_TEST(one_does_not_fit),
                DB_TEST(one_is_cancelled),
                DB_TEST(close_with_a_group),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
