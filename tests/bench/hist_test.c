#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/bench/hist.h"

static void empty_is_zero(void **state)
{
        (void)state;
        struct hist *h = hist_new();
        assert_int_equal(hist_quantile(h, 0.5), 0);
        assert_true(hist_mean(h) < 1e-9);
        mem_free(h);
}

static void small_values_are_exact(void **state)
{
        (void)state;
        struct hist *h = hist_new();
        for (uint64_t v = 1; v <= 200; v++)
                hist_add(h, v);
        assert_int_equal(hist_quantile(h, 0), 1);
        assert_int_equal(hist_quantile(h, 0.5), 100);
        assert_int_equal(hist_quantile(h, 0.99), 198);
        assert_int_equal(hist_quantile(h, 1), 200);
        mem_free(h);
}

static void error_stays_below_one_percent(void **state)
{
        (void)state;
        for (uint64_t v = 3; v < UINT64_MAX / 8; v = v * 7 + 5) {
                struct hist *h = hist_new();
                hist_add(h, v);
                hist_add(h, UINT64_MAX);
                uint64_t got = hist_quantile(h, 0.5);
                assert_true(got >= v);
                assert_true(got - v <= v / 128);
                mem_free(h);
        }
}

static void extremes_fit(void **state)
{
        (void)state;
        struct hist *h = hist_new();
        hist_add(h, 0);
        hist_add(h, UINT64_MAX);
        assert_int_equal(h->min, 0);
        assert_true(hist_quantile(h, 1) == UINT64_MAX);
        mem_free(h);
}

static void maximum_is_exact(void **state)
{
        (void)state;
        struct hist *h = hist_new();
        for (int i = 0; i < 1000; i++)
                hist_add(h, 1000);
        hist_add(h, 123456789);
        assert_int_equal(hist_quantile(h, 1), 123456789);
        assert_in_range(hist_quantile(h, 0.99), 1000, 1008);
        mem_free(h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(empty_is_zero),
                cmocka_unit_test(small_values_are_exact),
                cmocka_unit_test(error_stays_below_one_percent),
                cmocka_unit_test(extremes_fit),
                cmocka_unit_test(maximum_is_exact),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
