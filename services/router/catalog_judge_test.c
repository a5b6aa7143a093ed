#include "services/router/catalog.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "services/router/catalog_verdict.h"
#include "services/router/sample_table.h"

static const struct sample_column keyed[] = {
        {.name = "id", .type = "int4", .type_mod = -1, .pk = 2},
        {.name = "value", .type = "text", .type_mod = -1},
        {.name = "org", .type = "int4", .type_mod = -1, .pk = 1},
        {.name = "n", .type = "int4", .type_mod = -1},
};
static const struct sample_column bag[] = {
        {.name = "a", .type = "int4", .type_mod = -1},
        {.name = "b", .type = "int4", .type_mod = -1},
};
static const struct sample_column generated[] = {
        {.name = "id", .type = "int4", .type_mod = -1, .pk = 1},
        {.name = "g", .type = "int4", .type_mod = -1, .generated = true},
        {.name = "h", .type = "int4", .type_mod = -1, .generated = true},
};

enum { MAX_NAMES = 8 };

/* Splits "a,b"; NULL: the list was not given. */
static bool split(const char *list, struct slice *names, uint32_t *n)
{
        *n = 0;
        while (list && *list) {
                size_t len = strcspn(list, ",");
                names[(*n)++] = slice_of(list, len);
                list += len + (list[len] == ',');
        }
        return list != NULL;
}

struct judge_case {
        const char *columns, *queryable;
        const char *body;     /* NULL: accepted */
        const char *selected; /* indexes as digits */
};

#define INVALID(field, text)                                                                       \
        "{\"message\":\"Invalid request\",\"errors\":{\"" field "\":[\"" text "\"]}}"

static void check(const struct table *t, const struct judge_case *k)
{
        struct slice columns[MAX_NAMES], queryable[MAX_NAMES];
        struct definition d = {
                .schema = t->schema, .table = t->name, .columns = columns, .queryable = queryable};
        d.has_columns = split(k->columns, columns, &d.n_columns);
        d.has_queryable = split(k->queryable, queryable, &d.n_queryable);
        struct catalog_answer a;
        catalog_answer_init(&a);
        catalog_judge(&d, t, &a);
        assert_int_equal(a.status, k->body ? 400 : 0);
        if (k->body)
                assert_string_equal(buf_cstr(&a.body), k->body);
        char selected[MAX_NAMES + 1] = "";
        for (uint32_t i = 0; i < a.n_columns; i++)
                selected[i] = (char)('0' + a.columns[i]);
        assert_string_equal(selected, k->selected ? k->selected : "");
        catalog_answer_fini(&a);
}

static void check_all(const struct sample_column *columns, uint32_t n,
                      const struct judge_case *cases, size_t n_cases)
{
        struct table *t = sample_table("public", "items", columns, n);
        for (size_t i = 0; i < n_cases; i++)
                check(t, &cases[i]);
        table_free(t);
}

#define N_CASES(cases) (sizeof(cases) / sizeof(*(cases)))

static void with_key(void **state)
{
        (void)state;
        static const struct judge_case cases[] = {
                {.selected = "0123"},
                {.columns = "value,org,id", .selected = "012"},
                {.columns = "value",
                 .body = INVALID("columns",
                                 "The list of columns must include all primary key columns, "
                                 "missing: org, id")},
                {.columns = "org,nope",
                 .body = INVALID("columns",
                                 "The list of columns must include all primary key columns, "
                                 "missing: id")},
                {.columns = "id,nope,org,x",
                 .body = INVALID("columns",
                                 "The following columns are not found on the table: nope, x")},
                {.columns = "id,id,org",
                 .body = INVALID("columns",
                                 "The following columns are not found on the table: id")},
                {.columns = "",
                 .body = INVALID("columns",
                                 "The list of columns must include all primary key columns, "
                                 "missing: org, id")},
                {.queryable = "id,org", .selected = "02"},
                {.queryable = "id,org,n", .columns = "org,id", .selected = "02"},
                {.queryable = "id,org",
                 .columns = "id,org,value",
                 .body = INVALID("columns",
                                 "The following columns are not found on the table: value")},
                {.queryable = "id",
                 .body = INVALID("queryable_columns",
                                 "The list of queryable columns must include all "
                                 "primary key columns, missing: org")},
                {.queryable = "id,org,nope",
                 .body = INVALID(
                         "queryable_columns",
                         "The following queryable columns are not found on the table: nope")},
        };
        check_all(keyed, 4, cases, N_CASES(cases));
}

static void without_key(void **state)
{
        (void)state;
        static const struct judge_case cases[] = {
                {.columns = "b,a", .selected = "01"},
                {.columns = "b",
                 .body = INVALID("columns",
                                 "The list of columns must include all primary key columns, "
                                 "missing: a")},
        };
        check_all(bag, 2, cases, N_CASES(cases));
        static const struct judge_case empty[] = {
                {.selected = ""},
                {.columns = "",
                 .body = INVALID("columns", "The list of columns must not be empty")},
                {.queryable = "",
                 .body = INVALID("queryable_columns",
                                 "The list of queryable columns must not be empty")},
        };
        check_all(bag, 0, empty, N_CASES(empty));
}

static void generated_columns(void **state)
{
        (void)state;
#define TEXT "The following columns are generated and cannot be included in the shape: g"
        static const struct judge_case cases[] = {
                {.columns = "id", .selected = "0"},
                {.columns = "id,g", .body = INVALID("columns", TEXT)},
                {.body = INVALID(
                         "columns", TEXT
                         ", h. You can exclude them from the shape by explicitly listing which "
                         "columns to fetch in the 'columns' query param")},
                {.queryable = "id,g", .body = INVALID("columns", TEXT)},
        };
        check_all(generated, 3, cases, N_CASES(cases));
}

static void fixed_verdicts(void **state)
{
        (void)state;
        struct catalog_answer a;
        struct definition d = {.schema = SLICE_LIT("public"), .table = SLICE_LIT("foo\"bar")};
        catalog_answer_init(&a);
        catalog_refuse_table(&a, &d);
        assert_int_equal(a.status, 400);
        assert_string_equal(buf_cstr(&a.body),
                            INVALID("table",
                                    "Table \\\"public\\\".\\\"foo\\\\\\\"bar\\\" does not exist. "
                                    "If the table name "
                                    "contains capitals or special characters you must quote it."));
        catalog_unreachable(&a);
        assert_int_equal(a.status, 503);
        assert_int_equal(a.retry_after_s, 1);
        assert_string_equal(buf_cstr(&a.body),
                            "{\"message\":\"Cannot connect to the database to verify the shape. "
                            "Please try again later.\"}");
        catalog_answer_fini(&a);
}

/* ---- clauses */

struct clause_case {
        const char *where, *columns;
        uint8_t collation;
        const char *body; /* NULL: accepted */
};

#define ORDER_TEXT                                                                                 \
        "comparing the order of strings is only supported with the collations C, POSIX and "       \
        "C.UTF-8"

static void clauses(void **state)
{
        (void)state;
        static const struct clause_case cases[] = {
                {.where = "b > 'a' AND a = 1", .collation = COLLATION_ALL},
                {.where = "", .collation = 0},
                {.where = "1 x 1",
                 .collation = COLLATION_ALL,
                 .body = INVALID("where", "At location 17: syntax error at or near \\\"x\\\"")},
                {.where = "nope = 1",
                 .collation = COLLATION_ALL,
                 .body = INVALID("where", "At location 0: unknown reference nope")},
                {.where = "a = $1",
                 .collation = COLLATION_ALL,
                 .body = INVALID("where", "At location 4: parameter $1 was not provided")},
                {.where = "nope = 1",
                 .columns = "a,b,x",
                 .collation = COLLATION_ALL,
                 .body = INVALID("columns", "The following columns are not found on the table: x")},
                {.where = "b = 'a'", .collation = COLLATION_EQUAL_BYTES},
                {.where = "b = 'a'",
                 .collation = COLLATION_BYTEWISE,
                 .body = INVALID("where", "columns with a nondeterministic collation are not "
                                          "supported in this context")},
                {.where = "b < 'a'",
                 .collation = COLLATION_EQUAL_BYTES,
                 .body = INVALID("where", ORDER_TEXT)},
                {.where = "lower(b) = 'a'",
                 .collation = COLLATION_EQUAL_BYTES | COLLATION_BYTEWISE,
                 .body = INVALID("where",
                                 "lower, upper and ILIKE are only supported with the libc locales "
                                 "of UTF-8 that have the common rules of upper and lower case")},
                {.where = "a < 3", .collation = COLLATION_EQUAL_BYTES},
        };
        for (size_t i = 0; i < N_CASES(cases); i++) {
                const struct clause_case *k = &cases[i];
                struct table *t = sample_table("public", "items", bag, 2);
                t->columns[0].type_oid = 23;
                t->columns[1].type_oid = 25;
                t->columns[0].collation = t->columns[1].collation = k->collation;
                struct slice columns[MAX_NAMES];
                struct definition d = {.schema = t->schema,
                                       .table = t->name,
                                       .columns = columns,
                                       .where = slice_cstr(k->where)};
                d.has_columns = split(k->columns, columns, &d.n_columns);
                struct catalog_answer a;
                catalog_answer_init(&a);
                catalog_judge(&d, t, &a);
                if (k->body)
                        assert_string_equal(buf_cstr(&a.body), k->body);
                assert_int_equal(a.status, k->body ? 400 : 0);
                assert_int_equal(a.where != NULL && a.status == 0, !k->body && k->where[0]);
                catalog_answer_fini(&a);
                table_free(t);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(with_key),          cmocka_unit_test(without_key),
                cmocka_unit_test(generated_columns), cmocka_unit_test(clauses),
                cmocka_unit_test(fixed_verdicts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
