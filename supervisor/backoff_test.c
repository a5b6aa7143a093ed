#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "supervisor/backoff.h"

static void doubles_up_to_the_maximum(void **state)
{
        (void)state;
        struct backoff b = {0};
        uint64_t now = 1000, after = 0, expected = BACKOFF_MIN_MS;
        for (int i = 0; i < 20; i++) {
                backoff_started(&b, now);
                assert_true(backoff_ended(&b, now + 5, -9, &after));
                assert_int_equal(after, expected);
                expected = expected * 2 < BACKOFF_MAX_MS ? expected * 2 : BACKOFF_MAX_MS;
                now += 5 + after;
        }
}

static void a_stable_time_begins_anew(void **state)
{
        (void)state;
        struct backoff b = {0};
        uint64_t after = 0;
        for (int i = 0; i < 5; i++) {
                backoff_started(&b, 0);
                assert_true(backoff_ended(&b, 1, -11, &after));
        }
        assert_true(after > BACKOFF_MIN_MS);
        backoff_started(&b, 0);
        assert_true(backoff_ended(&b, BACKOFF_STABLE_MS, -11, &after));
        assert_int_equal(after, BACKOFF_MIN_MS);
}

static void a_wrong_configuration_is_given_up_at_once(void **state)
{
        (void)state;
        struct backoff b = {0};
        uint64_t after = 0;
        backoff_started(&b, 0);
        assert_false(backoff_ended(&b, 10, 2, &after));
}

static void a_refusal_is_given_up_after_several_in_a_row(void **state)
{
        (void)state;
        struct backoff b = {0};
        uint64_t after = 0;
        assert_true(backoff_ended(&b, 10, 1, &after));
        assert_true(backoff_ended(&b, 20, 1, &after));
        assert_true(backoff_ended(&b, 30, -9, &after)); /* killed: not a refusal */
        assert_true(backoff_ended(&b, 40, 1, &after));
        assert_true(backoff_ended(&b, 50, 1, &after));
        assert_false(backoff_ended(&b, 60, 1, &after));
}

static void what_once_ran_is_never_given_up(void **state)
{
        (void)state;
        struct backoff b = {0};
        uint64_t after = 0;
        assert_true(backoff_ended(&b, BACKOFF_STABLE_MS, 0, &after));
        for (uint64_t i = 0; i < 10; i++) {
                backoff_started(&b, BACKOFF_STABLE_MS + i);
                assert_true(backoff_ended(&b, BACKOFF_STABLE_MS + i, i % 2 ? 1 : 2, &after));
        }
        assert_int_equal(after, BACKOFF_MAX_MS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(doubles_up_to_the_maximum),
                cmocka_unit_test(a_stable_time_begins_anew),
                cmocka_unit_test(a_wrong_configuration_is_given_up_at_once),
                cmocka_unit_test(a_refusal_is_given_up_after_several_in_a_row),
                cmocka_unit_test(what_once_ran_is_never_given_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
