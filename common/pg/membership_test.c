#include "common/test/test.h"

#include "common/pg/membership.h"

static void test_name(void **state)
{
        (void)state;
        char name[PG_PUBLICATION_NAME_BYTES];
        pg_publication_name("default", name);
        assert_string_equal(name, "electric_publication_default");
}

static void test_second_pass(void **state)
{
        (void)state;
        assert_true(pg_publication_needs_second_pass(150012));
        assert_false(pg_publication_needs_second_pass(150013));
        assert_true(pg_publication_needs_second_pass(140000));
        assert_false(pg_publication_needs_second_pass(170005));
        assert_false(pg_publication_needs_second_pass(180000));
}

static bool full_has(const char *text, int server_version)
{
        struct buf sql;
        buf_init(&sql, 1 << 16);
        pg_put_full_membership(&sql, "c.oid", "$2", server_version);
        assert_int_equal(buf_status(&sql), 0);
        bool has = strstr(buf_cstr(&sql), text) != NULL;
        buf_fini(&sql);
        return has;
}

static void test_by_release(void **state)
{
        (void)state;
        assert_false(full_has("pg_publication_namespace", 140020)); /* has none */
        assert_true(full_has("pg_publication_namespace", 150000));
        assert_true(full_has("pub.xmin", 150018));
        assert_false(full_has("pub.xmin", 150012)); /* we alter it ourselves */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_name),
                cmocka_unit_test(test_second_pass),
                cmocka_unit_test(test_by_release),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
