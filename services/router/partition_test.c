/* Shapes of a partitioned table (16400, see test_engine.h) whose partitions have oids and columns
 * of their own. */
#include "common/test/test.h"
#include "services/router/test_engine.h"

enum { CHUNK = 1 << 20, PENDING = 1 << 20, MAP = 64 << 20, LEAF = 17001, MIDDLE = 17002 };

#define ENTRY(xid, lsn, op, id, v)                                                                 \
        "{\"key\":\"\\\"public\\\".\\\"t\\\"/\\\"" id "\\\"\",\"value\":{\"id\":\"" id             \
        "\",\"v\":\"" v "\"},\"headers\":{\"operation\":\"insert\",\"relation\":[\"public\","      \
        "\"t\"],\"txids\":[" #xid "],\"lsn\":\"" #lsn "\",\"op_position\":" #op ",\"last\":true}}"

/* A relation with columns in the order (v, id), part of the table through MIDDLE or directly. */
struct leaf {
        uint32_t since;
        bool born, nested, extra, orphan;
};

static void describe(struct test_stream *s, const struct leaf *leaf)
{
        struct change_column columns[] = {
                {SLICE_LIT("v"), 1001, -1, true},
                {SLICE_LIT("id"), 1000, -1, true},
                {SLICE_LIT("added"), 23, -1, true},
        };
        struct change_ancestor above[] = {{TEST_OID, leaf->since, leaf->born}, {0}};
        struct change_ancestor nested[] = {{MIDDLE, 600, true},
                                           {TEST_OID, leaf->since, leaf->born}};
        struct change_relation r = {.oid = LEAF,
                                    .schema = SLICE_LIT("elsewhere"),
                                    .table = SLICE_LIT("leaf"),
                                    .replica_identity = 'f',
                                    .columns = columns,
                                    .n_columns = leaf->extra ? 3 : 2,
                                    .ancestors = leaf->nested ? nested : above,
                                    .n_ancestors = leaf->orphan   ? 0
                                                   : leaf->nested ? 2
                                                                  : 1};
        buf_reset(&s->encoded);
        change_relation_encode(&s->encoded, &r);
        r.encoded = buf_slice(&s->encoded);
        change_writer_relation(&s->writer, &r);
        s->described = true;
}

static struct change_value text(const char *t)
{
        return (struct change_value){VALUE_TEXT, slice_cstr(t)};
}

/* One transaction: a change of the leaf. */
static void change_leaf(struct test_engine *t, const struct leaf *leaf, uint32_t xid,
                        uint64_t commit, enum change_kind kind, const char *id, const char *v)
{
        struct test_stream s;
        struct change_value row[] = {text(v), text(id), {.kind = VALUE_NULL}};
        struct change_tuple tuple = {row, leaf->extra ? 3 : 2}, none = {0};
        stream_open(&s);
        describe(&s, leaf);
        stream_begin(&s, xid, commit, true);
        change_writer_change(
                &s.writer,
                &(struct change){kind, 0, LEAF, kind == CHANGE_INSERT ? tuple : none, none});
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, t, commit), 0);
        stream_close(&s);
}

static bool is_there(struct test_engine *t, uint64_t id)
{
        return registry_find(&t->engine.shapes, id) != NULL;
}

static void changes_of_a_partition(void **state)
{
        struct test_engine t;
        const struct leaf direct = {.since = 700, .born = true};
        const struct leaf nested = {.since = 700, .born = true, .nested = true};
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        change_leaf(&t, &direct, 1, 1000, CHANGE_INSERT, "1", "a");
        change_leaf(&t, &nested, 2, 1100, CHANGE_INSERT, "2", "b");
        test_expect(&t, id, ENTRY(1, 1000, 0, "1", "a") "," ENTRY(2, 1100, 0, "2", "b"));
        test_engine_close(&t);
}

/* What was a partition no longer is, then is again. */
static void partition_leaves(void **state)
{
        struct test_engine t;
        const struct leaf in = {.since = 700, .born = true}, out = {.orphan = true};
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        change_leaf(&t, &in, 1, 1000, CHANGE_INSERT, "1", "a");
        change_leaf(&t, &out, 2, 1100, CHANGE_INSERT, "2", "b");
        change_leaf(&t, &in, 3, 1200, CHANGE_INSERT, "3", "c");
        test_expect(&t, id, ENTRY(1, 1000, 0, "1", "a") "," ENTRY(3, 1200, 0, "3", "c"));
        test_engine_close(&t);
}

/* A shape that comes when the relation is known already. */
static void later_shape(void **state)
{
        struct test_engine t;
        const struct leaf leaf = {.since = 700, .born = true};
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t first = test_complete(&t, true, REPLICA_DEFAULT);
        change_leaf(&t, &leaf, 1, 1000, CHANGE_INSERT, "1", "a");
        uint64_t second = test_create(&t, false, REPLICA_DEFAULT);
        assert_int_equal(engine_hold(&t.engine, second), 0);
        assert_int_equal(test_begin(&t, second, "2:2:", 1000), 0);
        change_leaf(&t, &leaf, 2, 1100, CHANGE_INSERT, "2", "b");
        engine_remove(&t.engine, registry_find(&t.engine.shapes, first), GONE_DELETED, SLICE_EMPTY);
        assert_int_equal(engine_commit(&t.engine), 0);
        engine_job_done(&t.engine, second);
        change_leaf(&t, &leaf, 3, 1200, CHANGE_INSERT, "3", "c");
        test_expect(&t, second, ENTRY(2, 1100, 0, "2", "b") "," ENTRY(3, 1200, 0, "3", "c"));
        test_engine_close(&t);
}

static void truncate_of_a_partition(void **state)
{
        struct test_engine t;
        const struct leaf leaf = {.since = 700, .born = true, .nested = true};
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        stream_open(&s);
        describe(&s, &leaf);
        stream_begin(&s, 1, 1000, true);
        change_writer_change(&s.writer,
                             &(struct change){.kind = CHANGE_TRUNCATE, .relation_oid = LEAF});
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        assert_false(is_there(&t, id));
        stream_close(&s);
        test_engine_close(&t);
}

/* A change of a partition that the shape's description does not know and that was not born there:
 * rows that it had before are missing. */
static void attached_after_the_shape(void **state)
{
        struct test_engine t;
        const struct leaf leaf = {.since = 700};
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        change_leaf(&t, &leaf, 1, 1000, CHANGE_INSERT, "1", "a");
        assert_false(is_there(&t, id));
        test_engine_close(&t);
}

static void added_columns(void **state)
{
        struct test_engine t;
        const struct leaf leaf = {.since = 700, .born = true, .extra = true};
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t all = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t some = test_complete(&t, false, REPLICA_DEFAULT);
        change_leaf(&t, &leaf, 1, 1000, CHANGE_INSERT, "1", "a");
        assert_false(is_there(&t, all));
        test_expect(&t, some, ENTRY(1, 1000, 0, "1", "a"));
        test_engine_close(&t);
}

/* The reconciler's news: a partition was born, the shape goes on and then knows it; one was
 * attached, the shape goes. */
static void catalog_news(void **state)
{
        struct test_engine t;
        const struct tree_link born = {LEAF, TEST_OID, 700, true},
                               attached = {LEAF + 9, TEST_OID, 710, false};
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        struct table *now = test_table();
        now->links = mem_array(2, sizeof(*now->links));
        now->links[now->n_links++] = born;
        tree_add_below(&now->tree, &born);
        engine_drift(&t.engine, TEST_OID, now);
        assert_int_equal(engine_commit(&t.engine), 0);
        assert_true(is_there(&t, id));
        test_engine_restart(&t);
        assert_int_equal(registry_find(&t.engine.shapes, id)->view->version->table->tree.newest,
                         700);
        now->links[now->n_links++] = attached;
        tree_add_below(&now->tree, &attached);
        engine_drift(&t.engine, TEST_OID, now);
        assert_false(is_there(&t, id));
        table_free(now);
        test_engine_close(&t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(changes_of_a_partition),
                cmocka_unit_test(partition_leaves),
                cmocka_unit_test(later_shape),
                cmocka_unit_test(truncate_of_a_partition),
                cmocka_unit_test(attached_after_the_shape),
                cmocka_unit_test(added_columns),
                cmocka_unit_test(catalog_news),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
