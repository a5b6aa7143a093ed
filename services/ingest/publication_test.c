#include "common/test/test.h"

#include "services/ingest/publication.h"

static void test_names(void **state)
{
        (void)state;
        struct object_names n;
        struct buf why;
        buf_init(&why, 1024);
        publication_names("default", &n);
        assert_string_equal(n.publication, "electric_publication_default");
        assert_string_equal(n.slot, "electric_slot_default");
        static const char *const good[] = {"a", "a_1", "0",
                                           "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddee"};
        static const char *const bad[] = {
                "", "A", "a-b", "a'b", "a\"b", "é", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeee"};
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
                assert_int_equal(pg_check_stream_id(good[i], &why), 0);
                publication_names(good[i], &n);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_not_equal(pg_check_stream_id(bad[i], &why), 0);
        buf_fini(&why);
}

static void test_sql(void **state)
{
        (void)state;
        struct buf sql;
        buf_init(&sql, 1 << 16);
        publication_sql_create(&sql, "p", 170000);
        assert_string_equal(buf_cstr(&sql), "CREATE PUBLICATION \"p\"");
        buf_reset(&sql);
        publication_sql_create(&sql, "p", 180001);
        assert_string_equal(buf_cstr(&sql), "CREATE PUBLICATION \"p\" WITH "
                                            "(publish_generated_columns = stored)");
        buf_reset(&sql);
        publication_sql_inspect(&sql, 140000); /* has no publication of schemas */
        assert_null(strstr(buf_cstr(&sql), "pg_publication_namespace"));
        buf_fini(&sql);
}

static void expect(enum table_refusal why, uint64_t status, const char *text)
{
        struct buf out;
        buf_init(&out, 4096);
        assert_int_equal(publication_refuse(&out, why, SLICE_LIT("public"), SLICE_LIT("items"), "p",
                                            SLICE_LIT("must be owner of table items")),
                         status);
        assert_string_equal(buf_cstr(&out), text);
        buf_fini(&out);
}

/* The texts of protocol §4.7. */
static void test_refusals(void **state)
{
        (void)state;
        expect(REFUSE_MISSING_MANUAL, 503,
               "Database table \"public.items\" is missing from the publication \"p\" and the "
               "ELECTRIC_MANUAL_TABLE_PUBLISHING setting prevents Electric from adding it");
        expect(REFUSE_MISSING_UNPRIVILEGED, 503,
               "Database table \"public.items\" is missing from the publication \"p\" and Electric "
               "lacks privileges to add it");
        expect(REFUSE_IDENTITY, 503,
               "Database table \"public.items\" does not have its replica identity set to FULL");
        expect(REFUSE_PARTLY, 503,
               "Database table \"public.items\" is in the publication \"p\" with a row filter or a "
               "column list, and must be in it without");
        expect(REFUSE_GONE, 503, "Database table \"public.items\" has been dropped or renamed");
        expect(REFUSE_LOCK_TIMEOUT, 503, "Snapshot timed out while waiting for a table lock");
        expect(REFUSE_DISCONNECTED, 503, "Database connection not available");
        expect(REFUSE_PRIVILEGE, 503,
               "Unable to create initial snapshot: must be owner of table items");
        expect(REFUSE_UNEXPECTED, 500,
               "Unexpected error while creating snapshot: must be owner of table items");
        assert_int_equal(publication_judge("42501"), REFUSE_PRIVILEGE);
        assert_int_equal(publication_judge("55P03"), REFUSE_LOCK_TIMEOUT);
        assert_int_equal(publication_judge("22023"), REFUSE_UNEXPECTED);
        assert_int_equal(publication_judge(""), REFUSE_UNEXPECTED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_sql),
                cmocka_unit_test(test_refusals),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
