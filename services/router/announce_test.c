/* What edges are told before a commit, and what only after it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "services/router/announce.h"
#include "services/router/test_engine.h"

static uint32_t ahead, ahead_notices;

/* What the commit brings is not in the store yet. */
static void on_announce(void *arg, lsn_t applied, uint32_t n, struct slice notices)
{
        struct test_engine *t = arg;
        assert_true(lsn_cmp(t->engine.committed.applied, applied) < 0);
        ahead++;
        ahead_notices += n;
        test_on_commit(arg, applied, n, notices);
}

static void open_both(struct test_engine *t, struct test_stream *s, size_t map_bytes)
{
        test_engine_open(t, 1 << 20, 1 << 20, map_bytes);
        t->engine.o.on_announce = on_announce;
        stream_open(s);
        ahead = ahead_notices = 0;
}

static void close_both(struct test_engine *t, struct test_stream *s)
{
        stream_close(s);
        test_engine_close(t);
}

static void put_row(struct test_stream *s, uint64_t commit, const char *v)
{
        stream_begin(s, (uint32_t)commit, commit, true);
        stream_insert(s, 0, "1", v);
        stream_end(s, true);
}

static size_t count_entries(struct test_engine *t, uint64_t id)
{
        struct buf got;
        size_t n = 0;
        buf_init(&got, 64 << 20);
        test_read(t, id, OFFSET_SNAPSHOT_END, &got);
        for (const char *p = buf_cstr(&got); (p = strstr(p, "op_position")); p++)
                n++;
        buf_fini(&got);
        return n;
}

/* Entries of shapes that are on disk: once, before the commit. */
static void test_ahead(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        open_both(&t, &s, 64 << 20);
        uint64_t one = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t other = test_complete(&t, false, REPLICA_FULL);
        assert_int_equal(ahead, 0);
        for (uint64_t i = 1; i <= 3; i++) {
                put_row(&s, 1000 + i, "a");
                assert_int_equal(stream_apply(&s, &t, 1000 + i), 0);
                assert_int_equal(ahead, i);
                assert_int_equal(ahead_notices, 2 * i);
        }
        assert_int_equal(t.appends, 6);
        assert_int_equal(t.inlined, 6);
        assert_int_equal(count_entries(&t, one), 3);
        assert_int_equal(count_entries(&t, other), 3);
        close_both(&t, &s);
}

/* What somebody who is told would have to fetch, or what is not only entries: after the commit. */
static void test_not_ahead(void **state)
{
        struct test_engine t;
        struct test_stream s;
        static char big[NOTICE_INLINE_MAX_BYTES + 1];
        (void)state;
        memset(big, 'x', sizeof(big) - 1);
        open_both(&t, &s, 64 << 20);
        test_complete(&t, true, REPLICA_DEFAULT);

        put_row(&s, 1001, big); /* too large to travel along */
        assert_int_equal(stream_apply(&s, &t, 1001), 0);
        assert_int_equal(ahead, 0);
        assert_int_equal(t.appends, 1);

        /* another shape's snapshot makes progress in the same commit */
        uint64_t young = test_create(&t, false, REPLICA_FULL);
        assert_int_equal(engine_hold(&t.engine, young), 0);
        assert_int_equal(test_begin(&t, young, "1002:1002:", 0), 0);
        put_row(&s, 1002, "a");
        assert_int_equal(stream_apply(&s, &t, 1002), 0);
        assert_int_equal(ahead, 0);
        assert_int_equal(t.appends, 3);

        /* a restart would forget it, and its entries with it */
        put_row(&s, 1003, "a");
        assert_int_equal(stream_apply(&s, &t, 1003), 0);
        assert_int_equal(ahead, 0);
        assert_int_equal(t.appends, 5);

        /* a position alone */
        assert_int_equal(stream_apply(&s, &t, 1004), 0);
        assert_int_equal(ahead, 0);
        close_both(&t, &s);
}

/* The process ends between announcement and commit: the stream brings the same again. */
static void test_lost_commit(void **state)
{
        struct test_engine t;
        struct test_stream s;
        static char big[40000];
        (void)state;
        memset(big, 'x', sizeof(big) - 1);
        open_both(&t, &s, 1 << 20);
        t.give_up_after = 1;
        t.engine.o.on_announce = on_announce;
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t at = 1000;
        int err;
        do {
                put_row(&s, ++at, big);
                err = stream_apply(&s, &t, at);
        } while (!err);
        assert_int_equal(err, ERR_CANCELLED);
        assert_int_equal(ahead, at - 1000); /* the last one, too */
        test_engine_restart(&t);
        assert_int_equal(count_entries(&t, id), at - 1001);
        assert_int_equal(t.engine.place.applied.v, at - 1);
        close_both(&t, &s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ahead),
                cmocka_unit_test(test_not_ahead),
                cmocka_unit_test(test_lost_commit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
