#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/hmap.h"

/* The oracle: value of key i, 0 when it is not in the map. */
enum { KEYS = 500, STEPS = 60000 };
static uintptr_t oracle[KEYS];

/* Keys of many lengths, the empty one and ones with a NUL among them. */
static struct slice key_of(size_t i, char room[64])
{
        if (i == 0)
                return SLICE_EMPTY;
        size_t len = 4 + i % 40;
        memset(room, (int)(i % 7), len);
        memcpy(room, &i, 4);
        return slice_of(room, len);
}

static size_t oracle_count(void)
{
        size_t n = 0;
        for (size_t i = 0; i < KEYS; i++)
                n += oracle[i] != 0;
        return n;
}

static void check_iteration(const struct hmap *m)
{
        size_t cursor = 0, n = 0;
        struct slice key;
        void *value;
        while ((value = hmap_next(m, &cursor, &key))) {
                assert_ptr_equal(hmap_find(m, key), value);
                n++;
        }
        assert_int_equal(n, oracle_count());
        assert_int_equal(n, hmap_count(m));
}

static void step(struct hmap *m, int phase)
{
        char room[64];
        size_t i = (size_t)rand() % KEYS;
        struct slice key = key_of(i, room);
        assert_int_equal((uintptr_t)hmap_find(m, key), oracle[i]);
        if (rand() % 4 > phase) {
                uintptr_t value = (uintptr_t)rand() + 1;
                assert_int_equal((uintptr_t)hmap_put(m, key, (void *)value), oracle[i]);
                oracle[i] = value;
        } else {
                assert_int_equal((uintptr_t)hmap_take(m, key), oracle[i]);
                oracle[i] = 0;
        }
}

/* Grows, stays and shrinks in turn. */
static void test_random_against_array(void **state)
{
        (void)state;
        struct hmap m;
        hmap_init(&m);
        srand(3);
        for (int n = 0; n < STEPS; n++) {
                step(&m, n / (STEPS / 6) % 3);
                if (n % 1000 == 0)
                        check_iteration(&m);
        }
        assert_true(m.cap <= 2048); /* what was taken does not make it grow for ever */
        hmap_fini(&m);
        assert_int_equal(hmap_count(&m), 0);
}

static void test_empty(void **state)
{
        (void)state;
        struct hmap m;
        size_t cursor = 0;
        hmap_init(&m);
        assert_null(hmap_find(&m, SLICE_LIT("a")));
        assert_null(hmap_take(&m, SLICE_LIT("a")));
        assert_null(hmap_next(&m, &cursor, NULL));
        hmap_fini(&m);
}

static void test_keys_are_copied(void **state)
{
        (void)state;
        struct hmap m;
        char key[] = "key";
        int value;
        hmap_init(&m);
        assert_null(hmap_put(&m, slice_cstr(key), &value));
        key[0] = 'x';
        assert_ptr_equal(hmap_find(&m, SLICE_LIT("key")), &value);
        assert_null(hmap_find(&m, SLICE_LIT("xey")));
        hmap_fini(&m);
}

static void test_take_while_iterating(void **state)
{
        (void)state;
        struct hmap m;
        size_t cursor = 0, n = 0;
        struct slice key;
        int value;
        hmap_init(&m);
        for (int i = 0; i < 1000; i++)
                assert_null(hmap_put(&m, HMAP_KEY(i), &value));
        while (hmap_next(&m, &cursor, &key)) {
                int number;
                char copy[sizeof(number)]; /* the map's key goes with the entry */
                assert_int_equal(key.len, sizeof(number));
                memcpy(copy, key.p, sizeof(copy));
                assert_ptr_equal(hmap_take(&m, slice_of(copy, sizeof(copy))), &value);
                n++;
        }
        assert_int_equal(n, 1000);
        assert_int_equal(hmap_count(&m), 0);
        hmap_fini(&m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random_against_array),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_keys_are_copied),
                cmocka_unit_test(test_take_while_iterating),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
