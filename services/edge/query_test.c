#include "common/test/test.h"

#include "common/base/err.h"
#include <stdio.h>

#include "services/edge/json.h"
#include "services/edge/query.h"

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

static struct value *parse(const char *text)
{
        struct value *v;
        assert_int_equal(query_parse(&arena, slice_cstr(text), &v), 0);
        return v;
}

static void assert_text(const struct value *map, const char *key, const char *text)
{
        struct value *v = value_find(map, slice_cstr(key));
        assert_non_null(v);
        assert_int_equal(v->type, VALUE_STRING);
        if (!slice_eq(v->text, slice_cstr(text)))
                fail_msg("%s is %.*s", key, SLICE_FMT(v->text));
}

static void test_pairs(void **state)
{
        (void)state;
        struct value *q = parse("a=1&b=x+y%26&&c&=d&a=2&e=f=g");
        assert_text(q, "a", "2"); /* the last wins */
        assert_text(q, "b", "x y&");
        assert_text(q, "c", "");
        assert_text(q, "", "d");
        assert_text(q, "e", "f=g");
        assert_null(value_find(q, SLICE_LIT("z")));
        assert_int_equal(parse("")->n_members, 0);
        assert_int_equal(parse("&&&")->n_members, 0);
}

static void test_nested(void **state)
{
        (void)state;
        struct value *q = parse("params[1]=a&params%5B2%5D=b&l[]=x&l[]=y&m[a][b]=z&m[a][c]=w");
        struct value *params = value_find(q, SLICE_LIT("params"));
        assert_int_equal(params->type, VALUE_MAP);
        assert_text(params, "1", "a");
        assert_text(params, "2", "b");
        struct value *list = value_find(q, SLICE_LIT("l"));
        assert_int_equal(list->type, VALUE_LIST);
        assert_int_equal(list->n_members, 2);
        struct value *m = value_find(value_find(q, SLICE_LIT("m")), SLICE_LIT("a"));
        assert_text(m, "b", "z");
        assert_text(m, "c", "w");
}

/* What does not look like brackets is a name. */
static void test_odd_brackets(void **state)
{
        (void)state;
        struct value *q = parse("a[b=1&[c]=2&d]=3&e[f]g=4&p=5&p[1]=6");
        assert_text(q, "a[b", "1");
        assert_text(q, "[c]", "2");
        assert_text(q, "d]", "3");
        assert_text(q, "e[f]g", "4");
        assert_int_equal(value_find(q, SLICE_LIT("p"))->type, VALUE_MAP);
        parse("a[b][c][d][e][f][g][h][i][j]=1");
        q = parse("x[1]=a&x=b");
        assert_text(q, "x", "b");
}

static void test_bad_text(void **state)
{
        (void)state;
        struct value *v;
        assert_int_equal(query_parse(&arena, SLICE_LIT("a=%"), &v), ERR_FORMAT);
        assert_int_equal(query_parse(&arena, SLICE_LIT("a=%ff"), &v), ERR_FORMAT);
        assert_int_equal(query_parse(&arena, SLICE_LIT("%80=1"), &v), ERR_FORMAT);
        struct value *q = parse("a=x%00y");
        assert_int_equal(value_find(q, SLICE_LIT("a"))->text.len, 3);
}

/* A big map is found by hash, also while it grows and when members are replaced. */
static void test_many(void **state)
{
        (void)state;
        enum { N = 20000 };
        struct value *map = value_new(&arena, VALUE_MAP);
        char key[16];
        for (int round = 0; round < 2; round++) {
                for (int i = 0; i < N; i++) {
                        int n = snprintf(key, sizeof(key), "k%d", i);
                        struct slice k = arena_dup(&arena, slice_of(key, (size_t)n));
                        value_set(&arena, map, k, value_string(&arena, k));
                }
                assert_int_equal(map->n_members, N);
        }
        assert_text(map, "k0", "k0");
        assert_text(map, "k19999", "k19999");
        assert_null(value_find(map, SLICE_LIT("k20000")));
}

/* ---- JSON */

static struct value *json(const char *text)
{
        struct value *v;
        struct buf why;
        buf_init(&why, 256);
        int err = json_parse(&arena, slice_cstr(text), &v, &why);
        if (err != 0)
                fail_msg("%s: %s", text, buf_cstr(&why));
        buf_fini(&why);
        return v;
}

static void assert_json_error(struct slice text, const char *reason)
{
        struct value *v;
        struct buf why;
        buf_init(&why, 256);
        assert_int_equal(json_parse(&arena, text, &v, &why), ERR_FORMAT);
        assert_string_equal(buf_cstr(&why), reason);
        buf_fini(&why);
}

static void test_json(void **state)
{
        (void)state;
        struct value *v = json(" {\"a\": [1, -2.5e+3, true, false, null], \"b\":{\"c\":\"d\"}} ");
        struct value *a = value_find(v, SLICE_LIT("a"));
        assert_int_equal(a->n_members, 5);
        assert_true(slice_eq(a->members[1].value->text, SLICE_LIT("-2.5e+3")));
        assert_int_equal(a->members[2].value->type, VALUE_TRUE);
        assert_int_equal(a->members[4].value->type, VALUE_JSON_NULL);
        assert_text(value_find(v, SLICE_LIT("b")), "c", "d");
        v = json("\"\\u00fc\\ud83d\\ude00\\n\\\"\\/\"");
        assert_true(slice_eq(v->text, SLICE_LIT("ü😀\n\"/")));
        assert_int_equal(json("[]")->n_members, 0);
        assert_int_equal(json("{}")->type, VALUE_MAP);
}

/* The texts of §13.1.11. */
static void test_json_errors(void **state)
{
        (void)state;
        assert_json_error(SLICE_LIT("where"), "unexpected byte at position 0: 0x77 (\"w\")");
        assert_json_error(SLICE_LIT("{\"a\": 1  "), "unexpected end of input at position 9");
        assert_json_error(SLICE_LIT(""), "unexpected end of input at position 0");
        assert_json_error(SLICE_LIT("1 2"), "unexpected byte at position 2: 0x32 (\"2\")");
        assert_json_error(SLICE_LIT("01"), "unexpected byte at position 1: 0x31 (\"1\")");
        assert_json_error(SLICE_LIT("\"\n\""), "unexpected byte at position 1: 0x0A");
        assert_json_error(SLICE_LIT("\"\xff\""), "unexpected byte at position 1: 0xFF");
        assert_json_error(SLICE_LIT("\"\\ud800x\""), "unexpected byte at position 3: 0x64 (\"d\")");
        assert_json_error(SLICE_LIT("\"\\"), "unexpected end of input at position 2");
        assert_json_error(SLICE_LIT("\"\\u12"), "unexpected end of input at position 5");
        assert_json_error(SLICE_LIT("{\"a\" 1}"), "unexpected byte at position 5: 0x31 (\"1\")");
        assert_json_error(SLICE_LIT("[1,]"), "unexpected byte at position 3: 0x5D (\"]\")");
        assert_json_error(slice_of("[\0]", 3), "unexpected byte at position 1: 0x00");
}

static void test_json_depth(void **state)
{
        (void)state;
        char deep[100000];
        struct value *v;
        struct buf why;
        memset(deep, '[', sizeof(deep));
        buf_init(&why, 256);
        assert_int_equal(json_parse(&arena, slice_of(deep, sizeof(deep)), &v, &why), ERR_FORMAT);
        buf_fini(&why);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pairs),        cmocka_unit_test(test_nested),
                cmocka_unit_test(test_odd_brackets), cmocka_unit_test(test_bad_text),
                cmocka_unit_test(test_many),         cmocka_unit_test(test_json),
                cmocka_unit_test(test_json_errors),  cmocka_unit_test(test_json_depth),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
