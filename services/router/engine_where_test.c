/* Shapes with clauses in the engine: what rows that move in and out become (protocol §3.7), and
 * that clauses survive restarts and changes of the table as they should. */
#include "common/test/test.h"

#include "common/base/err.h"
#include "services/router/test_engine.h"
#include "services/router/zone.h"

enum { CHUNK = 1 << 20, PENDING = 1 << 20, MAP = 16 << 20, TEXT_MAX = 4096 };

/* The table of test_engine.h with the types that clauses know; `added`: a third column, int4. */
static struct table *typed_table(bool added)
{
        static const struct sample_column columns[] = {
                {.name = "id", .type = "int4", .type_mod = -1, .pk = 1, .not_null = true},
                {.name = "v", .type = "text", .type_mod = -1},
                {.name = "added", .type = "int4", .type_mod = -1},
        };
        struct table *t = sample_table("public", "t", columns, added ? 3 : 2);
        t->columns[0].type_oid = 23;
        t->columns[1].type_oid = 25;
        if (added)
                t->columns[2].type_oid = 23;
        return t;
}

/* As stream_describe(), with these types. */
static void describe(struct test_stream *s, uint32_t v_type)
{
        struct change_column columns[] = {{SLICE_LIT("id"), 23, -1, true},
                                          {SLICE_LIT("v"), v_type, -1, true}};
        struct change_relation r = {.oid = TEST_OID,
                                    .schema = SLICE_LIT("public"),
                                    .table = SLICE_LIT("t"),
                                    .replica_identity = 'f',
                                    .columns = columns,
                                    .n_columns = 2};
        buf_reset(&s->encoded);
        change_relation_encode(&s->encoded, &r);
        r.encoded = buf_slice(&s->encoded);
        change_writer_relation(&s->writer, &r);
        s->described = true;
}

static void define(const char *where, bool only_id, struct buf *out)
{
        struct slice names[] = {SLICE_LIT("id")};
        struct definition d = {.schema = SLICE_LIT("public"),
                               .table = SLICE_LIT("t"),
                               .has_columns = only_id,
                               .columns = names,
                               .n_columns = only_id,
                               .where = slice_cstr(where)};
        definition_encode(out, &d);
}

static struct where *compile(const struct table *t, const char *text)
{
        struct where *where;
        struct buf why;
        buf_init(&why, TEXT_MAX);
        if (where_compile(slice_cstr(text), t, NULL, NULL, 0, &where, &why) != 0)
                fail_msg("%s: %s", text, buf_cstr(&why));
        buf_fini(&why);
        return where;
}

/* A complete shape. */
static uint64_t create(struct test_engine *t, const char *where, bool only_id)
{
        static const uint32_t columns[] = {0, 1};
        struct buf definition, identity;
        struct definition d;
        buf_init(&definition, TEXT_MAX);
        buf_init(&identity, TEXT_MAX);
        define(where, only_id, &definition);
        assert_int_equal(definition_decode(buf_slice(&definition), &d), 0);
        struct shape_spec spec = {.definition = buf_slice(&definition),
                                  .table = typed_table(false),
                                  .all_columns = !only_id,
                                  .columns = columns,
                                  .n_columns = only_id ? 1 : 2};
        spec.where = compile(spec.table, where);
        clause_identity(&d, spec.where, &identity);
        spec.identity = buf_slice(&identity);
        uint64_t id = engine_create(&t->engine, &spec)->id;
        definition_fini(&d);
        buf_fini(&definition);
        buf_fini(&identity);
        assert_int_equal(engine_hold(&t->engine, id), 0);
        assert_int_equal(test_begin(t, id, "1:1:", 0), 0);
        test_rows(t, id, 0, "{\"end\":1}", false);
        assert_int_equal(engine_end(&t->engine, id, 0), 0);
        engine_job_done(&t->engine, id);
        assert_int_equal(engine_commit(&t->engine), 0);
        return id;
}

static struct shape *find(struct test_engine *t, const char *where, bool only_id)
{
        struct buf definition;
        buf_init(&definition, TEXT_MAX);
        define(where, only_id, &definition);
        struct shape *s = registry_find_definition(&t->engine.shapes, buf_slice(&definition));
        buf_fini(&definition);
        return s;
}

struct fixture {
        struct test_engine t;
        struct test_stream s;
        uint32_t xid;
};

static void open_fixture(struct fixture *f)
{
        *f = (struct fixture){0};
        test_engine_open(&f->t, CHUNK, PENDING, MAP);
        stream_open(&f->s);
}

static void close_fixture(struct fixture *f)
{
        stream_close(&f->s);
        test_engine_close(&f->t);
}

/* One transaction of one change, committed at 1000 times its xid. */
static void change(struct fixture *f, enum change_kind kind, struct test_row old_row,
                   struct test_row new_row)
{
        uint32_t xid = ++f->xid;
        if (!f->s.described)
                describe(&f->s, 25);
        stream_begin(&f->s, xid, xid * 1000, true);
        stream_change(&f->s, kind, 0, old_row, new_row);
        stream_end(&f->s, true);
        assert_int_equal(stream_apply(&f->s, &f->t, xid * 1000), 0);
}

#define KEY(id) "{\"key\":\"\\\"public\\\".\\\"t\\\"/\\\"" id "\\\"\",\"value\":"
#define HEADERS(operation, xid)                                                                    \
        ",\"headers\":{\"operation\":\"" operation                                                 \
        "\",\"relation\":[\"public\",\"t\"],\"txids\":[" #xid "],\"lsn\":\"" #xid                  \
        "000\",\"op_position\":0,\"last\":true}}"

/* The operations of a shape's log, in order. */
static void expect_operations(struct fixture *f, uint64_t id, const char *expected)
{
        struct buf log, operations;
        buf_init(&log, 1 << 20);
        buf_init(&operations, TEXT_MAX);
        test_read(&f->t, id, OFFSET_SNAPSHOT_END, &log);
        static const char mark[] = "\"operation\":\"";
        for (const char *p = buf_cstr(&log); (p = strstr(p, mark));) {
                p += strlen(mark);
                buf_putc(&operations, *p);
        }
        assert_string_equal(buf_cstr(&operations), expected);
        buf_fini(&log);
        buf_fini(&operations);
}

/* ---- */

static void test_transitions(void **state)
{
        struct fixture f;
        (void)state;
        open_fixture(&f);
        uint64_t equal = create(&f.t, "v = 'in'", false);
        uint64_t rest = create(&f.t, "v = 'in' AND id < 100", false);
        uint64_t linear = create(&f.t, "v < 'j'", false);
        uint64_t narrow = create(&f.t, "v = 'in'", true);
        uint64_t list = create(&f.t, "v IN ('in', 'out')", false);
        change(&f, CHANGE_INSERT, (struct test_row){0}, (struct test_row){"1", "out"});
        change(&f, CHANGE_UPDATE, (struct test_row){"1", "out"}, (struct test_row){"1", "in"});
        change(&f, CHANGE_UPDATE, (struct test_row){"1", "in"}, (struct test_row){"2", NULL});
        change(&f, CHANGE_UPDATE, (struct test_row){"2", "in"}, (struct test_row){"2", "out"});
        change(&f, CHANGE_UPDATE, (struct test_row){"2", "out"}, (struct test_row){"101", "in"});
        change(&f, CHANGE_UPDATE, (struct test_row){"101", "in"}, (struct test_row){"101", "in "});
        change(&f, CHANGE_DELETE, (struct test_row){"101", "in "}, (struct test_row){0});
        expect_operations(&f, equal, "ididid");
        expect_operations(&f, rest, "idid");
        expect_operations(&f, linear, "ididiud");
        expect_operations(&f, narrow, "ididid");
        expect_operations(&f, list, "iudiudid");
        close_fixture(&f);
}

/* Out to in is an insert of the whole row, also of what the update did not touch; in to out is a
 * delete of the old row's key. */
static void test_entries(void **state)
{
        struct fixture f;
        (void)state;
        open_fixture(&f);
        uint64_t id = create(&f.t, "id > 10", false);
        change(&f, CHANGE_UPDATE, (struct test_row){"1", "kept"}, (struct test_row){"11", NULL});
        change(&f, CHANGE_UPDATE, (struct test_row){"11", "kept"}, (struct test_row){"2", "new"});
        test_expect(&f.t, id,
                    KEY("11") "{\"id\":\"11\",\"v\":\"kept\"}" HEADERS("insert", 1) "," KEY(
                            "11") "{\"id\":\"11\"}" HEADERS("delete", 2));
        close_fixture(&f);
}

/* The clause is compiled again from the record. */
static void test_restart(void **state)
{
        struct fixture f;
        (void)state;
        open_fixture(&f);
        uint64_t equal = create(&f.t, "v = 'in'", true);
        uint64_t both = create(&f.t, "v = 'in' OR id = 7", false);
        change(&f, CHANGE_INSERT, (struct test_row){0}, (struct test_row){"1", "in"});
        test_engine_restart(&f.t);
        assert_int_equal(registry_count(&f.t.engine.shapes), 2);
        assert_int_equal(find(&f.t, "v = 'in'", true)->id, equal);
        change(&f, CHANGE_INSERT, (struct test_row){0}, (struct test_row){"7", "out"});
        change(&f, CHANGE_DELETE, (struct test_row){"1", "in"}, (struct test_row){0});
        expect_operations(&f, equal, "id");
        expect_operations(&f, both, "iid");
        close_fixture(&f);
}

/* Several spellings name one shape, by its meaning and, once they have been seen, by themselves. */
static void test_spellings(void **state)
{
        struct fixture f;
        struct buf definition;
        (void)state;
        open_fixture(&f);
        uint64_t id = create(&f.t, "v = 'in'", false);
        struct registry *r = &f.t.engine.shapes;
        struct shape *s = registry_find(r, id);
        for (int round = 0; round < 20; round++) {
                char text[64];
                snprintf(text, sizeof(text), "(%*sV = 'in')", round, "");
                assert_null(find(&f.t, text, false));
                buf_init(&definition, TEXT_MAX);
                define(text, false, &definition);
                registry_add_alias(r, s, buf_slice(&definition));
                registry_add_alias(r, s, buf_slice(&definition));
                buf_fini(&definition);
                assert_ptr_equal(find(&f.t, text, false), s);
                assert_in_range(hmap_count(&r->aliases), 1, 4);
        }
        assert_ptr_equal(registry_find_identity(r, s->identity), s);
        engine_remove(&f.t.engine, s, GONE_DELETED, SLICE_EMPTY);
        assert_int_equal(hmap_count(&r->aliases), 0);
        assert_null(find(&f.t, "v = 'in'", false));
        close_fixture(&f);
}

static void identity_of(const char *where, const struct slice *params, uint32_t n_params,
                        bool queryable, struct buf *out)
{
        struct slice names[] = {SLICE_LIT("id"), SLICE_LIT("v")};
        struct table *t = typed_table(false);
        struct where *w;
        struct buf why;
        struct definition d = {.schema = t->schema,
                               .table = t->name,
                               .has_columns = !queryable,
                               .columns = names,
                               .n_columns = queryable ? 0 : 2,
                               .has_queryable = queryable,
                               .queryable = names,
                               .n_queryable = queryable ? 2 : 0,
                               .where = slice_cstr(where),
                               .params = (struct slice *)(uintptr_t)params,
                               .n_params = n_params};
        buf_init(&why, TEXT_MAX);
        buf_init(out, TEXT_MAX);
        assert_int_equal(clause_compile(&d, t, &w, &why), 0);
        clause_identity(&d, w, out);
        where_free(w);
        table_free(t);
        buf_fini(&why);
}

static void test_identity(void **state)
{
        static const struct {
                const char *where;
                bool queryable, same;
        } cases[] = {
                {"id = 1", false, true},     {"  id   =  1 ", false, true},
                {"(id = 1)", false, true},   {"ID = 1", true, true},
                {"\"id\" = 1", false, true}, {"1 = id", false, false},
                {"id = 2", false, false},    {" ", false, false},
                {"id = $1", false, false},   {"id = 1 OR id = 1", false, false},
        };
        static const struct slice params[] = {{"3", 1}};
        struct buf first, other;
        (void)state;
        identity_of("id = 1", NULL, 0, false, &first);
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                identity_of(cases[i].where, params, 1, cases[i].queryable, &other);
                assert_int_equal(slice_eq(buf_slice(&first), buf_slice(&other)), cases[i].same);
                buf_fini(&other);
        }
        buf_fini(&first);
}

/* A column that only the clause reads counts as well: its type in the stream. */
static void test_relation_drifts(void **state)
{
        struct fixture f;
        (void)state;
        open_fixture(&f);
        uint64_t uses = create(&f.t, "v = 'in'", true);
        uint64_t does_not = create(&f.t, "id = 5", true);
        describe(&f.s, 1043);
        change(&f, CHANGE_INSERT, (struct test_row){0}, (struct test_row){"1", "out"});
        assert_null(registry_find(&f.t.engine.shapes, uses));
        assert_non_null(registry_find(&f.t.engine.shapes, does_not));
        close_fixture(&f);
}

#define IN_ZONE(zone)                                                                              \
        "'2024-07-01 00:00:00'::timestamp AT TIME ZONE '" zone "' > '2024-01-01 00:00:00+00'"

/* The shapes with the zone go, even if only a constant is in it. A restart they survive with the
 * rules that their log was written by, and with no others. */
static void test_zone_differs(void **state)
{
        struct fixture f;
        const struct zone *berlin, *used[ZONE_MAX];
        (void)state;
        assert_int_equal(zone_find(SLICE_LIT("Europe/Berlin"), &berlin), 0);
        open_fixture(&f);
        uint64_t goes = create(&f.t, "v = 'in' AND " IN_ZONE("Europe/Berlin"), true);
        uint64_t stays = create(&f.t, "v = 'in' AND " IN_ZONE("Asia/Tokyo"), true);
        uint64_t zoneless = create(&f.t, "v = 'in'", true);
        assert_int_equal(zone_list_used(used), 2);
        test_engine_restart(&f.t);
        assert_int_equal(registry_count(&f.t.engine.shapes), 3);
        assert_int_equal(zone_list_used(used), 2);
        engine_zone_differs(&f.t.engine, berlin);
        assert_int_equal(engine_commit(&f.t.engine), 0);
        assert_null(registry_find(&f.t.engine.shapes, goes));
        goes = create(&f.t, "v = 'in' AND " IN_ZONE("Europe/Berlin"), true);
        uint64_t *print = (uint64_t *)(uintptr_t)&berlin->print, as_before = *print;
        *print ^= 2; /* as if its file had other rules now */
        test_engine_restart(&f.t);
        *print = as_before;
        assert_null(registry_find(&f.t.engine.shapes, goes));
        assert_non_null(registry_find(&f.t.engine.shapes, stays));
        assert_non_null(registry_find(&f.t.engine.shapes, zoneless));
        assert_int_equal(zone_list_used(used), 1);
        close_fixture(&f);
        assert_int_equal(zone_list_used(used), 0);
}

/* The same in the catalog, and a clause moves to a description with other columns. */
static void test_catalog_drifts(void **state)
{
        struct fixture f;
        (void)state;
        open_fixture(&f);
        uint64_t uses = create(&f.t, "v = 'in'", true);
        uint64_t does_not = create(&f.t, "id = 5", true);
        uint64_t both = create(&f.t, "id = 5 AND v > 'a'", true);
        struct table *now = typed_table(true);
        engine_drift(&f.t.engine, TEST_OID, now);
        assert_int_equal(registry_count(&f.t.engine.shapes), 3);
        assert_int_equal(registry_find(&f.t.engine.shapes, uses)->view->version->table->n_columns,
                         3);
        change(&f, CHANGE_INSERT, (struct test_row){0}, (struct test_row){"5", "in"});
        expect_operations(&f, uses, "i");
        expect_operations(&f, both, "i");
        now->columns[1].collation = COLLATION_EQUAL_BYTES;
        engine_drift(&f.t.engine, TEST_OID, now);
        assert_null(registry_find(&f.t.engine.shapes, uses));
        assert_null(registry_find(&f.t.engine.shapes, both));
        assert_non_null(registry_find(&f.t.engine.shapes, does_not));
        table_free(now);
        close_fixture(&f);
}

static void test_truncate(void **state)
{
        struct fixture f;
        (void)state;
        open_fixture(&f);
        create(&f.t, "v = 'in'", true);
        create(&f.t, "id > 5", true);
        change(&f, CHANGE_TRUNCATE, (struct test_row){0}, (struct test_row){0});
        assert_int_equal(registry_count(&f.t.engine.shapes), 0);
        assert_int_equal(f.t.gone, 2);
        close_fixture(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_transitions),    cmocka_unit_test(test_entries),
                cmocka_unit_test(test_restart),        cmocka_unit_test(test_spellings),
                cmocka_unit_test(test_identity),       cmocka_unit_test(test_relation_drifts),
                cmocka_unit_test(test_catalog_drifts), cmocka_unit_test(test_zone_differs),
                cmocka_unit_test(test_truncate),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
