#include "services/router/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/sample_table.h"
#include "services/router/schema_json.h"

static const struct sample_column columns[] = {
        {.name = "b", .type = "inet", .type_mod = -1, .pk = 2, .not_null = true},
        {.name = "C c", .type = "varchar", .type_mod = 24, .dims = 1},
        {.name = "a", .type = "bool", .type_mod = -1, .pk = 1, .not_null = true},
        {.name = "g", .type = "int4", .type_mod = -1, .generated = true},
};

static struct table *sample(void)
{
        return sample_table("My Schema", "odd \"é\"", columns, 4);
}

static void assert_same_column(const struct table_column *a, const struct table_column *b)
{
        assert_true(slice_eq(a->name, b->name) && slice_eq(a->type_name, b->type_name));
        assert_int_equal(a->type_oid, b->type_oid);
        assert_int_equal(a->type_mod, b->type_mod);
        assert_int_equal(a->dims, b->dims);
        assert_int_equal(a->pk_index, b->pk_index);
        assert_int_equal(a->not_null, b->not_null);
        assert_int_equal(a->enum_oid, b->enum_oid);
        assert_true(slice_eq(a->enum_name, b->enum_name));
        assert_int_equal(a->generated, b->generated);
        assert_int_equal(a->render, b->render);
        assert_int_equal(a->collation, b->collation);
}

static void round_trip(void **state)
{
        (void)state;
        struct table *t = sample(), *back = NULL;
        t->tree.below = UINT64_MAX;
        t->tree.newest = 700;
        t->tree.parted = true;
        struct buf bytes;
        buf_init(&bytes, 4096);
        table_encode(t, &bytes);
        assert_int_equal(table_decode(buf_slice(&bytes), &back), 0);
        assert_int_equal(back->oid, t->oid);
        assert_int_equal(back->kind, 'r');
        assert_memory_equal(&back->tree, &t->tree, sizeof(t->tree));
        assert_true(slice_eq(back->schema, t->schema) && slice_eq(back->name, t->name));
        assert_int_equal(back->n_columns, 4);
        for (uint32_t i = 0; i < 4; i++)
                assert_same_column(&back->columns[i], &t->columns[i]);
        assert_int_equal(back->n_pk, 2);
        assert_int_equal(back->pk[0], 2);
        assert_int_equal(back->pk[1], 0);
        table_free(back);
        table_free(t);
        buf_fini(&bytes);
}

/* Every prefix, and every single byte changed: an error or a table, never more. */
static void damage(void **state)
{
        (void)state;
        struct table *t = sample(), *back = NULL;
        struct buf bytes;
        buf_init(&bytes, 4096);
        table_encode(t, &bytes);
        for (size_t len = 0; len < bytes.len; len++) {
                char *prefix = slice_dup_cstr(slice_of(bytes.p, len));
                assert_int_equal(table_decode(slice_of(prefix, len), &back), ERR_FORMAT);
                mem_free(prefix);
        }
        for (size_t at = 0; at < bytes.len; at++) {
                for (int value = 0; value < 256; value++) {
                        struct slice copy = slice_dup(buf_slice(&bytes));
                        char *p = (char *)(uintptr_t)copy.p;
                        p[at] = (char)value;
                        if (table_decode(copy, &back) == 0)
                                table_free(back);
                        mem_free(p);
                }
        }
        table_free(t);
        buf_fini(&bytes);
}

static void other_version(void **state)
{
        (void)state;
        struct table *t = sample(), *back = NULL;
        struct buf bytes;
        buf_init(&bytes, 4096);
        table_encode(t, &bytes);
        bytes.p[1]++;
        assert_int_equal(table_decode(buf_slice(&bytes), &back), ERR_VERSION);
        assert_null(back);
        table_free(t);
        buf_fini(&bytes);
}

static void find_column(void **state)
{
        (void)state;
        struct table *t = sample();
        assert_int_equal(table_find_column(t, SLICE_LIT("C c")), 1);
        assert_int_equal(table_find_column(t, SLICE_LIT("c c")), -1);
        assert_int_equal(table_find_column(t, SLICE_EMPTY), -1);
        table_free(t);
}

/* What each type makes of its modifier (protocol §2.7). */
static void schema_header(void **state)
{
        (void)state;
        static const struct {
                struct sample_column column;
                const char *json;
        } cases[] = {
                {{.type = "uuid", .type_mod = -1, .pk = 1, .not_null = true},
                 "{\"type\":\"uuid\",\"pk_index\":0,\"not_null\":true}"},
                {{.type = "text", .type_mod = -1}, "{\"type\":\"text\"}"},
                {{.type = "varchar", .type_mod = 24}, "{\"type\":\"varchar\",\"max_length\":20}"},
                {{.type = "varchar", .type_mod = 9, .dims = 1},
                 "{\"type\":\"varchar\",\"dims\":1,\"max_length\":5}"},
                {{.type = "bpchar", .type_mod = 7}, "{\"type\":\"bpchar\",\"length\":3}"},
                {{.type = "bpchar", .type_mod = -1}, "{\"type\":\"bpchar\"}"},
                {{.type = "bit", .type_mod = 4}, "{\"type\":\"bit\",\"length\":4}"},
                {{.type = "varbit", .type_mod = -1}, "{\"type\":\"varbit\",\"length\":-1}"},
                {{.type = "numeric", .type_mod = -1}, "{\"type\":\"numeric\"}"},
                {{.type = "numeric", .type_mod = (5 << 16 | 2) + 4},
                 "{\"type\":\"numeric\",\"precision\":5,\"scale\":2}"},
                {{.type = "numeric", .type_mod = (5 << 16 | (-2 & 0x7ff)) + 4},
                 "{\"type\":\"numeric\",\"precision\":5,\"scale\":-2}"},
                {{.type = "time", .type_mod = 2}, "{\"type\":\"time\",\"precision\":2}"},
                {{.type = "timestamptz", .type_mod = 0},
                 "{\"type\":\"timestamptz\",\"type_mod\":0}"},
                {{.type = "interval", .type_mod = -1}, "{\"type\":\"interval\"}"},
                {{.type = "interval", .type_mod = 0x7fff << 16 | 4},
                 "{\"type\":\"interval\",\"precision\":4}"},
                {{.type = "interval", .type_mod = 4 << 16 | 0xffff},
                 "{\"type\":\"interval\",\"fields\":\"YEAR\"}"},
                {{.type = "interval", .type_mod = (1 << 3 | 7 << 10) << 16 | 3},
                 "{\"type\":\"interval\",\"fields\":\"DAY TO SECOND\",\"precision\":3}"},
                {{.type = "geometry", .type_mod = 1107460},
                 "{\"type\":\"geometry\",\"type_mod\":1107460}"},
                {{.type = "int4", .type_mod = -1, .dims = 2}, "{\"type\":\"int4\",\"dims\":2}"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct sample_column c = cases[i].column;
                c.name = "q\"q";
                struct table *t = sample_table("public", "t", &c, 1);
                uint32_t column = 0;
                struct buf out;
                char expected[256];
                buf_init(&out, 4096);
                schema_json(t, &column, 1, &out);
                snprintf(expected, sizeof(expected), "{\"q\\\"q\":%s}", cases[i].json);
                assert_string_equal(buf_cstr(&out), expected);
                buf_fini(&out);
                table_free(t);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(round_trip),    cmocka_unit_test(damage),
                cmocka_unit_test(other_version), cmocka_unit_test(find_column),
                cmocka_unit_test(schema_header),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
