#include "common/test/test.h"

#include "services/ingest/lag.h"

static void test_lag(void **state)
{
        (void)state;
        struct lag l = {0};
        assert_int_equal(lag_bytes(&l, (lsn_t){5}), 0);
        assert_int_equal(lag_ms(&l, (lsn_t){5}, 99), 0);
        lag_note(&l, (lsn_t){100}, 1000);
        lag_note(&l, (lsn_t){100}, 2000); /* idle: still since 1000 */
        lag_note(&l, (lsn_t){150}, 3000);
        assert_int_equal(lag_bytes(&l, (lsn_t){150}), 0);
        assert_int_equal(lag_ms(&l, (lsn_t){150}, 4000), 0);
        assert_int_equal(lag_bytes(&l, (lsn_t){120}), 30);
        assert_int_equal(lag_ms(&l, (lsn_t){120}, 4000), 1000);
        assert_int_equal(lag_ms(&l, (lsn_t){99}, 4000), 3000);
        assert_int_equal(lag_bytes(&l, (lsn_t){200}), 0);
        lag_note(&l, (lsn_t){40}, 5000); /* another server */
        assert_int_equal(lag_ms(&l, (lsn_t){30}, 6000), 1000);
}

static void test_full(void **state)
{
        (void)state;
        struct lag l = {0};
        for (uint64_t i = 1; i <= 100000; i++)
                lag_note(&l, (lsn_t){i}, i);
        assert_true(l.n <= LAG_SAMPLES);
        assert_int_equal(lag_ms(&l, (lsn_t){0}, 100000), 99999); /* the oldest is kept */
        assert_in_range(lag_ms(&l, (lsn_t){50000}, 100000), 49000, 50000);
        assert_in_range(lag_ms(&l, (lsn_t){99000}, 100000), 0, 1000);
        lag_release(&l, (lsn_t){99500});
        assert_in_range(l.n, 1, 3);
        lag_note(&l, (lsn_t){100001}, 100001);
        lag_note(&l, (lsn_t){100002}, 100002);
        assert_in_range(lag_ms(&l, (lsn_t){100000}, 100005), 3, 4); /* exact again */
        assert_int_equal(lag_bytes(&l, (lsn_t){1}), 100001);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lag),
                cmocka_unit_test(test_full),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
