#include "services/edge/secret.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char right[] = "a secret of some length";
#define RIGHT slice_of(right, sizeof(right) - 1)

static void none(void **state)
{
        struct secret s;
        (void)state;
        secret_init(&s, SLICE_EMPTY);
        assert_false(s.wanted);
}

static void only_the_whole_of_it(void **state)
{
        struct secret s;
        char given[2 * sizeof(right)];
        (void)state;
        secret_init(&s, RIGHT);
        assert_true(s.wanted && secret_is(&s, RIGHT));
        for (size_t len = 0; len < sizeof(right) - 1; len++)
                assert_false(secret_is(&s, slice_of(right, len)));
        assert_false(secret_is(&s, slice_of(right, sizeof(right)))); /* with its NUL */
        memcpy(given, right, sizeof(right) - 1);
        memcpy(given + sizeof(right) - 1, right, sizeof(right) - 1);
        assert_false(secret_is(&s, slice_of(given, 2 * (sizeof(right) - 1)))); /* twice */
}

static void every_bit_counts(void **state)
{
        struct secret s;
        char given[sizeof(right)];
        (void)state;
        secret_init(&s, RIGHT);
        for (size_t bit = 0; bit < 8 * (sizeof(right) - 1); bit++) {
                memcpy(given, right, sizeof(right));
                given[bit / 8] = (char)(given[bit / 8] ^ 1 << bit % 8);
                assert_false(secret_is(&s, slice_of(given, sizeof(right) - 1)));
        }
}

/* What is compared is a digest of one size, and all of it: a comparison that stopped early, or at
 * the shorter of two texts, would take one of these for the secret. */
static void every_bit_of_the_digest_counts(void **state)
{
        struct secret s;
        (void)state;
        secret_init(&s, RIGHT);
        assert_int_equal(sizeof(s.digest), SHA256_DIGEST_LENGTH);
        for (size_t bit = 0; bit < 8 * sizeof(s.digest); bit++) {
                struct secret near = s;
                near.digest[bit / 8] = (unsigned char)(near.digest[bit / 8] ^ 1 << bit % 8);
                assert_false(secret_is(&near, RIGHT));
        }
        assert_true(secret_is(&s, RIGHT));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(none),
                cmocka_unit_test(only_the_whole_of_it),
                cmocka_unit_test(every_bit_counts),
                cmocka_unit_test(every_bit_of_the_digest_counts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
