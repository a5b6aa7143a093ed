#include "common/test/test.h"

#include "services/ingest/pace.h"

static void test_alone(void **state)
{
        (void)state;
        struct pace p = {0};
        assert_false(pace_may_rest(&p, 10)); /* nothing was cut yet */
        pace_cut(&p, 10);
        assert_false(pace_may_rest(&p, 11)); /* the first one ever */
        pace_cut(&p, 10 + 2000);
        assert_false(pace_may_rest(&p, 10 + 2001)); /* too long after it */
}

static void test_in_succession(void **state)
{
        (void)state;
        struct pace p = {0};
        pace_cut(&p, 5000);
        pace_cut(&p, 5000 + 1999);
        assert_true(pace_may_rest(&p, 6999));
        assert_true(pace_may_rest(&p, 6999 + 999));
        assert_false(pace_may_rest(&p, 6999 + 1000)); /* nothing came meanwhile */
        pace_cut(&p, 8100);
        assert_true(pace_may_rest(&p, 8100));
        pace_cut(&p, 20000);
        assert_false(pace_may_rest(&p, 20000));
}

static void test_in_txn(void **state)
{
        (void)state;
        assert_false(pace_may_rest_in_txn(PACE_LARGE_BYTES - 1));
        assert_true(pace_may_rest_in_txn(PACE_LARGE_BYTES));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_alone),
                cmocka_unit_test(test_in_succession),
                cmocka_unit_test(test_in_txn),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
