/* What the unit tests share: cmocka with its prerequisites, slices in assertions, repeatable
 * randomness. */
#ifndef COMMON_TEST_TEST_H
#define COMMON_TEST_TEST_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/slice.h"

#define assert_slice_equal(actual, literal)                                                        \
        do {                                                                                       \
                struct slice got_ = (actual);                                                      \
                assert_int_equal(got_.len, sizeof(literal) - 1);                                   \
                assert_memory_equal(got_.p, literal, sizeof(literal) - 1);                         \
        } while (0)

/* xorshift64*: the same numbers for the same seed. */
static inline uint64_t test_random(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * 2685821657736338717ULL;
}

#endif
