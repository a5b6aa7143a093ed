#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/slice.h"

static void test_cmp(void **state)
{
        (void)state;
        static const struct slice sorted[] = {
                {"", 0}, {"\0", 1}, {"a", 1}, {"a\0", 2}, {"ab", 2}, {"b", 1}, {"\xff", 1},
        };
        enum { N = sizeof(sorted) / sizeof(sorted[0]) };
        for (int i = 0; i < N; i++) {
                for (int k = 0; k < N; k++) {
                        int order = slice_cmp(sorted[i], sorted[k]);
                        assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
                        assert_int_equal(slice_eq(sorted[i], sorted[k]), i == k);
                }
        }
}

static void test_starts(void **state)
{
        (void)state;
        assert_true(slice_starts(SLICE_LIT("abc"), SLICE_LIT("ab")));
        assert_true(slice_starts(SLICE_LIT("abc"), SLICE_EMPTY));
        assert_true(slice_starts(SLICE_EMPTY, SLICE_EMPTY));
        assert_false(slice_starts(SLICE_LIT("ab"), SLICE_LIT("abc")));
        assert_false(slice_starts(SLICE_LIT("xbc"), SLICE_LIT("ab")));
}

static void test_dup(void **state)
{
        (void)state;
        struct slice copy = slice_dup(slice_of("a\0b", 3));
        assert_true(slice_eq(copy, slice_of("a\0b", 3)));
        mem_free((char *)(uintptr_t)copy.p);
        char *text = slice_dup_cstr(slice_of("abc", 2));
        assert_string_equal(text, "ab");
        mem_free(text);
        text = slice_dup_cstr(slice_of(NULL, 0));
        assert_string_equal(text, "");
        mem_free(text);
}

static void test_parse_u64(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int err;
                uint64_t value;
        } cases[] = {
                {"0", 0, 0},
                {"00", 0, 0},
                {"007", 0, 7},
                {"18446744073709551615", 0, UINT64_MAX},
                {"18446744073709551616", ERR_RANGE, 0},
                {"18446744073709551620", ERR_RANGE, 0},
                {"99999999999999999999999", ERR_RANGE, 0},
                {"", ERR_FORMAT, 0},
                {"-1", ERR_FORMAT, 0},
                {"+1", ERR_FORMAT, 0},
                {" 1", ERR_FORMAT, 0},
                {"1 ", ERR_FORMAT, 0},
                {"1a", ERR_FORMAT, 0},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint64_t value = 42;
                assert_int_equal(slice_parse_u64(slice_cstr(cases[i].text), &value), cases[i].err);
                assert_int_equal(value, cases[i].err ? 42 : cases[i].value);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cmp),
                cmocka_unit_test(test_starts),
                cmocka_unit_test(test_dup),
                cmocka_unit_test(test_parse_u64),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
