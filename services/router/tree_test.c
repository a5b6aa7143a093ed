#include "services/router/tree.h"

#include "common/test/test.h"

#define LINKS(l) (l), sizeof(l) / sizeof((l)[0])

static struct tree tree_of(const struct tree_link *links, size_t n)
{
        struct tree t = {0};
        for (size_t i = 0; i < n; i++)
                tree_add_below(&t, &links[i]);
        return t;
}

static bool continues(const struct tree_link *old, size_t n_old, const struct tree_link *now,
                      size_t n_now)
{
        struct tree a = tree_of(old, n_old), b = tree_of(now, n_now);
        return tree_continues(&a, &b, now, n_now);
}

static const struct tree_link two[] = {{11, 10, 700, false}, {12, 10, 705, true}};

static void same_tree(void **state)
{
        (void)state;
        const struct tree_link other_order[] = {two[1], two[0]};
        assert_true(continues(LINKS(two), LINKS(two)));
        assert_true(continues(LINKS(two), LINKS(other_order)));
        assert_true(continues(two, 0, two, 0));
}

static void born_partitions_are_followed(void **state)
{
        (void)state;
        const struct tree_link now[] = {two[0], two[1], {13, 10, 710, true}, {14, 13, 710, true}};
        assert_true(continues(LINKS(two), LINKS(now)));
        assert_true(continues(two, 0, now + 1, 3));
}

static void attached_ones_bring_rows(void **state)
{
        (void)state;
        const struct tree_link now[] = {two[0], two[1], {13, 10, 710, false}};
        const struct tree_link below[] = {two[0], two[1], {13, 11, 710, false}};
        assert_false(continues(LINKS(two), LINKS(now)));
        assert_false(continues(LINKS(two), LINKS(below)));
        assert_false(continues(two, 0, now + 2, 1));
}

static void gone_ones_take_rows(void **state)
{
        (void)state;
        const struct tree_link back[] = {two[1], {11, 10, 720, false}};
        const struct tree_link instead[] = {two[1], {13, 10, 720, true}};
        assert_false(continues(LINKS(two), two + 1, 1));
        assert_false(continues(LINKS(two), two, 0));
        assert_false(continues(LINKS(two), LINKS(back)));
        assert_false(continues(LINKS(two), LINKS(instead)));
}

/* Transaction ids start again at 3. */
static void wrapped_ids(void **state)
{
        (void)state;
        const struct tree_link old[] = {{11, 10, 4294967290U, true}};
        const struct tree_link now[] = {old[0], {12, 10, 5, true}, {13, 10, 6, false}};
        struct tree t = tree_of(now, 2);
        assert_true(continues(LINKS(old), now, 2));
        assert_false(continues(LINKS(old), LINKS(now)));
        assert_int_equal(t.newest, 5);
        assert_false(tree_is_later(&t, 4294967295U));
        assert_true(tree_is_later(&t, 6));
}

static void losing_a_table_above(void **state)
{
        (void)state;
        struct tree none = {0}, one = {0}, other = {0};
        tree_add_above(&one, &two[0]);
        tree_add_above(&other, &two[1]);
        assert_true(tree_continues(&one, &one, NULL, 0));
        assert_true(tree_continues(&none, &one, NULL, 0));
        assert_false(tree_continues(&one, &none, NULL, 0));
        assert_false(tree_continues(&one, &other, NULL, 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(same_tree),
                cmocka_unit_test(born_partitions_are_followed),
                cmocka_unit_test(attached_ones_bring_rows),
                cmocka_unit_test(gone_ones_take_rows),
                cmocka_unit_test(wrapped_ids),
                cmocka_unit_test(losing_a_table_above),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
