#include "common/test/test.h"

#include "common/base/err.h"
#include "services/edge/ident.h"
#include "services/edge/json.h"
#include "services/edge/params.h"

static struct arena arena;

static int set_up(void **state)
{
        (void)state;
        arena_init(&arena);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        arena_fini(&arena);
        return 0;
}

/* ---- identifiers (§1.5, §13.1.1-3) */

static void assert_ident(const char *text, const char *name)
{
        struct slice out;
        struct buf why;
        buf_init(&why, 1024);
        if (ident_parse(&arena, slice_cstr(text), &out, &why) != 0)
                fail_msg("%s: %s", text, buf_cstr(&why));
        assert_true(slice_eq(out, slice_cstr(name)));
        buf_fini(&why);
}

static void assert_no_ident(const char *text, const char *message)
{
        struct slice out;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(ident_parse(&arena, slice_cstr(text), &out, &why), ERR_FORMAT);
        assert_string_equal(buf_cstr(&why), message);
        buf_fini(&why);
}

#define SPECIAL "Invalid unquoted identifier contains special characters: "
#define ZERO    "Invalid zero-length delimited identifier"

static void test_ident(void **state)
{
        (void)state;
        assert_ident("ITEMS", "items");
        assert_ident("Ünïcode", "Ünïcode"); /* only ASCII is folded */
        assert_ident("_a1$", "_a1$");
        assert_ident("\"Items\"", "Items");
        assert_ident("\"foo\"\"bar\"", "foo\"bar");
        assert_ident("\" a.b,c\"", " a.b,c");
        assert_no_ident("", ZERO);
        assert_no_ident("\"\"", ZERO);
        assert_no_ident("\"", ZERO);
        assert_no_ident(" id ", SPECIAL " id ");
        assert_no_ident("1a", SPECIAL "1a");
        assert_no_ident("\"foo", SPECIAL "\"foo");
        assert_no_ident("foo\"bar", SPECIAL "foo\"bar");
        assert_no_ident("\"foo\"bar\"", "Invalid identifier with unescaped quote: foo\"bar");
        char longest[65] = {0};
        memset(longest, 'a', 63);
        assert_ident(longest, longest);
        longest[63] = 'a';
        assert_no_ident(longest, "Identifier is too long (max length is 63)");
}

static void assert_relation(const char *text, const char *schema, const char *table)
{
        struct slice s, t;
        struct buf why;
        buf_init(&why, 1024);
        int err = ident_parse_relation(&arena, slice_cstr(text), &s, &t, &why);
        if (schema) {
                assert_int_equal(err, 0);
                assert_true(slice_eq(s, slice_cstr(schema)) && slice_eq(t, slice_cstr(table)));
        } else {
                assert_int_equal(err, ERR_FORMAT);
                assert_string_equal(buf_cstr(&why), table);
        }
        buf_fini(&why);
}

static void test_relation(void **state)
{
        (void)state;
        assert_relation("items", "public", "items");
        assert_relation("S.T", "s", "t");
        assert_relation("\"a.b\".\"C\"", "a.b", "C");
        assert_relation("a.b.c", NULL, "Invalid relation identifier, too many delimiters: a.b.c");
        assert_relation(".x", NULL, ZERO);
        assert_relation("x.", NULL, ZERO);
        assert_relation(".", NULL, ZERO);
        assert_relation("\"\"", NULL, ZERO);
        assert_relation("\"\".x", NULL, ZERO);
        assert_relation(" items", NULL, SPECIAL " items");
}

/* ---- whole requests */

static struct value *tree(const char *query, const char *body)
{
        struct value *q, *b = NULL;
        struct buf why;
        buf_init(&why, 256);
        arena_reset(&arena);
        assert_int_equal(query_parse(&arena, slice_cstr(query), &q), 0);
        if (body)
                assert_int_equal(json_parse(&arena, slice_cstr(body), &b, &why), 0);
        params_merge(&arena, q, b);
        buf_fini(&why);
        return q;
}

static struct params parsed(const char *query, const char *body)
{
        struct params p;
        struct buf error;
        buf_init(&error, 4096);
        int err = params_parse(&arena, PARAMS_GET, tree(query, body), &p, &error);
        if (err != 0)
                fail_msg("%s: %s", query, buf_cstr(&error));
        buf_fini(&error);
        return p;
}

static void assert_errors(enum params_for what, const char *query, const char *body,
                          const char *errors)
{
        struct params p;
        struct buf error, expected;
        buf_init(&error, 4096);
        buf_init(&expected, 4096);
        buf_printf(&expected, "{\"message\":\"Invalid request\",\"errors\":%s}", errors);
        int err = params_parse(&arena, what, tree(query, body), &p, &error);
        if (err != ERR_INVAL)
                fail_msg("%s is accepted", query);
        assert_string_equal(buf_cstr(&error), buf_cstr(&expected));
        buf_fini(&error);
        buf_fini(&expected);
}

static void test_get(void **state)
{
        (void)state;
        struct params p = parsed("table=Items&offset=-1&handle=x&columns=id,%22Va%22&where=+a=1+"
                                 "&params[2]=b&params[1]=a&replica=full&log=changes_only&zzz=1",
                                 NULL);
        assert_int_equal(p.offset.kind, OFFSET_BEFORE_ALL);
        assert_int_equal(p.handle.len, 0); /* dropped */
        assert_true(slice_eq(p.def.table, SLICE_LIT("items")));
        assert_true(slice_eq(p.def.where, SLICE_LIT("a=1")));
        assert_int_equal(p.def.n_columns, 2);
        assert_true(slice_eq(p.def.columns[1], SLICE_LIT("Va")));
        assert_int_equal(p.def.n_params, 2);
        assert_true(slice_eq(p.def.params[0], SLICE_LIT("a")));
        assert_int_equal(p.def.replica, REPLICA_FULL);
        assert_int_equal(p.def.log, LOG_CHANGES_ONLY);
        assert_false(p.live || p.live_sse || p.is_subset || p.def.has_queryable);
        p = parsed("table=t&offset=5_2&handle=h&live=&live_sse=1&cursor=7", NULL);
        assert_true(p.live && p.live_sse);
        assert_true(slice_eq(p.handle, SLICE_LIT("h")) && slice_eq(p.cursor, SLICE_LIT("7")));
        p = parsed("table=t&offset=now&live=false&columns=&where=", NULL);
        assert_false(p.live || p.def.has_columns);
        p = parsed("table=t&offset=0_0&handle=h&live=true&experimental_live_sse=true", NULL);
        assert_true(p.live_sse);
}

/* Checklist B; the first stage that fails is the only one told. */
static void test_stages(void **state)
{
        (void)state;
        static const struct {
                const char *query, *errors;
        } rows[] = {
                {"", "{\"offset\":[\"can't be blank\"]}"},
                {"table=t&replica=x",
                 "{\"offset\":[\"can't be blank\"],\"replica\":[\"is invalid\"]}"},
                {"offset=invalid", "{\"offset\":[\"has invalid format\"]}"},
                {"offset=10", "{\"offset\":[\"has invalid format\"]}"},
                {"offset=1_2_3", "{\"offset\":[\"has invalid format\"]}"},
                {"offset=0_-1", "{\"offset\":[\"has invalid format\"]}"},
                {"offset=-1", "{\"table\":[\"can't be blank\"]}"},
                {"offset=0_0&table=t", "{\"handle\":[\"can't be blank when offset != -1\"]}"},
                {"offset=-1&live=true", "{\"live\":[\"can't be true when offset == -1\"]}"},
                {"offset=now&live=true", "{\"live\":[\"can't be true when offset is 'now'\"]}"},
                {"offset=-1&live_sse=true&table=t",
                 "{\"live_sse\":[\"can't be true unless live is also true\"]}"},
                {"offset=-1&table=t&log=banana&experimental_compaction=maybe",
                 "{\"experimental_compaction\":[\"is invalid\"],\"log\":[\"is invalid\"]}"},
                {"offset=-1&table=.x", "{\"table\":[\"" ZERO "\"]}"},
                {"offset=-1&table=a.b.c&columns=1",
                 "{\"table\":[\"Invalid relation identifier, too many delimiters: a.b.c\"]}"},
                {"offset=-1&table=t&columns=id,,value", "{\"columns\":[\"" ZERO "\"]}"},
                {"offset=-1&table=t&columns=id,", "{\"columns\":[\"" ZERO "\"]}"},
                {"offset=-1&table=t&columns=,", "{\"columns\":[\"" ZERO "\"]}"},
                {"offset=-1&table=t&columns=%20id%20,%20value%20&params[a]=1",
                 "{\"columns\":[\"" SPECIAL " id \"]}"},
                {"offset=-1&table=t&columns=id,%22va%22lue%22",
                 "{\"columns\":[\"" SPECIAL "id,\\\"va\\\"lue\\\"\"]}"},
                {"offset=-1&table=t&params[a]=1",
                 "{\"params\":[\"Parameters can only use numbers as keys\"]}"},
                {"offset=-1&table=t&params[1]=x&params[3]=y",
                 "{\"params\":[\"Parameters must be numbered sequentially, starting from 1\"]}"},
                {"offset=-1&table=t&params=x", "{\"params\":[\"is invalid\"]}"},
                {"offset=-1&table=t&params[]=x", "{\"params\":[\"is invalid\"]}"},
                {"offset=-1&table[a]=t", "{\"table\":[\"is invalid\"]}"},
                {"offset=-1&table=t&where=a%00b", "{\"where\":[\"is invalid\"]}"},
                {"offset=-1&table=t&params[1]=a%00b", "{\"params\":[\"is invalid\"]}"},
                {"offset=-1&table=t&subset__limit=0&subset__order_by=id",
                 "{\"subset\":{\"limit\":[\"must be greater than 0\"]}}"},
                {"offset=-1&table=t&subset__limit=x&subset__offset=-5",
                 "{\"subset\":{\"limit\":[\"is invalid\"],\"offset\":[\"must be greater than or "
                 "equal to 0\"],\"order_by\":[\"order_by is required when limit or offset is "
                 "present\"]}}"},
                {"offset=-1&table=t&subset__params=x",
                 "{\"subset\":{\"params\":[\"params must be valid JSON\"]}}"},
                {"offset=-1&table=t&subset__params=[1]",
                 "{\"subset\":{\"params\":[\"params must be a JSON object\"]}}"},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                assert_errors(PARAMS_GET, rows[i].query, NULL, rows[i].errors);
}

static void test_delete(void **state)
{
        (void)state;
        struct params p;
        struct buf error;
        buf_init(&error, 1024);
        assert_errors(PARAMS_DELETE, "", NULL,
                      "{\"handle\":[\"can't be blank when shape definition is missing\"]}");
        assert_errors(PARAMS_DELETE, "table=t&live=banana", NULL, "{\"live\":[\"is invalid\"]}");
        assert_int_equal(params_parse(&arena, PARAMS_DELETE, tree("handle=1-2", NULL), &p, &error),
                         0);
        assert_false(p.has_table);
        assert_true(slice_eq(p.handle, SLICE_LIT("1-2")));
        assert_int_equal(params_parse(&arena, PARAMS_DELETE, tree("table=t", NULL), &p, &error), 0);
        assert_true(p.has_table);
        buf_fini(&error);
}

/* §1.6.4 */
static void test_bodies(void **state)
{
        (void)state;
        struct params p = parsed("table=t&offset=-1&where=x",
                                 "{\"where\":\"id = $1\",\"params\":{\"1\":5},\"columns\":\"id\"}");
        assert_true(p.is_subset);
        assert_true(slice_eq(p.def.where, SLICE_LIT("x")));
        assert_true(slice_eq(p.subset.where, SLICE_LIT("id = $1")));
        assert_true(slice_eq(p.subset.params[0], SLICE_LIT("5")));
        assert_int_equal(p.def.n_columns, 1);
        p = parsed("table=t&offset=-1&subset__limit=9&subset__order_by=id",
                   "{\"subset\":{\"limit\":3},\"where\":\"shape\"}");
        assert_int_equal(p.subset.limit, 3);
        assert_true(slice_eq(p.subset.order_by, SLICE_LIT("id")));
        assert_true(slice_eq(p.def.where, SLICE_LIT("shape")));
        p = parsed("offset=-1", "{\"table\":\"t\",\"live\":false}");
        assert_false(p.is_subset || p.live);
        assert_errors(PARAMS_GET, "table=t&offset=-1", "{\"params\":[1]}",
                      "{\"subset\":{\"params\":[\"is invalid\"]}}");
        assert_errors(PARAMS_GET, "offset=-1", "{\"table\":5}", "{\"table\":[\"is invalid\"]}");
        p = parsed("table=t&offset=-1&subset=x", NULL);
        assert_false(p.is_subset);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ident),  cmocka_unit_test(test_relation),
                cmocka_unit_test(test_get),    cmocka_unit_test(test_stages),
                cmocka_unit_test(test_delete), cmocka_unit_test(test_bodies),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
