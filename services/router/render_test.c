#include "services/router/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "services/router/sample_table.h"

/* ---- rows from C strings; NULL is NULL */

enum { MAX_COLUMNS = 8 };

struct test_row {
        struct change_value values[MAX_COLUMNS];
        uint32_t n;
};

static struct row as_row(const struct test_row *r)
{
        return (struct row){r->values, r->n};
}

static struct test_row row_of(uint32_t n, ...)
{
        struct test_row r = {.n = n};
        va_list ap;
        va_start(ap, n);
        for (uint32_t i = 0; i < n; i++) {
                const char *text = va_arg(ap, const char *);
                r.values[i].kind = text ? VALUE_TEXT : VALUE_NULL;
                r.values[i].text = text ? slice_cstr(text) : SLICE_EMPTY;
        }
        va_end(ap);
        return r;
}

static const struct sample_column items_columns[] = {
        {.name = "id", .type = "int4", .pk = 1, .not_null = true, .type_mod = -1},
        {.name = "value", .type = "text", .type_mod = -1},
        {.name = "done", .type = "bool", .type_mod = -1},
        {.name = "B", .type = "inet", .type_mod = -1},
};

struct fixture {
        struct table *table;
        struct projection *projection;
        struct buf out, second;
};

static void open_fixture(struct fixture *f, struct table *t, enum replica_mode replica)
{
        uint32_t all[MAX_COLUMNS];
        for (uint32_t i = 0; i < t->n_columns; i++)
                all[i] = i;
        f->table = t;
        f->projection = projection_new(t, all, t->n_columns, replica);
        buf_init(&f->out, 1 << 20);
        buf_init(&f->second, 1 << 20);
}

static void close_fixture(struct fixture *f)
{
        projection_free(f->projection);
        table_free(f->table);
        buf_fini(&f->out);
        buf_fini(&f->second);
}

static void expect(struct buf *out, const char *text)
{
        assert_string_equal(buf_cstr(out), text);
        buf_reset(out);
}

static const struct render_at at = {.xid = 740, .lsn = {26800584}, .op = 4};

#define LOG_HEADERS(op, position)                                                                  \
        "\"headers\":{\"operation\":\"" op "\",\"relation\":[\"public\",\"items\"],"               \
        "\"txids\":[740],\"lsn\":\"26800584\",\"op_position\":" position

static void snapshot_rows(void **state)
{
        (void)state;
        struct fixture f;
        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_DEFAULT);
        struct test_row r = row_of(4, "1", "x", "t", "10.0.0.1");
        render_snapshot_row(f.projection, as_row(&r), &f.out);
        expect(&f.out,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"1\\\"\",\"value\":{"
               "\"B\":\"10.0.0.1/32\",\"done\":\"true\",\"id\":\"1\",\"value\":\"x\"},"
               "\"headers\":{\"operation\":\"insert\",\"relation\":[\"public\",\"items\"]}}");
        r = row_of(4, "2", NULL, "f", "2001:db8::/48");
        render_snapshot_row(f.projection, as_row(&r), &f.out);
        expect(&f.out,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"2\\\"\",\"value\":{"
               "\"B\":\"2001:db8::/48\",\"done\":\"false\",\"id\":\"2\",\"value\":null},"
               "\"headers\":{\"operation\":\"insert\",\"relation\":[\"public\",\"items\"]}}");
        r = row_of(4, "3", "", NULL, "::1");
        render_snapshot_row(f.projection, as_row(&r), &f.out);
        expect(&f.out,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"3\\\"\",\"value\":{"
               "\"B\":\"::1/128\",\"done\":null,\"id\":\"3\",\"value\":\"\"},"
               "\"headers\":{\"operation\":\"insert\",\"relation\":[\"public\",\"items\"]}}");
        close_fixture(&f);
}

static void snapshot_end(void **state)
{
        (void)state;
        struct buf out;
        buf_init(&out, 1024);
        render_snapshot_end(733, 735, NULL, 0, &out);
        expect(&out, "{\"headers\":{\"control\":\"snapshot-end\",\"xmin\":\"733\",\"xmax\":\"735\","
                     "\"xip_list\":[]}}");
        uint64_t xip[] = {4294967297, 4294967299};
        render_snapshot_end(4294967297, 4294967300, xip, 2, &out);
        expect(&out, "{\"headers\":{\"control\":\"snapshot-end\",\"xmin\":\"4294967297\","
                     "\"xmax\":\"4294967300\",\"xip_list\":[\"4294967297\",\"4294967299\"]}}");
        buf_fini(&out);
}

static void inserts_and_deletes(void **state)
{
        (void)state;
        struct fixture f;
        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_DEFAULT);
        struct test_row r = row_of(4, "1", "x", NULL, NULL);
        render_insert(f.projection, &at, as_row(&r), &f.out);
        buf_puts(&f.out, RENDER_CLOSE_LAST);
        expect(&f.out, "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"1\\\"\",\"value\":{"
                       "\"B\":null,\"done\":null,\"id\":\"1\",\"value\":\"x\"}," LOG_HEADERS(
                               "insert", "4") ",\"last\":true}}");
        render_delete(f.projection, &at, as_row(&r), &f.out);
        buf_puts(&f.out, RENDER_CLOSE);
        expect(&f.out, "{\"key\":\"\\\"public\\\".\\\"items\\\"/"
                       "\\\"1\\\"\",\"value\":{\"id\":\"1\"}," LOG_HEADERS("delete", "4") "}}");
        close_fixture(&f);

        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_FULL);
        render_delete(f.projection, &at, as_row(&r), &f.out);
        expect(&f.out, "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"1\\\"\",\"value\":{"
                       "\"B\":null,\"done\":null,\"id\":\"1\",\"value\":\"x\"}," LOG_HEADERS(
                               "delete", "4"));
        close_fixture(&f);
}

static void updates(void **state)
{
        (void)state;
        struct fixture f;
        struct test_row old = row_of(4, "1", "x", "t", NULL), same = old;
        struct test_row changed = row_of(4, "1", "y", "f", NULL);
        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_DEFAULT);
        assert_int_equal(
                render_update(f.projection, &at, as_row(&old), as_row(&same), &f.out, &f.second),
                RENDER_NOTHING);
        assert_int_equal(
                render_update(f.projection, &at, as_row(&old), as_row(&changed), &f.out, &f.second),
                RENDER_ONE);
        expect(&f.out,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"1\\\"\",\"value\":{"
               "\"done\":\"false\",\"id\":\"1\",\"value\":\"y\"}," LOG_HEADERS("update", "4"));
        assert_int_equal(f.second.len, 0);
        close_fixture(&f);

        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_FULL);
        render_update(f.projection, &at, as_row(&old), as_row(&changed), &f.out, &f.second);
        expect(&f.out,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"1\\\"\",\"value\":{"
               "\"B\":null,\"done\":\"false\",\"id\":\"1\",\"value\":\"y\"},"
               "\"old_value\":{\"done\":\"true\",\"value\":\"x\"}," LOG_HEADERS("update", "4"));
        close_fixture(&f);
}

/* From NULL to '' is a change, from NULL to NULL is none. */
static void updates_with_nulls(void **state)
{
        (void)state;
        struct fixture f;
        struct test_row old = row_of(4, "1", NULL, NULL, NULL);
        struct test_row changed = row_of(4, "1", "", NULL, NULL);
        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_FULL);
        assert_int_equal(
                render_update(f.projection, &at, as_row(&old), as_row(&changed), &f.out, &f.second),
                RENDER_ONE);
        assert_non_null(strstr(buf_cstr(&f.out), "\"old_value\":{\"value\":null}"));
        close_fixture(&f);
}

static void key_changes(void **state)
{
        (void)state;
        struct fixture f;
        struct test_row old = row_of(4, "1", "x", NULL, NULL);
        struct test_row changed = row_of(4, "2", "x", NULL, NULL);
        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_DEFAULT);
        assert_int_equal(
                render_update(f.projection, &at, as_row(&old), as_row(&changed), &f.out, &f.second),
                RENDER_PAIR);
        expect(&f.out,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/"
               "\\\"1\\\"\",\"value\":{\"id\":\"1\"}," LOG_HEADERS(
                       "delete",
                       "4") ",\"key_change_to\":\"\\\"public\\\".\\\"items\\\"/\\\"2\\\"\"");
        expect(&f.second,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"2\\\"\",\"value\":{"
               "\"B\":null,\"done\":null,\"id\":\"2\",\"value\":\"x\"}," LOG_HEADERS(
                       "insert", "5") ",\"key_change_from\":\"\\\"public\\\".\\\"items\\\"/"
                                      "\\\"1\\\"\"");
        close_fixture(&f);
}

static void tables_without_key(void **state)
{
        (void)state;
        static const struct sample_column columns[] = {
                {.name = "b", .type = "int4", .type_mod = -1},
                {.name = "a", .type = "text", .type_mod = -1}};
        struct fixture f;
        struct test_row old = row_of(2, "1", NULL), same = old, changed = row_of(2, "1", "");
        open_fixture(&f, sample_table("public", "items", columns, 2), REPLICA_DEFAULT);
        assert_int_equal(
                render_update(f.projection, &at, as_row(&old), as_row(&same), &f.out, &f.second),
                RENDER_NOTHING);
        assert_int_equal(
                render_update(f.projection, &at, as_row(&old), as_row(&changed), &f.out, &f.second),
                RENDER_PAIR);
        expect(&f.out,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"1\\\"/_\",\"value\":{\"a\":null,"
               "\"b\":\"1\"}," LOG_HEADERS("delete", "4") ",\"key_change_to\":\"\\\"public\\\"."
                                                          "\\\"items\\\"/\\\"1\\\"/\\\"\\\"\"");
        expect(&f.second,
               "{\"key\":\"\\\"public\\\".\\\"items\\\"/\\\"1\\\"/\\\"\\\"\",\"value\":{\"a\":\"\","
               "\"b\":\"1\"}," LOG_HEADERS("insert", "5") ",\"key_change_from\":\"\\\"public\\\"."
                                                          "\\\"items\\\"/\\\"1\\\"/_\"");
        close_fixture(&f);
}

static void keys(void **state)
{
        (void)state;
        static const struct sample_column columns[] = {
                {.name = "b", .type = "inet", .pk = 2, .type_mod = -1},
                {.name = "c", .type = "text", .type_mod = -1},
                {.name = "a", .type = "text", .pk = 1, .type_mod = -1}};
        struct fixture f;
        struct test_row r = row_of(3, "::1", "-", "a/\"b\"//\n");
        open_fixture(&f, sample_table("My \"S\"", "t.x/y", columns, 3), REPLICA_DEFAULT);
        render_key(f.projection, as_row(&r), &f.out);
        expect(&f.out, "\"My \"\"S\"\"\".\"t.x/y\"/\"a//\"b\"////\n\"/\"::1//128\"");
        render_snapshot_row(f.projection, as_row(&r), &f.out);
        expect(&f.out,
               "{\"key\":\"\\\"My \\\"\\\"S\\\"\\\"\\\".\\\"t.x/y\\\"/\\\"a//\\\"b\\\"////\\n\\\"/"
               "\\\"::1//128\\\"\",\"value\":{\"a\":\"a/\\\"b\\\"//\\n\",\"b\":\"::1/"
               "128\",\"c\":\"-\"},"
               "\"headers\":{\"operation\":\"insert\",\"relation\":[\"My \\\"S\\\"\",\"t.x/y\"]}}");
        close_fixture(&f);
}

static void selected_columns(void **state)
{
        (void)state;
        struct table *t = sample_table("public", "items", items_columns, 4);
        uint32_t columns[] = {2, 0};
        struct projection *p = projection_new(t, columns, 2, REPLICA_DEFAULT);
        struct test_row old = row_of(4, "1", "x", "t", NULL),
                        other = row_of(4, "1", "y", "t", "::1");
        struct buf out;
        buf_init(&out, 4096);
        assert_true(projection_needs(p, 0) && projection_needs(p, 2));
        assert_false(projection_needs(p, 1) || projection_needs(p, 3));
        assert_int_equal(render_update(p, &at, as_row(&old), as_row(&other), &out, &out),
                         RENDER_NOTHING);
        render_snapshot_row(p, as_row(&old), &out);
        assert_non_null(strstr(buf_cstr(&out), "\"value\":{\"done\":\"true\",\"id\":\"1\"}"));
        buf_reset(&out);
        projection_schema_json(p, &out);
        expect(&out, "{\"done\":{\"type\":\"bool\"},"
                     "\"id\":{\"type\":\"int4\",\"pk_index\":0,\"not_null\":true}}");
        buf_fini(&out);
        projection_free(p);
        table_free(t);
}

/* A row that does not fit sets the buffer's error wherever it is cut, and never writes beyond. */
static void full_buffers(void **state)
{
        (void)state;
        struct fixture f;
        struct test_row r = row_of(4, "1", "\"quotes\"\\\n and a long text", "t", "::1");
        open_fixture(&f, sample_table("public", "items", items_columns, 4), REPLICA_DEFAULT);
        render_snapshot_row(f.projection, as_row(&r), &f.out);
        size_t whole = f.out.len;
        for (size_t max = 0; max < whole + 16; max++) {
                struct buf out;
                buf_init(&out, max);
                render_snapshot_row(f.projection, as_row(&r), &out);
                assert_true(out.len <= max);
                assert_true(max >= whole + 8 ? buf_status(&out) == 0
                                             : buf_status(&out) != 0 || out.len == whole);
                buf_fini(&out);
        }
        close_fixture(&f);
}

/* ---- round trips: an independent reader of JSON finds exactly the values that went in */

struct json {
        const char *p, *end;
};

static void json_expect(struct json *j, const char *text)
{
        size_t len = strlen(text);
        assert_true((size_t)(j->end - j->p) >= len && memcmp(j->p, text, len) == 0);
        j->p += len;
}

static char json_escape(struct json *j)
{
        static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
        char c = *j->p++;
        if (c == 'u') {
                char digits[5] = {j->p[0], j->p[1], j->p[2], j->p[3], 0};
                j->p += 4;
                return (char)strtol(digits, NULL, 16);
        }
        const char *name = strchr(names, c);
        assert_non_null(name);
        return bytes[name - names];
}

static void json_string(struct json *j, struct buf *out)
{
        buf_reset(out);
        json_expect(j, "\"");
        while (*j->p != '"') {
                assert_true((unsigned char)*j->p >= 0x20);
                char c = *j->p++;
                buf_putc(out, c == '\\' ? json_escape(j) : c);
                assert_true(j->p < j->end);
        }
        j->p++;
}

static void json_value_is(struct json *j, const struct change_value *v, struct buf *scratch)
{
        if (v->kind == VALUE_NULL) {
                json_expect(j, "null");
                return;
        }
        json_string(j, scratch);
        assert_true(slice_eq(buf_slice(scratch), v->text));
}

static uint32_t rng = 1;
static uint32_t random_below(uint32_t n)
{
        rng = rng * 1664525 + 1013904223;
        return (rng >> 8) % n;
}

/* Many quotes, slashes and controls, and some long plain stretches. */
static struct change_value random_value(char *room, uint32_t max)
{
        static const char special[] = "\"\\/\n\t\x01\x1f\x7f é";
        if (random_below(10) == 0)
                return (struct change_value){.kind = VALUE_NULL, .text = SLICE_EMPTY};
        uint32_t len = random_below(max), plain = random_below(3);
        for (uint32_t i = 0; i < len; i++)
                room[i] = plain || random_below(6) ? (char)('a' + random_below(26))
                                                   : special[random_below(sizeof(special) - 1)];
        return (struct change_value){.kind = VALUE_TEXT, .text = slice_of(room, len)};
}

static void random_rows(void **state)
{
        (void)state;
        static const struct sample_column columns[] = {
                {.name = "c", .type = "text", .type_mod = -1},
                {.name = "a", .type = "text", .pk = 1, .type_mod = -1},
                {.name = "b", .type = "text", .type_mod = -1}};
        enum { ROUNDS = 5000, MAX_TEXT = 60 };
        struct fixture f;
        struct buf scratch, key;
        buf_init(&scratch, 4096);
        buf_init(&key, 4096);
        open_fixture(&f, sample_table("public", "items", columns, 3), REPLICA_DEFAULT);
        for (int round = 0; round < ROUNDS; round++) {
                char room[3][MAX_TEXT];
                struct test_row r = {.n = 3};
                for (int i = 0; i < 3; i++)
                        r.values[i] = random_value(room[i], MAX_TEXT);
                buf_reset(&f.out);
                render_snapshot_row(f.projection, as_row(&r), &f.out);
                struct json j = {f.out.p, f.out.p + f.out.len};
                json_expect(&j, "{\"key\":");
                json_string(&j, &scratch);
                buf_reset(&key);
                render_key(f.projection, as_row(&r), &key);
                assert_true(slice_eq(buf_slice(&scratch), buf_slice(&key)));
                json_expect(&j, ",\"value\":{\"a\":");
                json_value_is(&j, &r.values[1], &scratch);
                json_expect(&j, ",\"b\":");
                json_value_is(&j, &r.values[2], &scratch);
                json_expect(&j, ",\"c\":");
                json_value_is(&j, &r.values[0], &scratch);
                json_expect(&j, "},\"headers\":{\"operation\":\"insert\",\"relation\":[\"public\","
                                "\"items\"]}}");
                assert_true(j.p == j.end);
        }
        buf_fini(&scratch);
        buf_fini(&key);
        close_fixture(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(snapshot_rows),       cmocka_unit_test(snapshot_end),
                cmocka_unit_test(inserts_and_deletes), cmocka_unit_test(updates),
                cmocka_unit_test(updates_with_nulls),  cmocka_unit_test(key_changes),
                cmocka_unit_test(tables_without_key),  cmocka_unit_test(keys),
                cmocka_unit_test(selected_columns),    cmocka_unit_test(full_buffers),
                cmocka_unit_test(random_rows),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
