/* What a subset is refused for, in the words of protocol §4.2; its statement; which log entries it
 * covers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/wr.h"
#include "services/router/sample_table.h"
#include "services/router/subset_cover.h"
#include "services/router/subset_order.h"
#include "services/router/subset_query.h"

enum { TEXT_MAX = 1 << 20 };

static const struct sample_column columns[] = {
        {"id", "int4", -1, 0, 1, true, false},
        {"title", "text", -1, 0, 0, false, false},
        {"we\"ird", "int4", -1, 0, 0, false, false},
        {"Case", "int4", -1, 0, 0, false, false},
};
enum { N_COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static int setup(void **state)
{
        static const uint32_t oids[] = {23, 25, 23, 23};
        struct table *t = sample_table("public", "items", columns, N_COLUMNS);
        for (uint32_t i = 0; i < N_COLUMNS; i++)
                t->columns[i].type_oid = oids[i];
        *state = t;
        return 0;
}

static int teardown(void **state)
{
        table_free(*state);
        return 0;
}

/* ---- order by */

static void check_order(const struct table *t, const bool *usable, const char *text,
                        const char *sql, const char *message)
{
        struct buf out, why;
        buf_init(&out, TEXT_MAX);
        buf_init(&why, TEXT_MAX);
        int err = subset_order(slice_cstr(text), t, usable, &out, &why);
        if (sql) {
                assert_string_equal(buf_cstr(&why), "");
                assert_int_equal(err, 0);
                assert_string_equal(buf_cstr(&out), sql);
        } else {
                assert_int_equal(err, ERR_INVAL);
                if (!strstr(buf_cstr(&why), message))
                        fail_msg("%s: %s", text, buf_cstr(&why));
        }
        buf_fini(&out);
        buf_fini(&why);
}

static void orders(void **state)
{
        static const struct {
                const char *text, *sql;
        } good[] = {
                {"id", "\"id\" ASC"},
                {"ID desc", "\"id\" DESC"},
                {"id ASC NULLS FIRST, title DESC NULLS LAST",
                 "\"id\" ASC NULLS FIRST, \"title\" DESC NULLS LAST"},
                {"\"we\"\"ird\", \"Case\" nulls last",
                 "\"we\"\"ird\" ASC, \"Case\" ASC NULLS LAST"},
                {"id using >", "\"id\" DESC"},
                {"1", ""},
                {"1, id", "\"id\" ASC"},
                {"id limit 1", "\"id\" ASC"},
                {"id;", "\"id\" ASC"},
        };
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                check_order(*state, NULL, good[i].text, good[i].sql, NULL);
}

static void refused_orders(void **state)
{
        static const struct {
                const char *text, *message;
        } bad[] = {
                {"nope", "At location 0: unknown reference nope"},
                {"id, items.id", "At location 4: unknown reference items.id"},
                {"Case", "syntax error"},
                {"lower(title)",
                 "At location 0: function calls are not allowed in ORDER BY clauses"},
                {"id, title::text", "are not allowed in ORDER BY clauses"},
                {"case when id = 1 then 1 end", "are not allowed in ORDER BY clauses"},
                {"(select 1)", "are not allowed in ORDER BY clauses"},
                {"id + 1", "are not allowed in ORDER BY clauses"},
                {"'x'", "constants are not allowed in ORDER BY clauses"},
                {"title collate \"C\"", "are not allowed in ORDER BY clauses"},
                {"$1", "parameter $1 is not supported in ORDER BY clauses"},
                {"id; drop table items", "Unexpected `;` in order by"},
                {"id for update", "malformed query"},
                {"id union select 1", "syntax error"},
                {"id desc asc", "syntax error"},
                {"id using =", "not allowed in ORDER BY clauses"},
                {"", "syntax error"},
                {"\xff", "invalid byte sequence"},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                check_order(*state, NULL, bad[i].text, NULL, bad[i].message);
        bool usable[N_COLUMNS] = {true};
        check_order(*state, usable, "id", "\"id\" ASC", NULL);
        check_order(*state, usable, "title", NULL, "unknown reference title");
}

static void large_orders(void **state)
{
        struct buf text;
        buf_init(&text, 4 * SUBSET_ORDER_MAX_BYTES);
        for (int i = 0; i < 30000; i++)
                buf_putc(&text, '(');
        check_order(*state, NULL, buf_cstr(&text), NULL, "");
        buf_reset(&text);
        buf_puts(&text, "id");
        while (text.len <= SUBSET_ORDER_MAX_BYTES)
                buf_puts(&text, ", id");
        check_order(*state, NULL, buf_cstr(&text), NULL, "bigger than maximum size");
        buf_fini(&text);
}

/* ---- the statement */

struct sample {
        struct definition shape;
        const char *where, *order_by, *params[3];
        uint64_t limit, skip;
};

static void encode(const struct sample *s, struct buf *definition, struct buf *params,
                   struct msg_subset *m)
{
        buf_init(definition, TEXT_MAX);
        buf_init(params, TEXT_MAX);
        definition_encode(definition, &s->shape);
        for (int i = 0; i < 3 && s->params[i]; i++)
                wr_str(params, slice_cstr(s->params[i]));
        *m = (struct msg_subset){.definition = buf_slice(definition),
                                 .where = slice_cstr(s->where ? s->where : ""),
                                 .order_by = slice_cstr(s->order_by ? s->order_by : ""),
                                 .params = buf_slice(params),
                                 .has_limit = s->limit > 0,
                                 .limit = s->limit,
                                 .skip = s->skip};
}

static void check_query(const struct table *t, const struct sample *s, int expected,
                        const char *text)
{
        struct buf definition, params, sql, body;
        struct msg_subset m;
        struct subset_query q;
        const uint32_t selected[] = {0, 1};
        struct projection *p = projection_new(t, selected, 2, REPLICA_DEFAULT);
        encode(s, &definition, &params, &m);
        buf_init(&sql, TEXT_MAX);
        buf_init(&body, TEXT_MAX);
        assert_int_equal(subset_query_read(&q, &m), 0);
        assert_int_equal(subset_query_sql(&q, &q.request, p, &sql, &body), expected);
        assert_string_equal(buf_cstr(expected ? &body : &sql), text);
        subset_query_fini(&q);
        projection_free(p);
        buf_fini(&definition);
        buf_fini(&params);
        buf_fini(&sql);
        buf_fini(&body);
}

#define SELECT  "SELECT \"id\", \"title\" FROM ONLY \"public\".\"items\""
#define REFUSED "{\"message\":\"Invalid request\",\"errors\":{\"subset\":{"

static struct definition items(void)
{
        return (struct definition){
                .schema = SLICE_LIT("public"), .table = SLICE_LIT("items"), .where = SLICE_LIT("")};
}

static void statements(void **state)
{
        struct sample s = {.shape = items()};
        check_query(*state, &s, 0, SELECT);
        s.order_by = "id DESC";
        s.limit = 10;
        s.skip = 5;
        check_query(*state, &s, 0, SELECT " ORDER BY \"id\" DESC LIMIT 10 OFFSET 5");
        s.order_by = "1";
        check_query(*state, &s, 0, SELECT " LIMIT 10 OFFSET 5");
}

/* The base and the subset's clause are each in parentheses, with parameters of their own. */
static void both_clauses(void **state)
{
        struct slice base_params[] = {SLICE_LIT("7")};
        struct sample s = {.shape = items(), .where = "title = $1 OR id = 3", .params = {"x'y"}};
        s.shape.where = SLICE_LIT("id = $1 OR title = 'a'");
        s.shape.params = base_params;
        s.shape.n_params = 1;
        struct buf definition, params, sql, body;
        struct msg_subset m;
        struct subset_query q;
        const uint32_t selected[] = {0, 1};
        struct projection *p = projection_new(*state, selected, 2, REPLICA_DEFAULT);
        encode(&s, &definition, &params, &m);
        buf_init(&sql, TEXT_MAX);
        buf_init(&body, TEXT_MAX);
        assert_int_equal(subset_query_read(&q, &m), 0);
        assert_int_equal(subset_query_sql(&q, &q.request, p, &sql, &body), 0);
        const char *text = buf_cstr(&sql);
        const char *first = strstr(text, " WHERE ("), *second = strstr(text, ") AND (");
        assert_non_null(first);
        assert_non_null(second);
        assert_true(first < second);
        assert_non_null(strstr(second, "x''y"));
        assert_non_null(strstr(first, "7"));
        assert_null(strchr(text, '$'));
        subset_query_fini(&q);
        projection_free(p);
        buf_fini(&definition);
        buf_fini(&params);
        buf_fini(&sql);
        buf_fini(&body);
}

static void refused_queries(void **state)
{
        struct slice usable[] = {SLICE_LIT("id")};
        struct sample s = {.shape = items(), .where = "id = 'x'"};
        check_query(*state, &s, ERR_INVAL,
                    REFUSED "\"where\":[\"At location 5: invalid syntax for type int4: x\"]}}}");
        s.where = "title = 'a'";
        s.order_by = "nope";
        check_query(*state, &s, ERR_INVAL,
                    REFUSED "\"order_by\":[\"At location 0: unknown reference nope\"]}}}");
        s.order_by = NULL;
        s.shape.has_queryable = true;
        s.shape.queryable = usable;
        s.shape.n_queryable = 1;
        check_query(*state, &s, ERR_INVAL,
                    REFUSED "\"where\":[\"At location 0: unknown reference title\"]}}}");
        s.where = "id IN (SELECT id FROM items)";
        check_query(*state, &s, ERR_INVAL,
                    REFUSED "\"where\":[\"Subqueries are not allowed in subsets\"]}}}");
}

static void malformed_messages(void **state)
{
        (void)state;
        struct sample s = {.shape = items()};
        struct buf definition, params;
        struct msg_subset m, bad;
        struct subset_query q;
        encode(&s, &definition, &params, &m);
        bad = m;
        bad.definition.len--;
        assert_int_not_equal(subset_query_read(&q, &bad), 0);
        bad = m;
        bad.params = SLICE_LIT("\xd9\xff");
        assert_int_not_equal(subset_query_read(&q, &bad), 0);
        bad = m;
        bad.skip = UINT64_MAX;
        assert_int_not_equal(subset_query_read(&q, &bad), 0);
        buf_fini(&definition);
        buf_fini(&params);
}

/* ---- covering */

static void covering(void **state)
{
        (void)state;
        const struct slice rows = SLICE_LIT("{\"key\":\"a\\\"}{\",\"value\":{\"x\":\"}{\\\\\"},"
                                            "\"headers\":{}},{\"key\":\"b\",\"value\":{}}");
        assert_true(subset_covers(rows, SLICE_EMPTY));
        assert_true(subset_covers(rows, SLICE_LIT("{\"key\":\"b\",\"headers\":{\"x\":[1]}}")));
        assert_true(subset_covers(
                rows,
                SLICE_LIT("{\"key\":\"b\"},{\"key\":\"a\\\"}{\",\"value\":{\"y\":\"]},{\"}}")));
        assert_false(subset_covers(rows, SLICE_LIT("{\"key\":\"b\"},{\"key\":\"c\"}")));
        assert_false(subset_covers(rows, SLICE_LIT("{\"headers\":{\"event\":\"move-in\"}}")));
        assert_false(subset_covers(SLICE_EMPTY, SLICE_LIT("{\"key\":\"b\"}")));
        assert_false(subset_covers(rows, SLICE_LIT("{\"key\":\"b\"},{\"key\":\"b")));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(orders, setup, teardown),
                cmocka_unit_test_setup_teardown(refused_orders, setup, teardown),
                cmocka_unit_test_setup_teardown(large_orders, setup, teardown),
                cmocka_unit_test_setup_teardown(statements, setup, teardown),
                cmocka_unit_test_setup_teardown(both_clauses, setup, teardown),
                cmocka_unit_test_setup_teardown(refused_queries, setup, teardown),
                cmocka_unit_test(malformed_messages),
                cmocka_unit_test(covering),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
