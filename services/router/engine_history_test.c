/* The same history of transactions, delivered in ever different ways, must leave the same logs with
 * the same chunk ends (I1, I4, I5): cut into other batches and parts, committed at other moments,
 * delivered twice, with restarts and full disks in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "services/router/test_engine.h"

enum { TXNS = 60, MAX_CHANGES = 25, CHUNK = 1500, MAP = 64 << 20 };

struct history_change {
        enum change_kind kind;
        uint64_t op;
        char id[8], old_v[40], new_v[40];
};

struct history_txn {
        uint64_t commit;
        uint32_t n;
        struct history_change changes[MAX_CHANGES];
};

static struct history_txn history[TXNS];

static void make_history(void)
{
        srand(42);
        for (uint64_t i = 0; i < TXNS; i++) {
                struct history_txn *t = &history[i];
                t->commit = 1000 + i * 100;
                t->n = (uint32_t)(rand() % 8 ? rand() % 6 : rand() % MAX_CHANGES);
                for (uint32_t j = 0; j < t->n; j++) {
                        struct history_change *c = &t->changes[j];
                        static const enum change_kind kinds[] = {CHANGE_INSERT, CHANGE_UPDATE,
                                                                 CHANGE_UPDATE, CHANGE_DELETE};
                        c->kind = kinds[rand() % 4];
                        c->op = j * 2;
                        snprintf(c->id, sizeof(c->id), "%d", rand() % 50);
                        snprintf(c->old_v, sizeof(c->old_v), "%0*d", 1 + rand() % 30, rand() % 3);
                        snprintf(c->new_v, sizeof(c->new_v), "%0*d", 1 + rand() % 30, rand() % 3);
                }
        }
}

static void put_change(struct test_stream *s, const struct history_change *c)
{
        struct test_row none = {0}, old_row = {c->id, c->old_v}, new_row = {c->id, c->new_v};
        stream_change(s, c->kind, c->op, c->kind == CHANGE_INSERT ? none : old_row,
                      c->kind == CHANGE_DELETE ? none : new_row);
}

/* One delivery: where it is, and how it behaves. */
struct delivery {
        struct test_engine *t;
        struct test_stream *s;
        unsigned cut, commit, restart, rewind; /* one in so many */
        uint64_t end;                          /* what a batch may say to be complete */
};

static bool one_in(unsigned n)
{
        return n && (unsigned)rand() % n == 0;
}

static void flush(struct delivery *d)
{
        struct batch *b = stream_cut(d->s, d->end);
        assert_int_equal(engine_apply(&d->t->engine, b), 0);
        batch_unref(b);
        if (one_in(d->commit))
                assert_int_equal(engine_commit(&d->t->engine), 0);
}

/* Index of the transaction that a leader would begin with. */
static size_t resume(const struct test_engine *t)
{
        size_t i = 0;
        while (i < TXNS && history[i].commit <= t->engine.place.applied.v)
                i++;
        /* a leader may go back further */
        return i > 3 ? i - (size_t)rand() % 3 : i;
}

/* False: interrupted, the stream must be joined anew. */
static bool deliver_txn(struct delivery *d, const struct history_txn *t)
{
        stream_begin(d->s, (uint32_t)t->commit, t->commit, true);
        for (uint32_t j = 0; j < t->n; j++) {
                put_change(d->s, &t->changes[j]);
                if (!one_in(d->cut))
                        continue;
                stream_end(d->s, false);
                flush(d);
                if (one_in(d->restart)) {
                        test_engine_restart(d->t);
                        return false;
                }
                if (one_in(d->rewind)) {
                        engine_rewind(&d->t->engine);
                        return false;
                }
                stream_begin(d->s, (uint32_t)t->commit, t->commit, false);
        }
        stream_end(d->s, true);
        d->end = t->commit;
        return true;
}

static void deliver_all(struct delivery *d)
{
        for (size_t i = resume(d->t); i < TXNS;) {
                if (!deliver_txn(d, &history[i])) {
                        i = resume(d->t);
                        d->end = i ? history[i - 1].commit : 0;
                        continue;
                }
                i++;
                if (one_in(d->cut) || i == TXNS)
                        flush(d);
        }
        assert_int_equal(engine_commit(&d->t->engine), 0);
}

struct result {
        struct buf all, full;
};

static void run(struct delivery d, size_t max_pending, struct result *out)
{
        struct test_engine t;
        struct test_stream s;
        test_engine_open(&t, CHUNK, max_pending, MAP);
        stream_open(&s);
        uint64_t all = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t full = test_complete(&t, true, REPLICA_FULL);
        d.t = &t;
        d.s = &s;
        deliver_all(&d);
        assert_int_equal(t.engine.place.applied.v, history[TXNS - 1].commit);
        buf_init(&out->all, 1 << 26);
        buf_init(&out->full, 1 << 26);
        test_read(&t, all, OFFSET_SNAPSHOT_END, &out->all);
        test_read(&t, full, OFFSET_SNAPSHOT_END, &out->full);
        test_engine_restart(&t);
        struct buf again;
        buf_init(&again, 1 << 26);
        test_read(&t, all, OFFSET_SNAPSHOT_END, &again);
        assert_string_equal(buf_cstr(&again), buf_cstr(&out->all));
        buf_fini(&again);
        stream_close(&s);
        test_engine_close(&t);
}

static void result_fini(struct result *r)
{
        buf_fini(&r->all);
        buf_fini(&r->full);
}

static void expect_same(const struct delivery *d, size_t max_pending, struct result *want)
{
        struct result got;
        run(*d, max_pending, &got);
        assert_string_equal(buf_cstr(&got.all), buf_cstr(&want->all));
        assert_string_equal(buf_cstr(&got.full), buf_cstr(&want->full));
        result_fini(&got);
}

static void test_any_delivery(void **state)
{
        struct result want;
        (void)state;
        make_history();
        run((struct delivery){.commit = 1}, 1 << 20, &want);
        assert_true(strchr(buf_cstr(&want.all), '|') != NULL); /* there are chunk ends */
        for (unsigned seed = 1; seed <= 40; seed++) {
                srand(seed);
                struct delivery d = {.cut = 1 + seed % 9,
                                     .commit = 1 + seed % 4,
                                     .restart = seed % 3 ? 0 : 12,
                                     .rewind = seed % 5 ? 0 : 7};
                expect_same(&d, seed % 2 ? 1 << 20 : 1 + seed * 40, &want);
        }
        result_fini(&want);
}

/* ---- a full store */

static void test_full_store(void **state)
{
        struct test_engine t;
        struct test_stream s;
        struct result want;
        (void)state;
        make_history();
        run((struct delivery){.commit = 1}, 1 << 20, &want);

        test_engine_open(&t, CHUNK, 1 << 20, 160 * 1024);
        stream_open(&s);
        uint64_t all = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t full = test_complete(&t, true, REPLICA_FULL);
        t.give_up_after = 3;
        struct delivery d = {.t = &t, .s = &s, .commit = 1};
        size_t i = 0;
        int err = 0;
        uint64_t committed = 0;
        for (; i < TXNS && !err; i++) {
                assert_true(deliver_txn(&d, &history[i]));
                struct batch *b = stream_cut(&s, d.end);
                err = engine_apply(&t.engine, b);
                batch_unref(b);
                if (!err)
                        err = engine_commit(&t.engine);
                if (!err)
                        committed = d.end;
        }
        assert_int_equal(err, ERR_CANCELLED);
        assert_int_equal(t.full_calls, 3);
        assert_int_equal(t.engine.committed.applied.v, committed);
        /* reads go on, and what they give is whole transactions */
        struct buf got;
        buf_init(&got, 1 << 26);
        test_read(&t, all, OFFSET_SNAPSHOT_END, &got);
        assert_true(got.len > 0 && memcmp(got.p, want.all.p, got.len - 1) == 0);
        buf_reset(&got);

        /* with room it resumes where it was */
        t.store.max_bytes = MAP;
        t.give_up_after = 0;
        test_engine_restart(&t);
        assert_int_equal(t.engine.place.applied.v, committed);
        d.end = committed;
        deliver_all(&d);
        test_read(&t, all, OFFSET_SNAPSHOT_END, &got);
        assert_string_equal(buf_cstr(&got), buf_cstr(&want.all));
        buf_reset(&got);
        test_read(&t, full, OFFSET_SNAPSHOT_END, &got);
        assert_string_equal(buf_cstr(&got), buf_cstr(&want.full));
        buf_fini(&got);
        result_fini(&want);
        stream_close(&s);
        test_engine_close(&t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_any_delivery),
                cmocka_unit_test(test_full_store),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
