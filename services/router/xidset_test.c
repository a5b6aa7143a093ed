#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "services/router/xidset.h"

static const uint32_t SPAN = UINT32_C(1) << XIDSET_SPAN_BITS;

static void test_members(void **state)
{
        struct xidset *x = xidset_new();
        (void)state;
        assert_false(xidset_has(x, 5));
        uint32_t at = 0;
        assert_false(xidset_next(x, &at));
        xidset_add(x, 700);
        xidset_add(x, 690); /* commits do not come in the order of xids */
        xidset_add(x, 1000);
        assert_true(xidset_has(x, 690) && xidset_has(x, 700) && xidset_has(x, 1000));
        assert_false(xidset_has(x, 699) || xidset_has(x, 1001) || xidset_has(x, 0));
        at = 691;
        assert_true(xidset_next(x, &at));
        assert_int_equal(at, 700);
        at = 701;
        assert_true(xidset_next(x, &at));
        assert_int_equal(at, 1000);
        at = 1001;
        assert_false(xidset_next(x, &at));
        xidset_clear(x);
        assert_false(xidset_has(x, 700));
        xidset_free(x);
}

/* The bitmap is circular: what is one span older than the newest is forgotten, and xids wrap at
 * 2^32. */
static void test_wraps(void **state)
{
        struct xidset *x = xidset_new();
        (void)state;
        xidset_add(x, 100);
        xidset_add(x, 100 + SPAN - 1);
        assert_true(xidset_has(x, 100));
        xidset_add(x, 100 + SPAN + 5);
        assert_false(xidset_has(x, 100));
        assert_false(xidset_has(x, 100 + SPAN));
        assert_true(xidset_has(x, 100 + SPAN - 1));
        xidset_add(x, 200); /* it ran that long: remembered apart */
        assert_true(xidset_has(x, 200));
        assert_false(xidset_has(x, 200 + SPAN));

        for (uint32_t xid = 100 + SPAN + 5; xid < UINT32_MAX - SPAN / 2; xid += SPAN / 2)
                xidset_add(x, xid);
        xidset_add(x, UINT32_MAX - 1);
        xidset_add(x, 3);
        xidset_add(x, 8);
        uint32_t at = UINT32_MAX - 5;
        assert_true(xidset_next(x, &at));
        assert_int_equal(at, UINT32_MAX - 1);
        at++;
        assert_true(xidset_next(x, &at));
        assert_int_equal(at, 3);
        xidset_free(x);
}

static void test_against_bytes(void **state)
{
        enum { N = 20000 };
        static bool model[N];
        struct xidset *x = xidset_new();
        const uint32_t base = UINT32_MAX - N / 2;
        (void)state;
        srand(7);
        memset(model, 0, sizeof(model));
        for (uint32_t i = 0, top = 0; i < 3000; i++) {
                top += (uint32_t)rand() % 6;
                uint32_t xid = top - (uint32_t)rand() % 40 % (top + 1);
                model[xid] = true;
                xidset_add(x, base + xid);
        }
        uint32_t next = 0;
        for (uint32_t i = 0; i < N; i++)
                assert_int_equal(xidset_has(x, base + i), model[i]);
        for (uint32_t i = 0; i < N; i++) {
                if (!model[i])
                        continue;
                uint32_t at = base + next;
                assert_true(xidset_next(x, &at));
                assert_int_equal(at, base + i);
                next = i + 1;
        }
        xidset_free(x);
}

/* What is saved with every commit brings the latest members back. */
static void test_saved(void **state)
{
        static char records[XIDSET_SLOTS][2048];
        static size_t lens[XIDSET_SLOTS];
        struct xidset *x = xidset_new();
        struct slice record;
        (void)state;
        uint32_t total = XIDSET_RECENT + 1000;
        for (uint32_t i = 0; i < total; i++) {
                xidset_add(x, 1000 + i);
                if (i % 37 && i + 1 < total)
                        continue;
                for (uint32_t slot = 0; xidset_unsaved(x, &slot, &record); slot++) {
                        assert_true(record.len <= sizeof(records[0]));
                        memcpy(records[slot], record.p, record.len);
                        lens[slot] = record.len;
                }
                xidset_saved(x);
        }
        uint32_t none = 0;
        assert_false(xidset_unsaved(x, &none, &record));
        xidset_free(x);

        x = xidset_new();
        for (uint32_t slot = 0; slot < XIDSET_SLOTS; slot++)
                assert_int_equal(xidset_load(x, slot, (struct slice){records[slot], lens[slot]}),
                                 0);
        for (uint32_t i = total - XIDSET_RECENT + XIDSET_SLOT_XIDS; i < total; i++)
                assert_true(xidset_has(x, 1000 + i));
        /* it goes on after the newest slot */
        xidset_add(x, 1000 + total);
        uint32_t slot = 0;
        assert_true(xidset_unsaved(x, &slot, &record));
        assert_int_equal(slot, (total - 1) / XIDSET_SLOT_XIDS % XIDSET_SLOTS);
        assert_int_equal(xidset_load(x, 3, (struct slice){records[2], lens[2]}), ERR_CORRUPT);
        assert_int_equal(xidset_load(x, 3, (struct slice){records[3], 5}), ERR_CORRUPT);
        assert_int_equal(xidset_load(x, 3, (struct slice){records[3], 4000}), ERR_CORRUPT);
        xidset_free(x);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_members),
                cmocka_unit_test(test_wraps),
                cmocka_unit_test(test_against_bytes),
                cmocka_unit_test(test_saved),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
