/* Clauses that are read without libpg_query are read as it reads them: all that the quick reader
 * takes, and every word of the grammar as a column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "services/router/test_db.h"
#include "services/router/where_quick.h"

enum { WHY_MAX = 4096 };

/* Whether it was read the quick way. */
static bool agrees(const char *text)
{
        struct slice clause = slice_cstr(text);
        struct where_scratch arena;
        struct where_parsed *whole = NULL;
        struct buf why;
        buf_init(&why, WHY_MAX);
        where_scratch_init(&arena);
        struct where_parsed *quick = where_parse_quick(clause, &arena);
        int rc = quick ? where_parse_whole(clause, &arena, &whole, &why) : 0;
        if (quick && (rc || !where_parsed_eq(quick, whole)))
                fail_msg("%s: read otherwise by libpg_query %s", text, buf_cstr(&why));
        where_scratch_fini(&arena);
        buf_fini(&why);
        return quick != NULL;
}

static void test_quick(void **state)
{
        static const char *const clauses[] = {
                "name = 'x'",
                " NAME\t= 'it is' ",
                "\"we Ird\"<>5",
                "a != $1 AND b>=0",
                "a = 1 and b = 'ü' AND c LIKE 'a%' AND d iLike '_'",
                "a IN (1)",
                "a in( 1 ,'b',$2 , TRUE) AND b IS NULL",
                "a IN (1) AND b is  not null",
                "done = true",
                "a<false",
                "_a1 <= 123456789",
        };
        (void)state;
        for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++)
                if (!agrees(clauses[i]))
                        fail_msg("not read: %s", clauses[i]);
}

/* Whatever looks like one of them and is something else. */
static void test_others(void **state)
{
        static const char *const clauses[] = {
                "",
                "a",
                "a =",
                "a = 'x",
                "a = 'it''s'",
                "a = E'x'",
                "a = 'x\\'",
                "a = 'x' 'y'",
                "a = 'x'\n'y'",
                "a = 1.5",
                "a = 1e5",
                "a = 01",
                "a = 3000000000",
                "a = -1",
                "a =-1",
                "a => 1",
                "a = 1x",
                "a = $1x",
                "a = $x",
                "a == 1",
                "a = 1 OR b = 2",
                "a = 1 AND",
                "a = 1 ANDb = 2",
                "a = 1AND b = 2",
                "a = 1; ",
                "a = 1 LIMIT 1",
                "\"a\"\"b\" = 1",
                "\"\" = 1",
                "a.b = 1",
                "a$b = 1",
                "ü = 1",
                "a = null",
                "a NOT LIKE 'x'",
                "a LIKE 'x' ESCAPE 'a'",
                "a IN ()",
                "a IN (b)",
                "a IN (1",
                "a = true::bool",
                "a = truex",
                "a = 1 -- x",
                "a /**/ = 1",
                "select = 1",
                "U&\"a\" = 1",
                "a IS NOT TRUE",
                "a IS NULLx",
                "a = 'x' COLLATE \"C\"",
        };
        (void)state;
        for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++)
                (void)agrees(clauses[i]);
        assert_false(agrees("a = 'x' 'y'"));
        assert_false(agrees("select = 1"));
}

static void test_keywords(void **state)
{
        static const char *const ends[] = {"= 1", "= 'x' AND a = 1", "IN (1)", "LIKE 'x'",
                                           "IS NULL"};
        char clause[256];
        if (!*state)
                skip();
        PGresult *words = PQexec(*state, "SELECT word, catcode FROM pg_catalog.pg_get_keywords()");
        assert_true(PQntuples(words) > 400);
        for (int i = 0; i < PQntuples(words); i++)
                for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
                        snprintf(clause, sizeof(clause), "%s %s", PQgetvalue(words, i, 0), ends[k]);
                        (void)agrees(clause);
                        snprintf(clause, sizeof(clause), "a = 1 AND %s %s", PQgetvalue(words, i, 0),
                                 ends[k]);
                        (void)agrees(clause);
                }
        PQclear(words);
        assert_true(agrees("value = 'x'"));
}

static int setup(void **state)
{
        return test_db_setup(state, "where_quick");
}

static int teardown(void **state)
{
        if (*state)
                PQfinish(*state);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_quick),
                cmocka_unit_test(test_others),
                cmocka_unit_test_setup_teardown(test_keywords, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
