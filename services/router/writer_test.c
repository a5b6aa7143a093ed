/* The writer thread: batches, joins and jobs in their order, a store that is full, stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/base/err.h"
#include "services/router/nursery.h"
#include "services/router/test_engine.h"
#include "services/router/writer.h"

/* A writer and what it told. */
struct bench {
        struct test_store store;
        struct test_stream stream;
        struct notify *notify;
        struct writer *writer;
        char url[96];

        pthread_mutex_t lock;
        pthread_cond_t told;
        uint64_t epoch, seq;
        lsn_t applied, committed;
        uint32_t lost, gone;
        bool full;
        bool closed; /* commits do not end until it is false */
};

static void tell(struct bench *b)
{
        pthread_cond_broadcast(&b->told);
        pthread_mutex_unlock(&b->lock);
}

static void on_applied(void *arg, uint64_t epoch, uint64_t seq, lsn_t applied)
{
        struct bench *b = arg;
        pthread_mutex_lock(&b->lock);
        b->epoch = epoch;
        b->seq = seq;
        b->applied = applied;
        tell(b);
}

static void on_settled(void *arg)
{
        (void)arg;
}

static void on_committed(void *arg, lsn_t applied)
{
        struct bench *b = arg;
        pthread_mutex_lock(&b->lock);
        while (b->closed)
                pthread_cond_wait(&b->told, &b->lock);
        b->committed = applied;
        tell(b);
}

static void on_lost(void *arg)
{
        struct bench *b = arg;
        pthread_mutex_lock(&b->lock);
        b->lost++;
        tell(b);
}

static void on_full(void *arg, bool full)
{
        struct bench *b = arg;
        pthread_mutex_lock(&b->lock);
        b->full = full;
        tell(b);
}

static void on_gone(void *arg, const struct shape *s)
{
        struct bench *b = arg;
        (void)s;
        pthread_mutex_lock(&b->lock);
        b->gone++;
        tell(b);
}

static void on_described(void *arg, uint32_t oid)
{
        (void)arg;
        (void)oid;
}

static void on_table(void *arg, uint32_t oid, bool used)
{
        (void)arg;
        (void)oid;
        (void)used;
}

static void bench_open(struct bench *b, size_t map_bytes, size_t queue_bytes)
{
        struct buf why;
        buf_init(&why, 1024);
        *b = (struct bench){0};
        pthread_mutex_init(&b->lock, NULL);
        pthread_cond_init(&b->told, NULL);
        test_store_open(&b->store, map_bytes);
        stream_open(&b->stream);
        snprintf(b->url, sizeof(b->url), "ipc://%s/notices", b->store.dir);
        assert_int_equal(notify_open(&b->notify, b->url, 1, &why), 0);
        struct writer_options o = {.engine = {.store = b->store.store,
                                              .chunk_bytes = 1 << 20,
                                              .max_pending = 1 << 20,
                                              .max_held = 1 << 20,
                                              .wall_us = test_clock},
                                   .notify = b->notify,
                                   .max_queue_bytes = queue_bytes,
                                   .arg = b,
                                   .on_applied = on_applied,
                                   .on_committed = on_committed,
                                   .on_settled = on_settled,
                                   .on_lost = on_lost,
                                   .on_full = on_full,
                                   .on_gone = on_gone,
                                   .on_table = on_table,
                                   .on_described = on_described};
        if (writer_open(&b->writer, &o, &why) != 0)
                fail_msg("%s", buf_cstr(&why));
        buf_fini(&why);
}

static void bench_close(struct bench *b)
{
        writer_close(b->writer);
        notify_close(b->notify);
        stream_close(&b->stream);
        test_store_close(&b->store);
}

static void wait_applied(struct bench *b, uint64_t seq)
{
        pthread_mutex_lock(&b->lock);
        while (b->seq != seq)
                pthread_cond_wait(&b->told, &b->lock);
        pthread_mutex_unlock(&b->lock);
}

static struct batch *one_row(struct bench *b, uint64_t epoch, uint64_t seq, uint64_t commit,
                             bool first, const char *v)
{
        stream_begin(&b->stream, (uint32_t)commit, commit, first);
        stream_insert(&b->stream, 0, "1", v);
        stream_end(&b->stream, true);
        struct batch *made = stream_cut(&b->stream, commit);
        struct batch *numbered = batch_of_copy(epoch, seq, made->bytes);
        batch_unref(made);
        return numbered;
}

static void join(struct bench *b, uint64_t epoch, uint64_t start, bool purge)
{
        struct writer_join j = {.epoch = epoch, .next_seq = 1, .start = {start}, .purge = purge};
        writer_join(b->writer, &j);
}

/* ---- jobs */

static struct shape *create(struct engine *e)
{
        static const uint32_t columns[] = {0, 1};
        struct definition d = {.schema = SLICE_LIT("public"), .table = SLICE_LIT("t")};
        struct buf def;
        buf_init(&def, 4096);
        definition_encode(&def, &d);
        struct shape *s = engine_create(e, &(struct shape_spec){.definition = buf_slice(&def),
                                                                .identity = buf_slice(&def),
                                                                .table = test_table(),
                                                                .all_columns = true,
                                                                .columns = columns,
                                                                .n_columns = 2});
        buf_fini(&def);
        return s;
}

static void run_create(void *arg, struct engine *e, bool full)
{
        uint64_t *id = arg;
        assert_false(full);
        struct shape *s = create(e);
        *id = s->id;
        struct pg_snapshot snapshot = {.xmin = 1000000, .xmax = 1000000};
        struct buf rows;
        buf_init(&rows, 100);
        buf_puts(&rows, "{\"end\":1}");
        assert_int_equal(engine_hold(e, s->id), 0);
        assert_int_equal(engine_begin(e, s->id, &snapshot), 0);
        assert_int_equal(engine_rows(e, s->id, 0, &rows, false), 0);
        assert_int_equal(engine_end(e, s->id, 0), 0);
        engine_job_done(e, s->id);
        buf_fini(&rows);
}

static void expect_log(struct bench *b, uint64_t id, size_t entries)
{
        struct buf got;
        size_t n = 0;
        struct test_engine view = {.store = b->store};
        buf_init(&got, 1 << 26);
        test_read(&view, id, OFFSET_SNAPSHOT_END, &got);
        for (const char *p = buf_cstr(&got); (p = strstr(p, "op_position")); p++)
                n++;
        assert_int_equal(n, entries);
        buf_fini(&got);
}

static void test_batches_and_jobs(void **state)
{
        struct bench b;
        uint64_t id;
        (void)state;
        bench_open(&b, 64 << 20, 1 << 20);
        writer_start(b.writer);
        join(&b, 7, 500, false);
        assert_int_equal(writer_call(b.writer, run_create, &id), 0);
        assert_true(writer_push(b.writer, one_row(&b, 7, 1, 1000, true, "a")));
        assert_true(writer_push(b.writer, one_row(&b, 6, 1, 900, true, "of another epoch")));
        assert_true(writer_push(b.writer, one_row(&b, 7, 2, 1100, true, "b")));
        wait_applied(&b, 2);
        assert_int_equal(b.applied.v, 1100);
        assert_int_equal(b.committed.v, 1100);
        assert_int_equal(writer_applied(b.writer).v, 1100);
        assert_int_equal(writer_joins_done(b.writer), 1);
        expect_log(&b, id, 2);

        /* the middle of a transaction whose beginning was never seen: nothing until the next join
         */
        assert_true(writer_push(b.writer, one_row(&b, 7, 3, 1200, false, "c")));
        assert_true(writer_push(b.writer, one_row(&b, 7, 4, 1300, true, "d")));
        pthread_mutex_lock(&b.lock);
        while (b.lost == 0)
                pthread_cond_wait(&b.told, &b.lock);
        pthread_mutex_unlock(&b.lock);
        join(&b, 8, 1100, false);
        assert_true(writer_push(b.writer, one_row(&b, 8, 1, 1200, true, "c")));
        wait_applied(&b, 1);
        expect_log(&b, id, 3);

        /* a stream with a hole cannot be continued, nor one that says so */
        join(&b, 9, 5000, false);
        assert_true(writer_push(b.writer, one_row(&b, 9, 1, 6000, true, "e")));
        pthread_mutex_lock(&b.lock);
        while (b.applied.v != 6000)
                pthread_cond_wait(&b.told, &b.lock);
        pthread_mutex_unlock(&b.lock);
        assert_int_equal(b.gone, 1);
        assert_int_equal(writer_call(b.writer, run_create, &id), 0);
        join(&b, 10, 100, true);
        assert_true(writer_push(b.writer, one_row(&b, 10, 1, 200, true, "e")));
        pthread_mutex_lock(&b.lock);
        while (b.applied.v != 200)
                pthread_cond_wait(&b.told, &b.lock);
        pthread_mutex_unlock(&b.lock);
        assert_int_equal(b.gone, 2);
        bench_close(&b);
}

static void test_queue_is_bounded(void **state)
{
        struct bench b;
        (void)state;
        bench_open(&b, 64 << 20, 1000);
        uint32_t n = 0;
        struct batch *batch;
        while (writer_push(b.writer, batch = one_row(&b, 1, n + 1, 1000 + n, true, "a")))
                n++;
        batch_unref(batch);
        assert_true(n > 0 && n < 20);
        bench_close(&b); /* what is queued is dropped */
}

/* ---- snapshots of several shapes at once */

enum { GROUP = 2 };

/* Shapes that wait; all but the last `n_left` are gone before their turn. */
struct group {
        uint64_t ids[GROUP];
        uint32_t n_left, n_jobs;
};

static void run_group(void *arg, struct engine *e, bool full)
{
        struct group *g = arg;
        (void)full;
        for (uint32_t i = 0; i < GROUP; i++) {
                struct shape *s = create(e);
                g->ids[i] = s->id;
                if (i < GROUP - g->n_left)
                        engine_remove(e, s, GONE_DELETED, SLICE_EMPTY);
        }
}

static void run_count_jobs(void *arg, struct engine *e, bool full)
{
        struct group *g = arg;
        (void)full;
        g->n_jobs = (uint32_t)hmap_count(&e->jobs);
}

static uint32_t jobs(struct bench *b, struct group *g)
{
        assert_int_equal(writer_call(b->writer, run_count_jobs, g), 0);
        return g->n_jobs;
}

/* What a job was given stays for as long as the worker that has it goes on, also with a shape that
 * is gone. */
static void test_group_keeps_its_views(void **state)
{
        struct bench b;
        struct group some = {.n_left = 1}, none = {.n_left = 0};
        struct pg_snapshot snapshot = {.xmin = 1000000, .xmax = 1000000};
        struct snapshot_whole whole[GROUP];
        struct buf entries[GROUP];
        (void)state;
        bench_open(&b, 64 << 20, 1 << 20);
        struct nursery nursery = {.writer = b.writer};
        struct snapshot_sink sink = nursery_sink(&nursery);
        writer_start(b.writer);
        join(&b, 7, 500, false);
        assert_int_equal(writer_call(b.writer, run_group, &some), 0);
        assert_int_equal(sink.hold(sink.arg, some.ids, GROUP), 0);
        assert_int_equal(jobs(&b, &some), GROUP);
        for (int i = 0; i < GROUP; i++) {
                buf_init(&entries[i], 100);
                buf_puts(&entries[i], "{\"end\":1}");
                whole[i] = (struct snapshot_whole){.shape_id = some.ids[i], .entries = &entries[i]};
        }
        sink.whole(sink.arg, &snapshot, whole, GROUP);
        assert_int_not_equal(whole[0].err, 0);
        assert_int_not_equal(whole[0].err, ERR_AGAIN);
        assert_int_equal(whole[1].err, 0);
        assert_int_equal(jobs(&b, &some), 0);
        for (int i = 0; i < GROUP; i++)
                buf_fini(&entries[i]);

        /* nobody is there: the worker stops */
        assert_int_equal(writer_call(b.writer, run_group, &none), 0);
        assert_int_equal(sink.hold(sink.arg, none.ids, GROUP), ERR_CANCELLED);
        assert_int_equal(jobs(&b, &none), 0);
        bench_close(&b);
}

struct seen {
        _Atomic int runs, full_runs, after;
        _Atomic int err;
        sem_t told; /* by after_look() */
};

static void run_look(void *arg, struct engine *e, bool full)
{
        struct seen *s = arg;
        (void)e;
        s->runs++;
        s->full_runs += full;
}

static void after_look(void *arg, int err)
{
        struct seen *s = arg;
        s->err = err;
        s->after++;
        sem_post(&s->told);
}

static void set_closed(struct bench *b, bool closed)
{
        pthread_mutex_lock(&b->lock);
        b->closed = closed;
        tell(b);
}

static void *stage_another(void *arg)
{
        struct bench *b = arg;
        uint64_t id;
        assert_int_equal(writer_stage(b->writer, run_create, &id), 0);
        return NULL;
}

/* Who stages goes on while what it did is committed, and is never more than one ahead. */
static void test_stage(void **state)
{
        struct bench b;
        uint64_t id;
        pthread_t another;
        (void)state;
        bench_open(&b, 64 << 20, 1 << 20);
        writer_start(b.writer);
        join(&b, 7, 500, false);
        set_closed(&b, true);
        assert_int_equal(writer_stage(b.writer, run_create, &id), 0); /* its commit is stuck */
        assert_int_equal(b.committed.v, 0);
        assert_int_equal(pthread_create(&another, NULL, stage_another, &b), 0);
        set_closed(&b, false);
        assert_int_equal(pthread_join(another, NULL), 0);
        assert_int_equal(writer_call(b.writer, run_create, &id), 0);
        assert_true(b.committed.v > 0);
        writer_stop(b.writer);
        assert_int_equal(writer_stage(b.writer, run_create, &id), ERR_CANCELLED);
        bench_close(&b);
}

/* The store is full: who only looks is served, who changes waits, and stopping does not hang. */
static void test_full(void **state)
{
        struct bench b;
        uint64_t id;
        static char big[100000];
        struct seen looks = {0}, changes = {0};
        (void)state;
        sem_init(&looks.told, 0, 0);
        sem_init(&changes.told, 0, 0);
        memset(big, 'x', sizeof(big) - 1);
        bench_open(&b, 1 << 20, 64 << 20);
        writer_start(b.writer);
        join(&b, 7, 500, false);
        assert_int_equal(writer_call(b.writer, run_create, &id), 0);
        for (uint64_t i = 1; i <= 30; i++)
                assert_true(writer_push(b.writer, one_row(&b, 7, i, 1000 + i, true, big)));
        pthread_mutex_lock(&b.lock);
        while (!b.full)
                pthread_cond_wait(&b.told, &b.lock);
        pthread_mutex_unlock(&b.lock);
        writer_post(b.writer, WRITER_COMMIT, run_look, after_look, &changes);
        writer_post(b.writer, WRITER_ANYTIME, run_look, after_look, &looks);
        assert_int_equal(sem_wait(&looks.told), 0);
        assert_int_equal(looks.full_runs, 1);
        assert_int_equal(looks.err, 0);
        assert_int_equal(changes.runs, 0);
        assert_true(b.applied.v < 1030);
        writer_stop(b.writer);
        assert_int_equal(changes.after, 1);
        assert_int_equal(changes.err, ERR_CANCELLED);
        assert_int_equal(writer_call(b.writer, run_create, &id), ERR_CANCELLED);
        bench_close(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_batches_and_jobs),
                cmocka_unit_test(test_queue_is_bounded),
                cmocka_unit_test(test_group_keeps_its_views),
                cmocka_unit_test(test_stage),
                cmocka_unit_test(test_full),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
