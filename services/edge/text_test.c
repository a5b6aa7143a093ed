#include "common/test/test.h"

#include "common/base/err.h"
#include "services/edge/text.h"

static struct arena arena;

static struct slice decode(const char *text, bool form)
{
        struct slice out;
        assert_int_equal(text_percent_decode(&arena, slice_cstr(text), form, &out), 0);
        return out;
}

static void test_percent(void **state)
{
        (void)state;
        struct slice out;
        arena_init(&arena);
        assert_true(slice_eq(decode("a%20b+c%2B", true), SLICE_LIT("a b c+")));
        assert_true(slice_eq(decode("a+b", false), SLICE_LIT("a+b")));
        assert_true(slice_eq(decode("%00", true), slice_of("\0", 1)));
        assert_true(slice_eq(decode("", true), SLICE_EMPTY));
        assert_int_equal(text_percent_decode(&arena, SLICE_LIT("%"), true, &out), ERR_FORMAT);
        assert_int_equal(text_percent_decode(&arena, SLICE_LIT("%4"), true, &out), ERR_FORMAT);
        assert_int_equal(text_percent_decode(&arena, SLICE_LIT("a%zz"), true, &out), ERR_FORMAT);
        arena_fini(&arena);
}

static void test_utf8(void **state)
{
        (void)state;
        assert_true(text_is_utf8(SLICE_LIT("aü€😀")));
        assert_true(text_is_utf8(SLICE_EMPTY));
        assert_false(text_is_utf8(SLICE_LIT("\x80")));
        assert_false(text_is_utf8(SLICE_LIT("\xc0\xaf"))); /* overlong */
        assert_false(text_is_utf8(SLICE_LIT("\xe0\x80\xaf")));
        assert_false(text_is_utf8(SLICE_LIT("\xed\xa0\x80"))); /* surrogate */
        assert_false(text_is_utf8(SLICE_LIT("\xf4\x90\x80\x80")));
        assert_false(text_is_utf8(SLICE_LIT("a\xc3"))); /* cut */
}

static void test_letters(void **state)
{
        (void)state;
        assert_true(text_is_letter('a') && text_is_letter('Z') && text_is_letter(0xfc));
        assert_true(text_is_letter(0x65e5) && text_is_letter(0x0416));
        assert_false(text_is_letter('1') || text_is_letter('_') || text_is_letter(0x2014));
        assert_false(text_is_letter(0x1f600));
}

static void test_trim(void **state)
{
        (void)state;
        assert_true(slice_eq(text_trim(SLICE_LIT(" \t a b\n ")), SLICE_LIT("a b")));
        assert_int_equal(text_trim(SLICE_LIT("  ")).len, 0);
}

/* Blocks are reused after a reset and large requests get a block of their own. */
static void test_arena(void **state)
{
        (void)state;
        arena_init(&arena);
        for (int round = 0; round < 3; round++) {
                for (size_t n = 1; n < 200000; n = n * 3 + 1) {
                        char *p = arena_alloc(&arena, n);
                        assert_int_equal((uintptr_t)p % 16, 0);
                        assert_int_equal(p[0] | p[n - 1], 0);
                        memset(p, 0xaa, n);
                }
                arena_reset(&arena);
        }
        arena_fini(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_percent), cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_letters), cmocka_unit_test(test_trim),
                cmocka_unit_test(test_arena),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
