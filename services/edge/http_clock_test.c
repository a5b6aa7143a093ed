#include "services/edge/http_clock.h"

#include "common/base/clock.h"
#include "common/test/test.h"

enum { HOUR_MS = 3600 * 1000, TIMEOUT_MS = 20, PATIENCE_MS = 5000 };

struct alarm {
        h2o_timeout_t timeout;
        h2o_timeout_entry_t entry;
        int rang;
};

static void ring(h2o_timeout_entry_t *entry)
{
        H2O_STRUCT_FROM_MEMBER(struct alarm, entry, entry)->rang++;
}

static h2o_evloop_t *open_loop(struct alarm *a, struct http_clock *c)
{
        h2o_evloop_t *loop = h2o_evloop_create();
        *a = (struct alarm){.entry.cb = ring};
        h2o_timeout_init(loop, &a->timeout, TIMEOUT_MS);
        h2o_evloop_run(loop, 0);
        http_clock_init(c);
        return loop;
}

static void close_loop(h2o_evloop_t *loop, struct alarm *a)
{
        h2o_timeout_unlink(&a->entry);
        h2o_timeout_dispose(loop, &a->timeout);
        h2o_evloop_destroy(loop);
}

/* A timer is set, the clock has been set by `step_ms` since; then the loop turns. */
static void check(int64_t step_ms)
{
        struct alarm a;
        struct http_clock c;
        h2o_evloop_t *loop = open_loop(&a, &c);
        h2o_timeout_link(loop, &a.timeout, &a.entry);
        a.entry.registered_at -= (uint64_t)step_ms;
        c.ahead_ms -= step_ms;
        http_clock_follow(&c, loop);
        assert_in_range(h2o_now(loop) - a.entry.registered_at, 0, 2);
        uint64_t begin = clock_mono_ms();
        while (!a.rang && clock_mono_ms() < begin + PATIENCE_MS)
                h2o_evloop_run(loop, TIMEOUT_MS);
        assert_int_equal(a.rang, 1);
        assert_true(clock_mono_ms() - begin + 2 >= TIMEOUT_MS);
        close_loop(loop, &a);
}

static void test_clock_set_back(void **state)
{
        (void)state;
        check(-HOUR_MS);
}

static void test_clock_set_forward(void **state)
{
        (void)state;
        check(HOUR_MS);
}

static void test_set_after_the_jump(void **state)
{
        (void)state;
        struct alarm a;
        struct http_clock c;
        h2o_evloop_t *loop = open_loop(&a, &c);
        c.ahead_ms -= HOUR_MS;
        h2o_timeout_link(loop, &a.timeout, &a.entry);
        http_clock_follow(&c, loop);
        assert_int_equal(a.entry.registered_at, h2o_now(loop));
        close_loop(loop, &a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clock_set_back),
                cmocka_unit_test(test_clock_set_forward),
                cmocka_unit_test(test_set_after_the_jump),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
