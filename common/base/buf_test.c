#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/mem.h"

static void test_writes(void **state)
{
        (void)state;
        struct buf b;
        buf_init(&b, 1000);
        assert_int_equal(b.cap, 0);
        assert_string_equal(buf_cstr(&b), "");
        buf_puts(&b, "a");
        buf_putc(&b, 'b');
        buf_put(&b, "cd", 2);
        buf_put_slice(&b, SLICE_LIT("e"));
        buf_put_slice(&b, slice_of(NULL, 0));
        buf_put_u64(&b, 0);
        buf_put_u64(&b, UINT64_MAX);
        buf_printf(&b, "[%d %s]", -5, "x");
        buf_printf(&b, "%s", "");
        assert_string_equal(buf_cstr(&b), "abcde018446744073709551615[-5 x]");
        assert_int_equal(buf_status(&b), 0);
        buf_reset(&b);
        assert_int_equal(buf_slice(&b).len, 0);
        buf_fini(&b);
}

static void test_limit_is_sticky(void **state)
{
        (void)state;
        struct buf b;
        buf_init(&b, 10);
        buf_puts(&b, "12345678");
        buf_puts(&b, "abc"); /* does not fit: nothing of it is written */
        assert_int_equal(buf_status(&b), ERR_LIMIT);
        buf_putc(&b, 'x'); /* would fit, but something is missing before it */
        assert_null(buf_reserve(&b, 1));
        assert_string_equal(buf_cstr(&b), "12345678");
        buf_reset(&b);
        buf_puts(&b, "1234567890");
        assert_int_equal(buf_status(&b), 0);
        assert_string_equal(buf_cstr(&b), "1234567890");
        buf_printf(&b, "%d", 1);
        assert_int_equal(buf_status(&b), ERR_LIMIT);
        buf_fini(&b);

        buf_init(&b, 5);
        buf_printf(&b, "%s", "123456");
        assert_int_equal(buf_status(&b), ERR_LIMIT);
        assert_int_equal(b.len, 0);
        buf_reset(&b);
        buf_printf(&b, "%s", "12345");
        assert_string_equal(buf_cstr(&b), "12345");
        buf_fini(&b);

        buf_init(&b, 0);
        buf_puts(&b, "");
        assert_int_equal(buf_status(&b), 0);
        buf_putc(&b, 'x');
        assert_int_equal(buf_status(&b), ERR_LIMIT);
        buf_fini(&b);
}

static void test_growth(void **state)
{
        (void)state;
        struct buf b;
        char expect[5000];
        buf_init(&b, sizeof(expect));
        for (size_t i = 0; i < sizeof(expect); i++) {
                expect[i] = (char)('a' + i % 26);
                buf_putc(&b, expect[i]);
        }
        assert_int_equal(buf_status(&b), 0);
        assert_true(slice_eq(buf_slice(&b), slice_of(expect, sizeof(expect))));
        buf_fini(&b);
}

static void test_reserve_and_take(void **state)
{
        (void)state;
        struct buf b;
        buf_init(&b, 100);
        char *room = buf_reserve(&b, 3);
        memcpy(room, "xyz", 3);
        assert_int_equal(b.len, 0);
        buf_advance(&b, 2);
        assert_string_equal(buf_cstr(&b), "xy");
        struct slice taken = buf_take(&b);
        assert_true(slice_eq(taken, SLICE_LIT("xy")));
        mem_free((char *)(uintptr_t)taken.p);
        assert_int_equal(b.len, 0);
        buf_puts(&b, "again");
        assert_string_equal(buf_cstr(&b), "again");
        buf_fini(&b);
}

static void assert_json(struct slice text, const char *expect)
{
        struct buf b;
        buf_init(&b, 1000);
        buf_put_json_string(&b, text);
        assert_string_equal(buf_cstr(&b), expect);
        buf_fini(&b);
}

static void test_json(void **state)
{
        (void)state;
        assert_json(SLICE_EMPTY, "\"\"");
        assert_json(SLICE_LIT("plain"), "\"plain\"");
        assert_json(SLICE_LIT("\"\\/"), "\"\\\"\\\\/\"");
        assert_json(SLICE_LIT("\n\r\t"), "\"\\n\\r\\t\"");
        assert_json(slice_of("\0\x01\x1f\x7f", 4), "\"\\u0000\\u0001\\u001f\x7f\"");
        assert_json(SLICE_LIT("\b\f"), "\"\\u0008\\u000c\"");
        assert_json(SLICE_LIT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                    "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

/* One byte at a time, without tricks. */
static void put_json_slowly(struct buf *b, struct slice text)
{
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.p[i];
                if (c == '"' || c == '\\')
                        buf_printf(b, "\\%c", c);
                else if (c == '\n' || c == '\r' || c == '\t')
                        buf_printf(b, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
                else if (c < 0x20)
                        buf_printf(b, "\\u%04x", c);
                else
                        buf_putc(b, (char)c);
        }
}

/* The fast path looks at eight bytes at once: every byte at every place of the word, among plain
 * and odd ones. */
static void test_json_every_byte_everywhere(void **state)
{
        (void)state;
        static const char fills[] = {'a', '\x80', '\xff', ' ', '!', '#', '\x5d'};
        struct buf fast, slow;
        buf_init(&fast, 1000);
        buf_init(&slow, 1000);
        for (size_t f = 0; f < sizeof(fills); f++) {
                for (int c = 0; c < 256; c++) {
                        for (size_t at = 0; at < 19; at++) {
                                char text[19];
                                memset(text, fills[f], sizeof(text));
                                text[at] = (char)c;
                                buf_reset(&fast);
                                buf_reset(&slow);
                                buf_put_json_escaped(&fast, slice_of(text, sizeof(text)));
                                put_json_slowly(&slow, slice_of(text, sizeof(text)));
                                assert_true(slice_eq(buf_slice(&fast), buf_slice(&slow)));
                        }
                }
        }
        srand(5);
        for (int n = 0; n < 5000; n++) {
                char text[64];
                size_t len = (size_t)rand() % sizeof(text);
                for (size_t i = 0; i < len; i++)
                        text[i] = (char)rand();
                buf_reset(&fast);
                buf_reset(&slow);
                buf_put_json_escaped(&fast, slice_of(text, len));
                put_json_slowly(&slow, slice_of(text, len));
                assert_true(slice_eq(buf_slice(&fast), buf_slice(&slow)));
        }
        buf_fini(&fast);
        buf_fini(&slow);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_writes), cmocka_unit_test(test_limit_is_sticky),
                cmocka_unit_test(test_growth), cmocka_unit_test(test_reserve_and_take),
                cmocka_unit_test(test_json),   cmocka_unit_test(test_json_every_byte_everywhere),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
