#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/offset.h"

struct offset_case {
        const char *text;
        int err;
        enum offset_kind kind;
        struct log_offset at;
        const char *printed;
};

static const struct offset_case offset_cases[] = {
        {"-1", 0, OFFSET_BEFORE_ALL, {0, 0}, "-1"},
        {"-1_0", 0, OFFSET_BEFORE_ALL, {0, 0}, "-1"},
        {"now", 0, OFFSET_NOW, {0, 0}, "now"},
        {"0_0", 0, OFFSET_AT, {0, 0}, "0_0"},
        {"0_02", 0, OFFSET_AT, {0, 2}, "0_2"},
        {"0_inf", 0, OFFSET_AT, {0, OFFSET_OP_INF}, "0_inf"},
        {"26800584_4", 0, OFFSET_AT, {26800584, 4}, "26800584_4"},
        {"26800584_inf", 0, OFFSET_AT, {26800584, OFFSET_OP_INF}, "26800584_inf"},
        {"18446744073709551615_0", 0, OFFSET_AT, {UINT64_MAX, 0}, "18446744073709551615_0"},
        {"", ERR_FORMAT, 0, {0, 0}, NULL},
        {"0", ERR_FORMAT, 0, {0, 0}, NULL},
        {"_", ERR_FORMAT, 0, {0, 0}, NULL},
        {"0_", ERR_FORMAT, 0, {0, 0}, NULL},
        {"_0", ERR_FORMAT, 0, {0, 0}, NULL},
        {"-1_1", ERR_FORMAT, 0, {0, 0}, NULL},
        {"-2_0", ERR_FORMAT, 0, {0, 0}, NULL},
        {"1_-1", ERR_FORMAT, 0, {0, 0}, NULL},
        {"1_2_3", ERR_FORMAT, 0, {0, 0}, NULL},
        {"inf_0", ERR_FORMAT, 0, {0, 0}, NULL},
        {"0_INF", ERR_FORMAT, 0, {0, 0}, NULL},
        {"NOW", ERR_FORMAT, 0, {0, 0}, NULL},
        {" 0_0", ERR_FORMAT, 0, {0, 0}, NULL},
        {"18446744073709551616_0", ERR_FORMAT, 0, {0, 0}, NULL},
        {"0_18446744073709551616", ERR_FORMAT, 0, {0, 0}, NULL},
};

static void test_offsets(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(offset_cases) / sizeof(offset_cases[0]); i++) {
                const struct offset_case *c = &offset_cases[i];
                struct offset_request r;
                struct buf out;
                int err = offset_parse(slice_cstr(c->text), &r);
                if (err != c->err)
                        fail_msg("'%s': %s", c->text, err_text(err));
                if (err)
                        continue;
                assert_int_equal(r.kind, c->kind);
                if (c->kind == OFFSET_AT)
                        assert_int_equal(offset_cmp(r.at, c->at), 0);
                buf_init(&out, 64);
                offset_request_print(&out, &r);
                assert_string_equal(buf_cstr(&out), c->printed);
                buf_fini(&out);
        }
        struct offset_request r;
        assert_int_equal(offset_parse(slice_of(NULL, 0), &r), ERR_FORMAT);
}

static void test_order(void **state)
{
        (void)state;
        static const struct log_offset sorted[] = {
                {0, 0}, {0, 2}, {0, OFFSET_OP_INF}, {1, 0}, {1, 4}, {2, 0}, {UINT64_MAX, 0},
        };
        enum { N = sizeof(sorted) / sizeof(sorted[0]) };
        for (int i = 0; i < N; i++)
                for (int k = 0; k < N; k++)
                        assert_int_equal(offset_cmp(sorted[i], sorted[k]), (i > k) - (i < k));
        assert_int_equal(lsn_cmp((lsn_t){1}, (lsn_t){2}), -1);
        assert_int_equal(lsn_cmp((lsn_t){UINT64_MAX}, (lsn_t){0}), 1);
        assert_int_equal(lsn_cmp((lsn_t){5}, (lsn_t){5}), 0);
}

static void test_lsns(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int err;
                uint64_t value;
        } cases[] = {
                {"0/0", 0, 0},
                {"16/B374D848", 0, 0x16B374D848},
                {"16/b374d848", 0, 0x16B374D848},
                {"0/1", 0, 1},
                {"FFFFFFFF/FFFFFFFF", 0, UINT64_MAX},
                {"", ERR_FORMAT, 0},
                {"/", ERR_FORMAT, 0},
                {"0/", ERR_FORMAT, 0},
                {"/0", ERR_FORMAT, 0},
                {"0/0/0", ERR_FORMAT, 0},
                {"1FFFFFFFF/0", ERR_FORMAT, 0},
                {"0/1FFFFFFFF", ERR_FORMAT, 0},
                {"0x1/0", ERR_FORMAT, 0},
                {"G/0", ERR_FORMAT, 0},
                {"@/0", ERR_FORMAT, 0},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                lsn_t lsn = {42}, again;
                struct buf out;
                int err = lsn_parse(slice_cstr(cases[i].text), &lsn);
                if (err != cases[i].err)
                        fail_msg("'%s': %s", cases[i].text, err_text(err));
                assert_int_equal(lsn.v, err ? 42 : cases[i].value);
                buf_init(&out, 64);
                lsn_print(&out, lsn);
                assert_int_equal(lsn_parse(buf_slice(&out), &again), 0);
                assert_int_equal(again.v, lsn.v);
                buf_fini(&out);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_offsets),
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_lsns),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
