#include "common/test/test.h"

#include "common/base/hash.h"

/* Whoever computes it, a stored checksum must mean the same. */
static void test_one_result(void **state)
{
        (void)state;
        static char bytes[20000];
        uint64_t seed = 7;
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (char)test_random(&seed);
        for (size_t len = 0; len < sizeof(bytes); len = len < 3000 ? len + 1 : len * 5 / 4) {
                struct slice s = slice_of(bytes, len);
                assert_int_equal(hash64(s), XXH3_64bits(s.p, s.len));
                assert_int_equal(hash64_seeded(s, len), XXH3_64bits_withSeed(s.p, s.len, len));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_result)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
