#include "common/test/test.h"

#include "common/base/mem.h"
#include "common/bus/gap.h"
#include "common/bus/window.h"

static void push(struct window *w, uint64_t seq, uint64_t last_lsn, size_t len)
{
        window_push(w, seq, (lsn_t){last_lsn}, slice_of(mem_zalloc(len), len));
}

static void test_bounds(void **state)
{
        (void)state;
        struct window *w = window_new(100, 3, (lsn_t){10});
        assert_true(window_has_room(w));
        push(w, 1, 20, 500); /* a single large one is accepted */
        assert_false(window_has_room(w));
        window_release(w, 1);
        assert_int_equal(window_bytes(w), 0);
        push(w, 2, 30, 1);
        push(w, 3, 40, 1);
        push(w, 4, 50, 1);
        assert_false(window_has_room(w)); /* three frames at most */
        window_release(w, 2);
        assert_true(window_has_room(w));
        window_free(w);
}

/* A transaction in parts: all parts carry its commit LSN, so who is before it gets the first of
 * them. */
static void test_find_first_part(void **state)
{
        (void)state;
        struct window *w = window_new(1000, 16, (lsn_t){50});
        uint64_t seq;
        push(w, 1, 100, 1);
        push(w, 2, 100, 1);
        push(w, 3, 100, 1);
        push(w, 4, 120, 1);
        assert_true(window_find(w, (lsn_t){50}, &seq));
        assert_int_equal(seq, 1);
        assert_true(window_find(w, (lsn_t){100}, &seq));
        assert_int_equal(seq, 4);
        assert_true(window_find(w, (lsn_t){120}, &seq));
        assert_int_equal(seq, 5);
        assert_false(window_find(w, (lsn_t){49}, &seq));
        window_release(
                w, 1); /* the first part is gone: who has not got the whole cannot continue here */
        assert_false(window_find(w, (lsn_t){50}, &seq));
        assert_true(window_find(w, (lsn_t){100}, &seq));
        assert_int_equal(seq, 4);
        window_free(w);
}

static void test_random_against_array(void **state)
{
        (void)state;
        enum { N = 2000 };
        static uint64_t last[N + 1];
        uint64_t seed = 3, first = 1, next = 1, lsn = 5, start = 5;
        struct window *w = window_new(SIZE_MAX, 64, (lsn_t){start});
        while (next <= N) {
                if (window_has_room(w) && test_random(&seed) % 3) {
                        lsn += test_random(&seed) % 3;
                        last[next] = lsn;
                        push(w, next++, lsn, 1 + test_random(&seed) % 9);
                } else if (first < next) {
                        start = last[first];
                        window_release(w, first++);
                }
                uint64_t wanted = start + test_random(&seed) % 8, expect = first, seq;
                while (expect < next && last[expect] <= wanted)
                        expect++;
                assert_true(window_find(w, (lsn_t){wanted}, &seq));
                assert_true(seq == expect);
                assert_true(start == 0 || !window_find(w, (lsn_t){start - 1}, &seq));
                struct slice frame;
                assert_true(window_get(w, next - 1, &frame) == (first < next));
        }
        window_free(w);
}

static void test_gaps(void **state)
{
        (void)state;
        struct gap g = {0};
        assert_int_equal(gap_check(&g, 5, 1), GAP_NEW_EPOCH);
        gap_adopt(&g, 5, 3);
        assert_int_equal(gap_check(&g, 4, 3), GAP_OLD);
        assert_int_equal(gap_check(&g, 5, 2), GAP_OLD);
        assert_int_equal(gap_check(&g, 5, 4), GAP_MISSING);
        assert_int_equal(gap_check(&g, 5, 3), GAP_NEXT);
        assert_int_equal(gap_check(&g, 5, 4), GAP_NEXT);
        assert_int_equal(gap_check(&g, 6, 1), GAP_NEW_EPOCH);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_find_first_part),
                cmocka_unit_test(test_random_against_array),
                cmocka_unit_test(test_gaps),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
