/* What a clause is refused for, in the words of protocol §5.7 and §13.1; its SQL, its equalities.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/where.h"
#include "services/router/zone.h"

enum { WHY_MAX = 1 << 20 };

static const struct {
        const char *name, *type;
        uint32_t oid;
        int32_t dims;
} columns[] = {
        {"id", "int4", 23, 0},          {"title", "text", 25, 0},    {"done", "bool", 16, 0},
        {"score", "float8", 701, 0},    {"n", "numeric", 1700, 0},   {"tags", "text", 1009, 1},
        {"v", "varchar", 1043, 0},      {"c", "bpchar", 1042, 0},    {"nm", "name", 19, 0},
        {"key", "uuid", 2950, 0},       {"big", "int8", 20, 0},      {"spot", "point", 600, 0},
        {"we\"ird", "int4", 23, 0},     {"small", "int2", 21, 0},    {"mood", "mood", 99999, 0},
        {"other", "state", 99998, 0},   {"data", "jsonb", 3802, 0},  {"raw", "bytea", 17, 0},
        {"at", "timestamptz", 1184, 0}, {"moods", "mood", 99997, 1},
};
enum { N_COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static struct table *sample(void)
{
        struct table *t = table_new(N_COLUMNS, 0);
        t->oid = 16400;
        t->kind = 'r';
        t->schema = slice_dup(SLICE_LIT("public"));
        t->name = slice_dup(SLICE_LIT("items"));
        for (uint32_t i = 0; i < N_COLUMNS; i++) {
                t->columns[i].name = slice_dup(slice_cstr(columns[i].name));
                t->columns[i].type_name = slice_dup(slice_cstr(columns[i].type));
                t->columns[i].type_oid = columns[i].oid;
                t->columns[i].dims = columns[i].dims;
                if (columns[i].oid < 99997)
                        continue;
                bool is_mood = strcmp(columns[i].type, "mood") == 0;
                t->columns[i].enum_oid = is_mood ? 99999 : 99998;
                t->columns[i].enum_name =
                        slice_dup(is_mood ? SLICE_LIT("\"public\".\"mood\"")
                                          : SLICE_LIT("\"my \"\"own\"\"\".\"state\""));
                if (is_mood)
                        t->columns[i].labels = slice_dup(SLICE_LIT("{sad,ok,\"so so\"}"));
        }
        return t;
}

static int setup(void **state)
{
        *state = sample();
        return 0;
}

static int teardown(void **state)
{
        table_free(*state);
        return 0;
}

static struct where *compile(const struct table *t, const char *text, const struct slice *params,
                             uint32_t n)
{
        struct where *w = NULL;
        struct buf why;
        buf_init(&why, WHY_MAX);
        int rc = where_compile(slice_cstr(text), t, NULL, params, n, &w, &why);
        if (rc)
                fail_msg("%s: %s", text, buf_cstr(&why));
        buf_fini(&why);
        return w;
}

static void refused(const struct table *t, const char *text, const struct slice *params, uint32_t n,
                    const char *expected)
{
        struct where *w = NULL;
        struct buf why;
        buf_init(&why, WHY_MAX);
        int rc = where_compile(slice_cstr(text), t, NULL, params, n, &w, &why);
        if (rc != ERR_INVAL)
                fail_msg("%s: %d instead of '%s'", text, rc, expected);
        if (strcmp(buf_cstr(&why), expected) != 0)
                fail_msg("%s:\n  %s\ninstead of\n  %s", text, buf_cstr(&why), expected);
        assert_null(w);
        buf_fini(&why);
}

static void test_refusals(void **state)
{
        static const struct {
                const char *text, *why;
        } cases[] = {
                {"1 x 1", "At location 17: syntax error at or near \"x\""},
                {"id = 1 = true", "At location 22: syntax error at or near \"=\""},
                {"title = 'ü' x 1", "At location 27: syntax error at or near \"x\""},
                {"id =", "At location 19: syntax error at end of input"},
                {"id", "WHERE clause must return a boolean"},
                {"foo = 1", "At location 0: unknown reference foo"},
                {"public.items.id = 1", "At location 0: unknown reference public.items.id"},
                {"id = 'test'", "At location 5: invalid syntax for type int4: test"},
                {"id = '1'::int4x", "At location 10: unsupported type int4x"},
                {"title = 1", "At location 6: Could not select an operator overload"},
                {"title ~ 'a'", "At location 6: unknown binary operator \"~\""},
                {"id == 1", "At location 3: unknown binary operator \"==\""},
                {"id AND done", "At location 0: reference id of type int4 is not castable to bool"},
                {"NOT id", "At location 4: reference id of type int4 is not castable to bool"},
                {"id = 'abc'::int4",
                 "At location 5: could not cast value \"abc\" from text to int4"},
                {"done::uuid IS NULL", "At location 4: unknown cast from type bool to type uuid"},
                {"id = now()", "At location 5: unknown or unsupported function now/0"},
                {"id = count(*)", "At location 5: aggregation is not supported in this context"},
                {"CASE WHEN done THEN true END",
                 "At location 0: CaseExpr is not supported in this context"},
                {"id = 1; SELECT 1", "unescaped \";\" causing statement split"},
                {"id = 1 ORDER BY id", "malformed query ending with SQL clauses"},
                {"id = 1 UNION SELECT 1", "malformed query ending with SQL clauses"},
                {"id = 1 GROUP BY id", "malformed query ending with SQL clauses"},
                {"id = 1) OR (1 = 1", "At location 21: syntax error at or near \")\""},
                {"id = $1", "At location 5: parameter $1 was not provided"},
                {"id = B'1'", "At location 5: BitString values are not supported"},
                {"id IN (SELECT 1)", "At location 3: Subqueries are not supported yet"},
                {"(id, n) = (1, 1)", "At location 0: RowExpr is not supported in this context"},
                {"spot = '(1,1)'", "At location 5: Could not select an operator overload"},
                {"nm = 'abc'", "At location 5: invalid syntax for type char[]: abc"},
                {"done = 'yes'", "At location 7: invalid syntax for type bool: yes"},
                {"lower(id) = 'a'",
                 "At location 0: Could not select a function overload for lower(int4)"},
                {"coalesce(id, title) = 'a'",
                 "At location 0: Could not select a function overload for coalesce(int4, text)"},
                {"1 / 0 = id", "At location 2: division by zero"},
                {"mood = 'bad'", "At location 7: invalid syntax for type enum mood: bad"},
                {"mood IN ('sad', 'bad')",
                 "At location 16: invalid syntax for type enum mood: bad"},
                {"mood = ANY('{ok,bad}')",
                 "At location 11: invalid syntax for type enum mood: bad"},
                {"mood < 'sad'", "At location 5: Could not select an operator overload"},
                {"mood = 1", "At location 5: Could not select an operator overload"},
                {"mood = title", "At location 5: Could not select an operator overload"},
                {"mood = other", "At location 5: Could not select an operator overload"},
                {"mood = 'sad'::moods", "At location 14: unsupported type moods"},
                {"mood = 'sad'::my.mood", "At location 14: unsupported type mood"},
                {"mood = 'bad'::mood",
                 "At location 7: could not cast value \"bad\" from text to mood"},
                {"mood = title::mood", "At location 12: unknown cast from type text to type enum"},
                {"mood = ANY('{sad}'::text[])",
                 "At location 5: Could not select an operator overload"},
                {"mood = 'x'::state", "At location 5: Could not select an operator overload"},
                {"moods = '{sad,bad}'", "At location 8: invalid syntax for type enum mood: bad"},
                {"moods < '{sad}'", "At location 6: Could not select an operator overload"},
                {"other = ANY(moods)", "At location 6: Could not select an operator overload"},
                {"moods || other = '{}'", "At location 6: Could not select an operator overload"},
                {"moods = ARRAY[mood, other]",
                 "At location 8: ARRAY of these elements is not supported"},
                {"moods = '{}'::text::mood[]",
                 "At location 18: unknown cast from type text to type enum[]"},
                {"greatest(mood, 'ok') = 'ok'",
                 "At location 0: Could not select a function overload for greatest(enum, unknown)"},
                {"n = 1::numeric(2000)", "At location 7: unsupported modifier of type numeric"},
                {"n = 1::int4(3)", "At location 7: unsupported modifier of type int4"},
                {"title SIMILAR TO 'a'",
                 "At location 6: unknown or unsupported function similar_to_escape/1"},
                {"title LIKE 'a' ESCAPE 'bc'", "At location 6: invalid escape string"},
                {"tags || id = tags", "At location 5: Could not select an operator overload"},
                {"id || id = 'x'", "At location 3: Could not select an operator overload"},
                {"array_append('{1}', 2) = '{1}'",
                 "At location 0: Could not select a function overload for array_append(unknown, "
                 "int4)"},
                {"array_ndims(id) = 1",
                 "At location 0: Could not select a function overload for array_ndims(int4)"},
                {"data > '{}'",
                 "At location 5: operator jsonb > jsonb is not supported in this context"},
                {"data -> 'a' = '1'", "At location 5: unknown binary operator \"->\""},
                {"data = '{'", "At location 7: invalid syntax for type jsonb: {"},
                {"raw = E'\\\\x0'", "At location 6: invalid syntax for type bytea: \\x0"},
                {"at AT TIME ZONE 'europe/berlin' = at",
                 "At location 16: time zone \"europe/berlin\" is not UTC, not an offset, and not "
                 "in "
                 "the time zone database (in which upper and lower case differ)"},
                {"at AT TIME ZONE 'right/Europe/Berlin' = at",
                 "At location 16: the rules of time zone \"right/Europe/Berlin\" cannot be read"},
                {"at AT TIME ZONE title = at", "At location 16: a time zone must be a constant"},
                {"title = '\xff'", "invalid byte sequence for encoding \"UTF8\""},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                refused(*state, cases[i].text, NULL, 0, cases[i].why);
}

static void test_params(void **state)
{
        const struct slice one = SLICE_LIT("1"), yes = SLICE_LIT("true"), list = SLICE_LIT("{1,2}"),
                           abc = SLICE_LIT("abc");
        const struct slice both[] = {SLICE_LIT("a"), SLICE_LIT("a")};
        refused(*state, "id = $1", &abc, 1, "At location 5: invalid syntax for type int4: abc");
        refused(*state, "id = $1 AND title = $1", &one, 1,
                "At location 18: Could not select an operator overload");
        refused(*state, "id = $1 AND title = $2", &one, 1,
                "At location 20: parameter $2 was not provided");
        where_free(compile(*state, "id = $1 OR big = $1", &one, 1));
        where_free(compile(*state, "$1 = $2", both, 2));
        where_free(compile(*state, "title = $1::text", &one, 1));
        where_free(compile(*state, "$1", &yes, 1));
        where_free(compile(*state, "id = ANY($1)", &list, 1));
}

static void test_blank(void **state)
{
        struct where *w = NULL;
        struct buf why;
        buf_init(&why, WHY_MAX);
        assert_int_equal(where_compile(SLICE_LIT(" \t\n"), *state, NULL, NULL, 0, &w, &why),
                         ERR_NOTFOUND);
        buf_fini(&why);
}

static void test_usable_columns(void **state)
{
        bool usable[N_COLUMNS] = {true};
        struct where *w = NULL;
        struct buf why;
        buf_init(&why, WHY_MAX);
        assert_int_equal(where_compile(SLICE_LIT("id = 1"), *state, usable, NULL, 0, &w, &why), 0);
        assert_true(where_uses(w, 0));
        assert_false(where_uses(w, 1));
        where_free(w);
        assert_int_equal(where_compile(SLICE_LIT("done"), *state, usable, NULL, 0, &w, &why),
                         ERR_INVAL);
        assert_string_equal(buf_cstr(&why), "At location 0: unknown reference done");
        buf_fini(&why);
}

static void expect_sql(const struct table *t, const char *text, const char *expected)
{
        struct where *w = compile(t, text, NULL, 0);
        struct buf sql;
        buf_init(&sql, WHY_MAX);
        where_sql(w, &sql);
        assert_string_equal(buf_cstr(&sql), expected);
        buf_fini(&sql);
        where_free(w);
}

#define MOOD "::\"public\".\"mood\""

static void test_enum_sql(void **state)
{
        expect_sql(*state, "mood = 'sad'", "(\"mood\" = 'sad'" MOOD ")");
        expect_sql(*state, "'sad'::mood = mood", "('sad'" MOOD " = \"mood\")");
        expect_sql(*state, "mood = CAST('ok' AS public.mood)", "(\"mood\" = 'ok'" MOOD ")");
        expect_sql(*state, "mood NOT IN ('so so', NULL)",
                   "(\"mood\" NOT IN ('so so'" MOOD ", NULL" MOOD "))");
        expect_sql(*state, "mood <> ANY('{ok,NULL}')", "(\"mood\" <> ANY ('{ok,NULL}'" MOOD "[]))");
        expect_sql(*state, "other = 'whatever'",
                   "(\"other\" = 'whatever'::\"my \"\"own\"\"\".\"state\")");
        expect_sql(*state, "other = 'x'::\"my \"\"own\"\"\".state",
                   "(\"other\" = 'x'::\"my \"\"own\"\"\".\"state\")");
        expect_sql(*state, "'ok' = ANY(moods)", "('ok'" MOOD " = ANY (\"moods\"))");
        expect_sql(*state, "mood = ANY(moods)", "(\"mood\" = ANY (\"moods\"))");
        expect_sql(*state, "moods @> ARRAY[mood]", "(\"moods\" @> ARRAY[\"mood\"]" MOOD "[])");
        expect_sql(*state, "moods && '{ok}'", "(\"moods\" && '{ok}'" MOOD "[])");
        expect_sql(*state, "moods || mood = ARRAY[]::mood[]",
                   "((\"moods\" || \"mood\") = '{}'" MOOD "[])");
        expect_sql(*state, "moods[1] = 'ok'", "((\"moods\")['1'::int4] = 'ok'" MOOD ")");
        expect_sql(*state, "coalesce(mood, 'ok') = 'sad'",
                   "(coalesce(\"mood\", 'ok'" MOOD ") = 'sad'" MOOD ")");
        expect_sql(*state, "moods::text[] = '{x}'", "((\"moods\")::text[] = '{x}'::text[])");
}

static void test_sql(void **state)
{
        expect_sql(*state, "id = 1", "(\"id\" = '1'::int4)");
        expect_sql(*state, "  ( ID   =  1 ) LIMIT 1", "(\"id\" = '1'::int4)");
        expect_sql(*state, "\"we\"\"ird\" > -5", "(\"we\"\"ird\" > '-5'::int4)");
        expect_sql(*state, "title = 'it''s' AND NOT done",
                   "((\"title\" = 'it''s'::text) AND (NOT \"done\"))");
        expect_sql(*state, "title = E'a\\\\b'", "(\"title\" = E'a\\\\b'::text)");
        expect_sql(*state, "v = 'a'", "((\"v\")::text = 'a'::text)");
        expect_sql(*state, "id IN (2, 1, 2, NULL)",
                   "(\"id\" IN ('1'::int4, '2'::int4, NULL::int4))");
        expect_sql(*state, "n = 1.50", "(\"n\" = '1.50'::numeric)");
        expect_sql(*state, "mood::text = 'sad'", "((\"mood\")::text = 'sad'::text)");
        expect_sql(*state, "id = ANY('{2,1}')", "(\"id\" IN ('1'::int4, '2'::int4))");
        expect_sql(*state, "'a' = ANY(tags)", "('a'::text = ANY (\"tags\"))");
        expect_sql(*state, "tags @> ARRAY['a','b,c']", "(\"tags\" @> '{a,\"b,c\"}'::text[])");
        expect_sql(*state, "tags[1] LIKE 'a%'", "((\"tags\")['1'::int4] ~~ 'a%'::text)");
        expect_sql(*state, "n = '1.005'::numeric(10,2)", "(\"n\" = '1.01'::numeric)");
        expect_sql(*state, "title::varchar(3) = 'abc'",
                   "((((\"title\")::varchar)::varchar(3))::text = 'abc'::text)");
        expect_sql(*state, "title LIKE 'a_%' ESCAPE 'a'", "(\"title\" ~~ E'\\\\_%'::text)");
        expect_sql(*state, "title || id = 'a1'", "((\"title\" || (\"id\")::text) = 'a1'::text)");
        expect_sql(*state, "tags || 'x'::text = '{x}'",
                   "((\"tags\" || 'x'::text) = '{x}'::text[])");
        expect_sql(*state, "array_prepend('x', tags) = '{x}'",
                   "(array_prepend('x'::text, \"tags\") = '{x}'::text[])");
        expect_sql(*state, "tags[1:][:2] = '{}'",
                   "((\"tags\")['1'::int4:][:'2'::int4] = '{}'::text[])");
        expect_sql(*state, "tags[2:3][1] = ARRAY[['x']]",
                   "((\"tags\")['2'::int4:'3'::int4]['1'::int4:'1'::int4] = '{{x}}'::text[])");
        expect_sql(*state, "ilike(title, 'a%')", "(\"title\" ~~* 'a%'::text)");
        expect_sql(*state, "data = '{\"b\": 1.0, \"a\":[]}'",
                   "(\"data\" = '{\"a\": [], \"b\": 1.0}'::jsonb)");
        expect_sql(*state, "raw = 'hi'", "(\"raw\" = E'\\\\x6869'::bytea)");
        expect_sql(*state, "at AT TIME ZONE '+02' > '2024-01-01 00:00:00'",
                   "(timezone('+02'::text, \"at\") > '2024-01-01 00:00:00'::timestamp)");
        expect_sql(*state, "at AT TIME ZONE 'Europe/Berlin' > '2024-01-01 00:00:00'",
                   "(timezone('Europe/Berlin'::text, \"at\") > '2024-01-01 00:00:00'::timestamp)");
        expect_sql(*state, "at > '2024-07-01 00:00:00'::timestamp AT TIME ZONE 'Europe/Berlin'",
                   "(\"at\" > '2024-06-30 22:00:00+00'::timestamptz)");
        expect_sql(*state, "id BETWEEN 1 AND 2",
                   "((\"id\" >= '1'::int4) AND (\"id\" <= '2'::int4))");
}

/* A zone that only a constant needs is one, too: the SQL has what its rules made of it. */
static void test_zones(void **state)
{
        static const struct {
                const char *text;
                uint32_t n;
                bool settles;
        } cases[] = {
                {"at AT TIME ZONE 'UTC' > '2024-01-01 00:00:00'", 0, false},
                {"at AT TIME ZONE '+02' > '2024-01-01 00:00:00'::timestamptz AT TIME ZONE '-3'", 0,
                 false},
                {"at AT TIME ZONE NULL > '2024-01-01 00:00:00'", 0, false},
                {"at AT TIME ZONE 'Europe/Berlin' > '2024-01-01 00:00:00'", 1, false},
                {"at AT TIME ZONE 'Europe/Berlin' > '2024-01-01 00:00:00'"
                 " AND timezone('Europe/Berlin', at) < '2024-02-01 00:00:00'"
                 " OR timezone('Asia/Tokyo', at) IS NULL",
                 2, false},
                {"at > '2024-07-01 00:00:00'::timestamp AT TIME ZONE 'Europe/Berlin'", 1, true},
                {"id = 1 OR true OR at > '2024-07-01 00:00:00'::timestamp AT TIME ZONE "
                 "'Europe/Berlin'",
                 1, true}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct where *w = compile(*state, cases[i].text, NULL, 0);
                const struct zone_set *zones = where_zones(w);
                assert_int_equal(zones ? zones->n : 0, cases[i].n);
                assert_int_equal(where_settles_zones(w), cases[i].settles);
                where_free(w);
        }
}

static void test_many_zones(void **state)
{
        struct buf clause, why;
        struct where *w;
        buf_init(&clause, 4096);
        buf_init(&why, 4096);
        for (int i = 1; i <= ZONE_SET_MAX + 1; i++)
                buf_printf(&clause, "%stimezone('Etc/GMT+%d', at) IS NULL", i > 1 ? " OR " : "", i);
        assert_int_equal(where_compile(buf_slice(&clause), *state, NULL, NULL, 0, &w, &why),
                         ERR_INVAL);
        assert_non_null(
                strstr(buf_cstr(&why), "too many time zones, the last one is \"Etc/GMT+9\""));
        buf_fini(&clause);
        buf_fini(&why);
}

static void test_collation(void **state)
{
        static const struct {
                const char *text;
                bool needs;
        } cases[] = {{"title = 'a'", false},
                     {"title < 'a'", true},
                     {"nm < title", false},
                     {"title::name < v::name", true},
                     {"title::name < nm", false},
                     {"nm::text::name > 'a'::name", false},
                     {"id < 1", false},
                     {"id = 1 OR c >= 'x'", true},
                     {"v BETWEEN 'a' AND 'b'", true},
                     {"'a' < 'B'", true},
                     {"done OR greatest('a', 'B') = 'a'", true},
                     {"'a' = 'B'", false}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct where *w = compile(*state, cases[i].text, NULL, 0);
                assert_int_equal(where_needs_bytewise_collation(w), cases[i].needs);
                where_free(w);
        }
}

/* A name has the collation C: the case of its letters is ASCII's, whatever the database's is. */
static void test_case_of_names(void **state)
{
        static const struct {
                const char *text;
                bool needs;
                enum where_verdict verdict; /* nm: ÄB, title: äb */
        } cases[] = {{"lower(title) = 'äb'", true, WHERE_TRUE},
                     {"lower(nm) = 'Äb'", false, WHERE_TRUE},
                     {"upper(nm || 'ä') = 'ÄBä'", false, WHERE_TRUE},
                     {"lower(nm::text::name) = 'Äb'", false, WHERE_TRUE},
                     {"lower(title::name) = 'äb'", true, WHERE_TRUE},
                     {"upper(title::name) = 'ÄB'", true, WHERE_TRUE},
                     {"nm ILIKE 'Äb'", false, WHERE_TRUE},
                     {"nm ILIKE 'äb'", false, WHERE_FALSE},
                     {"title ILIKE nm", false, WHERE_FALSE},
                     {"title NOT ILIKE ANY(ARRAY[nm])", false, WHERE_TRUE},
                     {"lower('ÄB'::name) = 'Äb'", false, WHERE_TRUE}};
        struct change_value values[N_COLUMNS] = {
                [1] = {.kind = VALUE_TEXT}, [8] = {.kind = VALUE_TEXT}};
        values[1].text = SLICE_LIT("äb");
        values[8].text = SLICE_LIT("ÄB");
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct where *w = compile(*state, cases[i].text, NULL, 0);
                assert_int_equal(where_needs_utf8_ctype(w), cases[i].needs);
                assert_int_equal(where_eval(w, (struct row){.values = values, .n = N_COLUMNS}),
                                 cases[i].verdict);
                where_free(w);
        }
        refused(*state, "'Ä'::text::name ILIKE title", NULL, 0,
                "At location 17: Could not select an operator overload");
        refused(*state, "title ILIKE 'Ä'::name", NULL, 0,
                "At location 6: Could not select an operator overload");
}

static void test_equalities(void **state)
{
        const struct where_equality *e;
        struct where *w = compile(
                *state, "title = 'a' AND (5 = id AND n = 1) AND NOT done AND small IN (3, 1)", NULL,
                0);
        assert_int_equal(where_equalities(w, &e), 4);
        assert_int_equal(e[0].column, 1);
        assert_true(slice_eq(e[0].texts[0], SLICE_LIT("a")));
        assert_int_equal(e[1].column, 0);
        assert_true(slice_eq(e[1].texts[0], SLICE_LIT("5")));
        assert_int_equal(e[2].column, 2);
        assert_true(slice_eq(e[2].texts[0], SLICE_LIT("f")));
        assert_int_equal(e[3].n, 2);
        assert_true(slice_eq(e[3].texts[1], SLICE_LIT("3")));
        where_free(w);
        w = compile(*state, "title = 'a' OR id = 1", NULL, 0);
        assert_int_equal(where_equalities(w, &e), 0);
        where_free(w);
}

/* Whatever is nested, however deeply: an error, or an answer, and no overflow of any stack. */
static void test_depth(void **state)
{
        static const struct {
                const char *head, *unit, *tail;
        } shapes[] = {{"", "(", ""},
                      {"", "(", "id=1"},
                      {"1=", "1+", "1"},
                      {"", "NOT ", "done"},
                      {"", "+ ", "1"},
                      {"id=1", " OR id=1", ""},
                      {"id", "::int4", "=1"},
                      {"id", "[1]", ""},
                      {"done", " IS TRUE", ""},
                      {"done", " BETWEEN SYMMETRIC done AND done", ""}};
        static const size_t counts[] = {100, 1000, 20000, 65000};
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
                for (size_t k = 0; k < 4; k++) {
                        struct buf text, why;
                        struct where *w = NULL;
                        buf_init(&text, 1 << 22);
                        buf_init(&why, WHY_MAX);
                        buf_puts(&text, shapes[i].head);
                        for (size_t n = 0; n < counts[k]; n++)
                                buf_puts(&text, shapes[i].unit);
                        buf_puts(&text, shapes[i].tail);
                        int rc = where_compile(buf_slice(&text), *state, NULL, NULL, 0, &w, &why);
                        if (rc == 0)
                                where_free(w);
                        else
                                assert_int_equal(rc, ERR_INVAL);
                        assert_true(rc == 0 || why.len > 0);
                        buf_fini(&text);
                        buf_fini(&why);
                }
        }
}

static void test_long_lists(void **state)
{
        struct buf text;
        struct change_value values[N_COLUMNS] = {0};
        struct row row = {.values = values, .n = N_COLUMNS};
        buf_init(&text, WHERE_MAX_BYTES);
        buf_puts(&text, "id IN (0");
        for (int i = 1; i < 9000; i++)
                buf_printf(&text, ",%d", i * 2);
        buf_putc(&text, ')');
        struct where *w = compile(*state, buf_cstr(&text), NULL, 0);
        values[0] = (struct change_value){.kind = VALUE_TEXT, .text = SLICE_LIT("17998")};
        assert_int_equal(where_eval(w, row), WHERE_TRUE);
        values[0].text = SLICE_LIT("17997");
        assert_int_equal(where_eval(w, row), WHERE_FALSE);
        values[0].kind = VALUE_NULL;
        assert_int_equal(where_eval(w, row), WHERE_NULL);
        where_free(w);
        buf_fini(&text);
}

static void test_bad_row(void **state)
{
        struct change_value values[N_COLUMNS] = {0};
        struct where *w = compile(*state, "id < 1", NULL, 0);
        values[0] = (struct change_value){.kind = VALUE_TEXT, .text = SLICE_LIT("x")};
        assert_int_equal(where_eval(w, (struct row){.values = values, .n = N_COLUMNS}),
                         WHERE_ERROR);
        where_free(w);
}

static double now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Printed, not judged: the machine is shared. */
static void test_cost(void **state)
{
        enum { ROUNDS = 200000 };
        static const char *const clauses[] = {
                "id = 5",  "id < 5",   "title = 'abc' AND id = 7", "id IN (1, 2, 3, 4)",
                "n > 1.5", "score < 2"};
        struct change_value values[N_COLUMNS] = {0};
        static const char *const texts[] = {"7", "abc", "t", "1.5", "12.50"};
        for (size_t i = 0; i < 5; i++)
                values[i] = (struct change_value){.kind = VALUE_TEXT, .text = slice_cstr(texts[i])};
        for (size_t k = 0; k < sizeof(clauses) / sizeof(clauses[0]); k++) {
                struct where *w = compile(*state, clauses[k], NULL, 0);
                double from = now_ns();
                unsigned sum = 0;
                for (int i = 0; i < ROUNDS; i++)
                        sum += where_eval(w, (struct row){.values = values, .n = N_COLUMNS});
                print_message("%-28s %.1f ns (%u)\n", clauses[k], (now_ns() - from) / ROUNDS, sum);
                where_free(w);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refusals),      cmocka_unit_test(test_params),
                cmocka_unit_test(test_blank),         cmocka_unit_test(test_usable_columns),
                cmocka_unit_test(test_sql),           cmocka_unit_test(test_enum_sql),
                cmocka_unit_test(test_case_of_names), cmocka_unit_test(test_zones),
                cmocka_unit_test(test_many_zones),    cmocka_unit_test(test_collation),
                cmocka_unit_test(test_equalities),    cmocka_unit_test(test_depth),
                cmocka_unit_test(test_long_lists),    cmocka_unit_test(test_bad_row),
                cmocka_unit_test(test_cost),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
