#include "common/test/test.h"

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/rd.h"
#include "common/wire/wr.h"

static void test_numbers_round_trip(void **state)
{
        (void)state;
        static const uint64_t unsigned_cases[] = {
                0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, 1ULL << 32, UINT64_MAX};
        static const int64_t signed_cases[] = {
                INT64_MIN, INT32_MIN, -32769, -32768, -129, -128, -33, -32, -1, 0, 127, INT64_MAX};
        struct buf b;
        struct rd r;
        buf_init(&b, 1024);
        for (size_t i = 0; i < sizeof(unsigned_cases) / sizeof(*unsigned_cases); i++)
                wr_u64(&b, unsigned_cases[i]);
        for (size_t i = 0; i < sizeof(signed_cases) / sizeof(*signed_cases); i++)
                wr_i64(&b, signed_cases[i]);
        rd_init(&r, buf_slice(&b));
        for (size_t i = 0; i < sizeof(unsigned_cases) / sizeof(*unsigned_cases); i++)
                assert_true(rd_u64(&r) == unsigned_cases[i]);
        for (size_t i = 0; i < sizeof(signed_cases) / sizeof(*signed_cases); i++)
                assert_true(rd_i64(&r) == signed_cases[i]);
        assert_int_equal(r.err, 0);
        assert_true(rd_at_end(&r));
        buf_fini(&b);
}

static void test_wrong_sign_and_range(void **state)
{
        (void)state;
        struct buf b;
        struct rd r;
        buf_init(&b, 64);
        wr_i64(&b, -1);
        rd_init(&r, buf_slice(&b));
        assert_true(rd_u64(&r) == 0);
        assert_int_equal(r.err, ERR_FORMAT);
        buf_reset(&b);
        wr_u64(&b, UINT64_MAX);
        rd_init(&r, buf_slice(&b));
        assert_true(rd_i64(&r) == 0);
        assert_int_equal(r.err, ERR_FORMAT);
        buf_fini(&b);
}

/* Five bytes that made msgpack-c's unpacker reserve 8.4 GB: an array of 2^32-1 elements. */
static void test_hostile_lengths(void **state)
{
        (void)state;
        static const char *const cases[] = {"\xdd\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff",
                                            "\xc6\xff\xff\xff\xff", "\xdd\x7f\xff\xff\xff"};
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct rd r;
                rd_init(&r, slice_of(cases[i], 5));
                rd_skip(&r);
                assert_int_equal(r.err, ERR_FORMAT);
                rd_init(&r, slice_of(cases[i], 5));
                assert_true(rd_array(&r) == 0);
                rd_init(&r, slice_of(cases[i], 5));
                assert_int_equal(rd_bytes(&r).len, 0);
        }
}

static void test_nesting_is_limited(void **state)
{
        (void)state;
        char deep[64];
        memset(deep, '\x91', sizeof(deep));
        deep[sizeof(deep) - 1] = '\xc0';
        struct rd r;
        rd_init(&r, slice_of(deep, sizeof(deep)));
        rd_skip(&r);
        assert_int_equal(r.err, ERR_FORMAT);
}

static void test_random_bytes_end(void **state)
{
        (void)state;
        uint64_t seed = 1;
        for (int round = 0; round < 20000; round++) {
                char bytes[32];
                for (size_t i = 0; i < sizeof(bytes); i++)
                        bytes[i] = (char)test_random(&seed);
                struct rd r;
                rd_init(&r, slice_of(bytes, sizeof(bytes)));
                while (!r.err && !rd_at_end(&r))
                        rd_skip(&r);
                assert_true(r.p == r.end);
        }
}

static void test_array_count_written_later(void **state)
{
        (void)state;
        struct buf b;
        struct rd r;
        buf_init(&b, 64);
        size_t at = wr_array_begin(&b);
        wr_nil(&b);
        wr_bool(&b, true);
        wr_array_end(&b, at, 2);
        rd_init(&r, buf_slice(&b));
        assert_int_equal(rd_array(&r), 2);
        assert_true(rd_nil(&r));
        assert_true(rd_bool(&r));
        assert_int_equal(r.err, 0);
        buf_fini(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_round_trip),
                cmocka_unit_test(test_wrong_sign_and_range),
                cmocka_unit_test(test_hostile_lengths),
                cmocka_unit_test(test_nesting_is_limited),
                cmocka_unit_test(test_random_bytes_end),
                cmocka_unit_test(test_array_count_written_later),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
