/* Who is woken by what, how far notices are trusted, timers and the cache's bound. */
#include "common/test/test.h"

#include <stdlib.h>

#include "services/edge/flow.h"
#include "services/edge/lru.h"
#include "services/edge/shape.h"
#include "services/edge/sse.h"
#include "services/edge/wheel.h"

static struct shapes table;
static struct list woken;

static struct log_offset at(uint64_t tx)
{
        return (struct log_offset){tx, 0};
}

static struct shape *fresh(void)
{
        shapes_init(&table);
        list_init(&woken);
        return shapes_ref(&table, SLICE_LIT("256-1"), 0);
}

static void done(struct shape *s)
{
        shape_unref(s);
        shapes_fini(&table);
}

static void append(struct shape *s, uint64_t prev, uint64_t tail, const char *bytes)
{
        struct notice n = {.kind = NOTICE_APPEND,
                           .prev = at(prev),
                           .tail = at(tail),
                           .flags = bytes ? NOTICE_INLINE : 0,
                           .bytes = slice_cstr(bytes ? bytes : "")};
        shape_on_notice(s, &n, 1, &woken);
}

static void assert_woken(struct waiter *w, enum wake why)
{
        assert_int_equal(w->wake, why);
        assert_null(w->shape);
        assert_false(list_empty(&w->node));
        waiter_cancel(w);
}

/* Everybody at the previous tail shares one copy of the entries; who is elsewhere looks for
 * himself. */
static void test_inline_entries(void **state)
{
        (void)state;
        struct shape *s = fresh();
        struct waiter a, b, c;
        waiter_init(&a);
        waiter_init(&b);
        waiter_init(&c);
        assert_true(shape_wait(s, &a, WAIT_BEYOND, at(10)));
        assert_true(shape_wait(s, &b, WAIT_BEYOND, at(10)));
        assert_true(shape_wait(s, &c, WAIT_BEYOND, at(5)));
        append(s, 10, 20, "{}");
        assert_int_equal(s->n_waiters, 0);
        assert_ptr_equal(a.entries, b.entries);
        assert_true(slice_eq(blob_slice(a.entries), SLICE_LIT("{}")));
        assert_int_equal(a.end.tx, 20);
        assert_woken(&a, WAKE_ENTRIES);
        assert_woken(&b, WAKE_ENTRIES);
        assert_woken(&c, WAKE_LOOK);
        done(s);
}

/* §2.10.3: the log grew between the answer and the wait. */
static void test_no_wait_for_what_is_there(void **state)
{
        (void)state;
        struct shape *s = fresh();
        struct waiter w;
        waiter_init(&w);
        append(s, 10, 20, NULL);
        assert_false(shape_wait(s, &w, WAIT_BEYOND, at(10)));
        assert_false(shape_wait(s, &w, WAIT_REACH, at(20)));
        assert_true(shape_wait(s, &w, WAIT_BEYOND, at(20)));
        waiter_cancel(&w);
        assert_int_equal(s->n_waiters, 0);
        done(s);
}

static void test_reach(void **state)
{
        (void)state;
        struct shape *s = fresh();
        struct waiter w;
        waiter_init(&w);
        append(s, 0, 10, NULL);
        assert_true(shape_wait(s, &w, WAIT_REACH, at(30)));
        append(s, 10, 20, "{}");
        assert_non_null(w.shape); /* not far enough */
        shape_learn_tail(s, at(30), 1, &woken);
        assert_woken(&w, WAKE_LOOK);
        done(s);
}

/* An older tail, learnt late, wakes nobody and takes nothing back. */
static void test_tails_only_grow(void **state)
{
        (void)state;
        struct shape *s = fresh();
        struct waiter w;
        waiter_init(&w);
        append(s, 10, 20, NULL);
        assert_true(shape_wait(s, &w, WAIT_BEYOND, at(20)));
        shape_learn_tail(s, at(15), 2, &woken);
        assert_int_equal(s->tail.tx, 20);
        assert_int_equal(s->generation, 2);
        append(s, 10, 20, "{}"); /* the same once more */
        assert_non_null(w.shape);
        waiter_cancel(&w);
        done(s);
}

static void test_gone(void **state)
{
        (void)state;
        struct shape *s = fresh();
        struct waiter a, b;
        waiter_init(&a);
        waiter_init(&b);
        assert_true(shape_wait(s, &a, WAIT_BEYOND, at(1)));
        assert_true(shape_wait(s, &b, WAIT_SNAPSHOT, at(0)));
        struct notice n = {.kind = NOTICE_GONE};
        shape_on_notice(s, &n, 1, &woken);
        assert_woken(&a, WAKE_GONE);
        assert_woken(&b, WAKE_GONE);
        assert_true(shape_is_gone(s));
        assert_null(shapes_find(&table, SLICE_LIT("256-1")));
        assert_false(shape_wait(s, &a, WAIT_BEYOND, at(1)));
        done(s);
}

static void test_failed_snapshot(void **state)
{
        (void)state;
        struct shape *s = fresh();
        struct waiter w;
        waiter_init(&w);
        assert_true(shape_wait(s, &w, WAIT_SNAPSHOT, at(0)));
        struct notice progress = {.kind = NOTICE_SNAPSHOT};
        shape_on_notice(s, &progress, 1, &woken);
        assert_woken(&w, WAKE_LOOK);
        assert_true(shape_wait(s, &w, WAIT_SNAPSHOT, at(0)));
        struct notice n = {.kind = NOTICE_GONE, .flags = NOTICE_FAILED, .reason = SLICE_LIT("why")};
        shape_on_notice(s, &n, 1, &woken);
        assert_true(slice_eq(blob_slice(w.entries), SLICE_LIT("why")));
        assert_woken(&w, WAKE_FAILED);
        assert_int_equal(s->events, 2);
        done(s);
}

/* ---- trust */

static void test_flow(void **state)
{
        (void)state;
        struct flow f;
        flow_init(&f);
        assert_false(flow_trusts(&f, f.generation, 0));
        assert_int_equal(flow_frame(&f, 7, 41, 1000), FLOW_BROKEN); /* the first one */
        uint64_t generation = f.generation;
        assert_int_equal(flow_frame(&f, 7, 42, 1100), FLOW_TAKE);
        assert_true(flow_trusts(&f, generation, 1100 + FLOW_MAX_SILENCE_MS));
        assert_false(flow_trusts(&f, generation, 1101 + FLOW_MAX_SILENCE_MS));
        assert_int_equal(flow_frame(&f, 7, 42, 1200), FLOW_DROP);
        assert_int_equal(flow_frame(&f, 6, 99, 1200), FLOW_DROP);
        assert_int_equal(flow_frame(&f, 7, 44, 1200), FLOW_BROKEN); /* 43 is missing */
        assert_false(flow_trusts(&f, generation, 1200));
        assert_true(flow_trusts(&f, f.generation, 1200));
        assert_int_equal(flow_frame(&f, 8, 1, 1300), FLOW_BROKEN);
        assert_int_equal(flow_frame(&f, 8, 2, 1400), FLOW_TAKE);
        generation = f.generation;
        assert_true(flow_check_silence(&f, 1401 + FLOW_MAX_SILENCE_MS));
        assert_false(flow_check_silence(&f, 1402 + FLOW_MAX_SILENCE_MS)); /* told once */
        assert_int_equal(flow_frame(&f, 8, 3, 9000), FLOW_BROKEN);
        assert_true(f.generation > generation);
        flow_saw_lsn(&f, (lsn_t){5});
        flow_saw_lsn(&f, (lsn_t){4});
        assert_int_equal(f.lsn.v, 5);
}

/* ---- timers */

struct timed {
        struct wheel_entry entry;
        uint64_t due_ms, fired_ms;
};

static uint64_t wheel_now;

static void on_fire(void *arg, struct wheel_entry *e)
{
        (void)arg;
        LIST_OBJ(e, struct timed, entry)->fired_ms = wheel_now;
}

static void test_wheel(void **state)
{
        (void)state;
        enum { N = 500 };
        static struct wheel w;
        static struct timed t[N];
        uint64_t start = 123456789;
        wheel_init(&w, start);
        srand(1);
        for (int i = 0; i < N; i++) {
                wheel_entry_init(&t[i].entry);
                t[i].due_ms = start + (uint64_t)(rand() % 70000); /* up to three turns */
                wheel_set(&w, &t[i].entry, t[i].due_ms);
        }
        wheel_cancel(&w, &t[0].entry);
        wheel_cancel(&w, &t[0].entry);
        assert_int_equal(w.count, N - 1);
        for (wheel_now = start; wheel_now < start + 80000; wheel_now += 7)
                wheel_advance(&w, wheel_now, on_fire, NULL);
        assert_int_equal(w.count, 0);
        assert_int_equal(t[0].fired_ms, 0);
        for (int i = 1; i < N; i++) {
                assert_true(t[i].fired_ms >= t[i].due_ms);
                assert_true(t[i].fired_ms <= t[i].due_ms + 2 * WHEEL_TICK_MS + 7);
        }
}

/* The process was stopped for longer than a turn. */
static void test_wheel_jump(void **state)
{
        (void)state;
        static struct wheel w;
        struct timed a = {.due_ms = 0}, b = {.due_ms = 0};
        wheel_init(&w, 1000);
        wheel_entry_init(&a.entry);
        wheel_entry_init(&b.entry);
        wheel_set(&w, &a.entry, 1500);
        wheel_set(&w, &b.entry, 500000);
        wheel_now = 400000;
        wheel_advance(&w, wheel_now, on_fire, NULL);
        assert_int_equal(a.fired_ms, 400000);
        assert_int_equal(b.fired_ms, 0);
        wheel_now = 500020;
        wheel_advance(&w, wheel_now, on_fire, NULL);
        assert_int_equal(b.fired_ms, 500020);
}

/* ---- cache */

static void test_lru(void **state)
{
        (void)state;
        struct lru l;
        struct lru_node n[4];
        lru_init(&l, 100);
        for (int i = 0; i < 4; i++)
                lru_node_init(&n[i]);
        assert_false(lru_add(&l, &n[0], 101));
        assert_true(lru_add(&l, &n[0], 40));
        assert_true(lru_add(&l, &n[1], 40));
        assert_null(lru_evict(&l));
        lru_touch(&l, &n[0]);
        assert_true(lru_add(&l, &n[2], 40));
        assert_ptr_equal(lru_evict(&l), &n[1]); /* the one not used for longest */
        assert_null(lru_evict(&l));
        assert_int_equal(l.bytes, 80);
        lru_remove(&l, &n[0]);
        assert_false(lru_contains(&n[0]));
        assert_int_equal(l.count, 1);
        lru_remove(&l, &n[2]);
        assert_int_equal(l.bytes, 0);
}

/* ---- frames */

static void test_frames(void **state)
{
        (void)state;
        struct buf b;
        buf_init(&b, 4096);
        sse_put_frames(&b, SLICE_LIT("{\"a\":\"}\\\"{,\",\"b\":{\"c\":{}}},{\"d\":1}"));
        assert_string_equal(buf_cstr(&b), "data: {\"a\":\"}\\\"{,\",\"b\":{\"c\":{}}}\n\n"
                                          "data: {\"d\":1}\n\n");
        buf_reset(&b);
        sse_put_frames(&b, SLICE_EMPTY);
        assert_int_equal(b.len, 0);
        buf_fini(&b);
}

static struct shape *next_watched(uint32_t shard)
{
        struct list todo;
        list_init(&todo);
        list_take(&todo, &table.watched);
        struct shape *first = shapes_next_watched(&table, &todo, shard);
        while (shapes_next_watched(&table, &todo, shard))
                ;
        return first;
}

/* A sweep meets shapes that were used since the last one or are waited for, and no others, however
 * many are known. */
static void test_watched(void **state)
{
        (void)state;
        struct shape *s = fresh(), *other = shapes_ref(&table, SLICE_LIT("257-1"), 1),
                     *idle = shapes_ref(&table, SLICE_LIT("512-1"), 0);
        struct waiter w;
        waiter_init(&w);
        assert_true(list_empty(&table.watched));
        shape_use(s);
        shape_use(s);
        shape_use(other);
        assert_ptr_equal(next_watched(0), s);
        assert_null(next_watched(0));
        assert_ptr_equal(next_watched(1), other);
        assert_true(list_empty(&table.watched));

        assert_true(shape_wait(idle, &w, WAIT_BEYOND, at(10)));
        assert_ptr_equal(next_watched(0), idle);
        assert_ptr_equal(next_watched(0), idle);
        waiter_cancel(&w);
        assert_null(next_watched(0));
        assert_true(list_empty(&table.watched));

        shape_use(idle);
        shape_gone(idle, SLICE_EMPTY, &woken);
        assert_null(next_watched(0));
        shape_use(idle);
        assert_true(list_empty(&table.watched));
        shape_unref(idle);
        shape_unref(other);
        done(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_inline_entries),
                cmocka_unit_test(test_no_wait_for_what_is_there),
                cmocka_unit_test(test_reach),
                cmocka_unit_test(test_tails_only_grow),
                cmocka_unit_test(test_gone),
                cmocka_unit_test(test_failed_snapshot),
                cmocka_unit_test(test_flow),
                cmocka_unit_test(test_wheel),
                cmocka_unit_test(test_wheel_jump),
                cmocka_unit_test(test_lru),
                cmocka_unit_test(test_frames),
                cmocka_unit_test(test_watched),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
