/* The engine with a store of its own and batches made here: what a shape's log must be, whatever
 * came in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "services/router/test_engine.h"

enum { CHUNK = 1 << 20, PENDING = 1 << 20, MAP = 64 << 20 };

#define ENTRY(xid, lsn, op, id, v, close)                                                          \
        "{\"key\":\"\\\"public\\\".\\\"t\\\"/\\\"" id "\\\"\",\"value\":{\"id\":\"" id             \
        "\",\"v\":\"" v "\"},\"headers\":{\"operation\":\"insert\",\"relation\":[\"public\","      \
        "\"t\"],\"txids\":[" #xid "],\"lsn\":\"" #lsn "\",\"op_position\":" #op close
#define LAST ",\"last\":true}}"
#define MORE "}}"

static void test_transactions(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);

        stream_begin(&s, 700, 1000, true);
        stream_insert(&s, 0, "1", "a");
        stream_insert(&s, 4, "2", "b");
        /* nothing changes: no entry, and the one before is the last */
        stream_change(&s, CHANGE_UPDATE, 6, (struct test_row){"1", "a"},
                      (struct test_row){"1", NULL});
        stream_end(&s, true);
        stream_begin(&s, 701, 1100, true);
        stream_change(&s, CHANGE_UPDATE, 0, (struct test_row){"1", "a"},
                      (struct test_row){"3", NULL});
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 1200), 0);
        test_expect(&t, id,
                    ENTRY(700, 1000, 0, "1", "a", MORE) "," ENTRY(
                            700, 1000, 4, "2", "b",
                            LAST) ","
                                  "{\"key\":\"\\\"public\\\".\\\"t\\\"/"
                                  "\\\"1\\\"\",\"value\":{\"id\":\"1\"},"
                                  "\"headers\":{\"operation\":\"delete\",\"relation\":[\"public\","
                                  "\"t\"],"
                                  "\"txids\":[701],\"lsn\":\"1100\",\"op_position\":0,"
                                  "\"key_change_to\":\"\\\"public\\\".\\\"t\\\"/\\\"3\\\"\"}},"
                                  "{\"key\":\"\\\"public\\\".\\\"t\\\"/"
                                  "\\\"3\\\"\",\"value\":{\"id\":\"3\","
                                  "\"v\":\"a\"},\"headers\":{\"operation\":\"insert\",\"relation\":"
                                  "[\"public\","
                                  "\"t\"],\"txids\":[701],\"lsn\":\"1100\",\"op_position\":1,"
                                  "\"key_change_from\":\"\\\"public\\\".\\\"t\\\"/"
                                  "\\\"1\\\"\",\"last\":true}}");
        assert_int_equal(t.engine.place.applied.v, 1200);
        assert_int_equal(t.appends, 1);
        assert_int_equal(t.inlined, 1);

        /* delivered again: nothing is doubled, however far back it begins */
        stream_begin(&s, 700, 1000, true);
        stream_insert(&s, 0, "1", "a");
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 1150), 0);
        assert_int_equal(t.engine.place.applied.v, 1200);
        assert_int_equal(t.appends, 1);
        stream_close(&s);
        test_engine_close(&t);
}

static void test_parts(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        stream_begin(&s, 7, 1000, true);
        stream_insert(&s, 0, "1", "a");
        stream_insert(&s, 2, "2", "b");
        stream_end(&s, false);
        assert_int_equal(stream_apply(&s, &t, 900), 0);
        test_expect(&t, id, "");
        stream_begin(&s, 7, 1000, false);
        stream_insert(&s, 4, "3", "c");
        stream_end(&s, false);
        assert_int_equal(stream_apply(&s, &t, 900), 0);
        test_expect(&t, id, "");
        assert_int_equal(t.appends, 0);
        stream_begin(&s, 7, 1000, false);
        stream_end(&s, true); /* the last part has nothing: the entry kept open is the last */
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        test_expect(&t, id,
                    ENTRY(7, 1000, 0, "1", "a", MORE) "," ENTRY(
                            7, 1000, 2, "2", "b", MORE) "," ENTRY(7, 1000, 4, "3", "c", LAST));
        assert_int_equal(t.appends, 1);
        assert_int_equal(t.inlined, 0); /* the beginning is on disk already */
        /* parts whose beginning was never seen */
        stream_begin(&s, 8, 2000, false);
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 2000), ERR_RANGE);
        stream_close(&s);
        test_engine_close(&t);
}

static void test_restart_between_parts(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        for (int restart = 0; restart < 2; restart++) {
                test_engine_open(&t, CHUNK, PENDING, MAP);
                stream_open(&s);
                uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
                for (int part = 0; part < 2; part++) {
                        stream_begin(&s, 7, 1000, part == 0);
                        stream_insert(&s, (uint64_t)part * 4, "1", "a");
                        stream_insert(&s, (uint64_t)part * 4 + 2, "2", "b");
                        stream_end(&s, false);
                        assert_int_equal(stream_apply(&s, &t, 900), 0);
                }
                assert_int_equal(t.engine.place.open.v, 1000);
                if (restart)
                        test_engine_restart(&t);
                else
                        engine_rewind(&t.engine);
                assert_int_equal(t.engine.place.applied.v, 900);
                test_expect(&t, id, "");
                /* it comes again, cut differently */
                stream_begin(&s, 7, 1000, true);
                stream_insert(&s, 0, "1", "a");
                stream_insert(&s, 2, "2", "b");
                stream_insert(&s, 4, "1", "a");
                stream_end(&s, false);
                assert_int_equal(stream_apply(&s, &t, 900), 0);
                stream_begin(&s, 7, 1000, false);
                stream_insert(&s, 6, "2", "b");
                stream_end(&s, true);
                assert_int_equal(stream_apply(&s, &t, 1000), 0);
                test_expect(&t, id,
                            ENTRY(7, 1000, 0, "1", "a", MORE) "," ENTRY(
                                    7, 1000, 2, "2", "b",
                                    MORE) "," ENTRY(7, 1000, 4, "1", "a",
                                                    MORE) "," ENTRY(7, 1000, 6, "2", "b", LAST));
                stream_close(&s);
                test_engine_close(&t);
        }
}

/* ---- I2 */

static void put_one(struct test_stream *s, uint32_t xid, uint64_t commit, const char *id)
{
        stream_begin(s, xid, commit, true);
        stream_insert(s, 0, id, "x");
        stream_end(s, true);
}

static void test_held_and_filtered(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        put_one(&s, 100, 1000, "1"); /* before the shape */
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        uint64_t id = test_create(&t, true, REPLICA_DEFAULT);
        put_one(&s, 101, 1100, "2"); /* the shape waits: it is not in its log */
        assert_int_equal(stream_apply(&s, &t, 1100), 0);
        assert_int_equal(engine_hold(&t.engine, id), 0);
        put_one(&s, 102, 1200, "3"); /* held, in the snapshot */
        put_one(&s, 104, 1300, "4"); /* held, not in the snapshot */
        assert_int_equal(stream_apply(&s, &t, 1300), 0);

        /* I2(a): 101 was routed before the hold and is not visible: the snapshot is no good, in
         * either place */
        assert_int_equal(test_begin(&t, id, "101:105:101,104", 1400), ERR_AGAIN);
        assert_int_equal(test_begin(&t, id, "101:101:", 1400), ERR_AGAIN);
        /* held again while held: keeps what it has */
        assert_int_equal(engine_hold(&t.engine, id), 0);
        assert_int_equal(test_begin(&t, id, "103:104:103", 1400), 0);
        assert_int_equal(engine_commit(&t.engine), 0);
        test_expect(&t, id, ENTRY(104, 1300, 0, "4", "x", LAST));

        test_rows(&t, id, 0, "{\"end\":1}", false);
        assert_int_equal(engine_end(&t.engine, id, 0), 0);
        engine_job_done(&t.engine, id);
        assert_int_equal(engine_commit(&t.engine), 0);
        test_engine_restart(&t);
        /* the filter outlives a restart; 90 is visible though it commits late, 103 is not. Beyond L
         * nothing can be, whatever its xid */
        put_one(&s, 90, 1350, "5");
        put_one(&s, 103, 1400, "6");
        put_one(&s, 91, 1500, "7");
        assert_int_equal(stream_apply(&s, &t, 1500), 0);
        test_expect(&t, id,
                    ENTRY(104, 1300, 0, "4", "x", LAST) "," ENTRY(
                            103, 1400, 0, "6", "x", LAST) "," ENTRY(91, 1500, 0, "7", "x", LAST));
        stream_close(&s);
        test_engine_close(&t);
}

/* Held from the middle of a transaction: the snapshot must see that one; a transaction in parts
 * goes on after it. */
static void test_held_in_parts(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t id = test_create(&t, true, REPLICA_DEFAULT);
        stream_begin(&s, 100, 1000, true);
        stream_insert(&s, 0, "1", "x");
        stream_end(&s, false);
        assert_int_equal(stream_apply(&s, &t, 900), 0);
        assert_int_equal(engine_hold(&t.engine, id), 0);
        stream_begin(&s, 100, 1000, false);
        stream_insert(&s, 2, "2", "x");
        stream_end(&s, true);
        stream_begin(&s, 101, 1100, true);
        stream_insert(&s, 0, "3", "x");
        stream_end(&s, false);
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        assert_int_equal(test_begin(&t, id, "100:101:100", 1200), ERR_AGAIN);
        assert_int_equal(test_begin(&t, id, "101:101:", 1200), 0);
        assert_int_equal(engine_commit(&t.engine), 0);
        test_expect(&t, id, "");
        stream_begin(&s, 101, 1100, false);
        stream_insert(&s, 2, "4", "x");
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 1100), 0);
        test_expect(&t, id,
                    ENTRY(101, 1100, 0, "3", "x", MORE) "," ENTRY(101, 1100, 2, "4", "x", LAST));
        stream_close(&s);
        test_engine_close(&t);
}

static void test_held_too_much(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        t.engine.held.max_bytes = 300;
        uint64_t id = test_create(&t, true, REPLICA_DEFAULT);
        assert_int_equal(engine_hold(&t.engine, id), 0);
        for (uint32_t i = 0; i < 10; i++) {
                put_one(&s, 200 + i, 1000 + i, "1");
                assert_int_equal(stream_apply(&s, &t, 1000 + i), 0);
                assert_true(t.engine.held.bytes <= 300);
        }
        assert_int_equal(test_begin(&t, id, "300:300:", 2000), ERR_AGAIN);
        assert_int_equal(engine_hold(&t.engine, id), 0);
        assert_int_equal(test_begin(&t, id, "300:300:", 2000), 0);
        assert_int_equal(t.engine.held.n, 0);
        stream_close(&s);
        test_engine_close(&t);
}

/* ---- going */

static void test_truncate(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        assert_true(t.table_used);
        put_one(&s, 1, 1000, "1");
        stream_begin(&s, 2, 1100, true);
        stream_change(&s, CHANGE_TRUNCATE, 0, (struct test_row){0}, (struct test_row){0});
        stream_insert(&s, 2, "9", "x");
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 1100), 0);
        assert_null(registry_find(&t.engine.shapes, id));
        assert_false(t.table_used);
        assert_int_equal(t.gone, 1);
        assert_int_equal(t.engine.n_deleted, 1);
        while (engine_reap(&t.engine))
                ;
        assert_int_equal(t.engine.n_deleted, 0);
        stream_close(&s);
        test_engine_close(&t);
}

static void test_relation_drifts(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t all = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t some = test_complete(&t, false, REPLICA_DEFAULT);
        s.extra_column = true;
        put_one(&s, 1, 1000, "1");
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        assert_null(registry_find(&t.engine.shapes, all));
        test_expect(&t, some, ENTRY(1, 1000, 0, "1", "x", LAST));
        /* an update without its old row */
        stream_begin(&s, 2, 1100, true);
        stream_change(&s, CHANGE_UPDATE, 0, (struct test_row){0}, (struct test_row){"1", "y"});
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 1100), 0);
        assert_null(registry_find(&t.engine.shapes, some));
        stream_close(&s);
        test_engine_close(&t);
}

static void test_delete_without_old_row(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        stream_begin(&s, 2, 1100, true);
        stream_change(&s, CHANGE_DELETE, 0, (struct test_row){0}, (struct test_row){0});
        stream_end(&s, true);
        assert_int_equal(stream_apply(&s, &t, 1100), 0);
        assert_null(registry_find(&t.engine.shapes, id));
        stream_close(&s);
        test_engine_close(&t);
}

/* What a batch says of a table is news when it is the first or says so. */
static void test_described(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        test_complete(&t, true, REPLICA_DEFAULT);
        assert_int_equal(t.n_described, 0);
        for (uint64_t commit = 1100; commit < 1400; commit += 100) {
                put_one(&s, 2, commit, "2");
                assert_int_equal(stream_apply(&s, &t, commit), 0);
                assert_int_equal(t.n_described, 1);
        }
        s.told = 1;
        put_one(&s, 3, 1400, "3");
        assert_int_equal(stream_apply(&s, &t, 1400), 0);
        assert_int_equal(t.n_described, 2);
        stream_close(&s);
        test_engine_close(&t);
}

/* A change of a relation that no batch has described, or that has another number of columns. */
static void test_malformed_batch(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        s.no_relation = true;
        put_one(&s, 1, 1000, "1");
        assert_int_equal(stream_apply(&s, &t, 1000), ERR_FORMAT);
        struct batch *b = batch_of_copy(1, 1, SLICE_LIT("\xc1 nonsense"));
        assert_int_equal(engine_apply(&t.engine, b), ERR_FORMAT);
        batch_unref(b);
        engine_rewind(&t.engine);
        s.no_relation = false;
        put_one(&s, 1, 1000, "1");
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        test_expect(&t, id, ENTRY(1, 1000, 0, "1", "x", LAST));
        stream_close(&s);
        test_engine_close(&t);
}

static void test_catalog_drifts(void **state)
{
        struct test_engine t;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        uint64_t all = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t some = test_complete(&t, false, REPLICA_DEFAULT);
        struct table *now = test_table();
        assert_true(engine_drift(&t.engine, TEST_OID, now));
        assert_int_equal(t.gone + t.schemas, 0);
        now->asked_ms = 1; /* long before the shapes began: another column, not published */
        uint32_t type_oid = now->columns[1].type_oid;
        now->columns[1].type_oid = 17;
        now->member = 5;
        assert_false(engine_drift(&t.engine, TEST_OID, now));
        assert_int_equal(t.gone + t.schemas, 0);
        now->columns[1].type_oid = type_oid;
        now->asked_ms = now->member = 0;
        now->columns[1].not_null = true; /* only the header changes */
        engine_drift(&t.engine, TEST_OID, now);
        assert_int_equal(engine_commit(&t.engine), 0);
        assert_int_equal(t.schemas, 2);
        assert_int_equal(t.gone, 0);
        test_engine_restart(&t);
        assert_true(
                registry_find(&t.engine.shapes, all)->view->version->table->columns[1].not_null);
        now->columns[1].type_oid = 17;
        engine_drift(&t.engine, TEST_OID, now);
        assert_int_equal(engine_commit(&t.engine), 0);
        assert_int_equal(t.gone, 2);
        assert_null(registry_find(&t.engine.shapes, some));
        some = test_complete(&t, false, REPLICA_DEFAULT);
        engine_drift(&t.engine, TEST_OID, NULL);
        assert_null(registry_find(&t.engine.shapes, some));
        table_free(now);
        test_engine_close(&t);
}

/* ---- restart */

static void test_recovery(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        uint64_t done = test_complete(&t, true, REPLICA_DEFAULT);
        uint64_t full = test_complete(&t, true, REPLICA_FULL);
        uint64_t young = test_create(&t, false, REPLICA_FULL);
        assert_int_equal(engine_hold(&t.engine, young), 0);
        put_one(&s, 1, 1000, "1");
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        assert_int_equal(test_begin(&t, young, "2:2:", 1100), 0);
        test_rows(&t, young, 0, "{\"row\":1}", true);
        assert_int_equal(engine_commit(&t.engine), 0);
        uint64_t created = registry_find(&t.engine.shapes, done)->created_us;

        test_engine_restart(&t);
        assert_int_equal(registry_count(&t.engine.shapes), 2);
        assert_null(registry_find(&t.engine.shapes, young));
        assert_int_equal(registry_find(&t.engine.shapes, done)->created_us, created);
        assert_int_equal(t.engine.place.applied.v, 1000);
        test_expect(&t, done, ENTRY(1, 1000, 0, "1", "x", LAST));
        put_one(&s, 2, 1200, "2");
        assert_int_equal(stream_apply(&s, &t, 1200), 0);
        test_expect(&t, full,
                    ENTRY(1, 1000, 0, "1", "x", LAST) "," ENTRY(2, 1200, 0, "2", "x", LAST));
        /* I6, and I2(a) across the restart: 1 and 2 were routed */
        uint64_t next = test_create(&t, false, REPLICA_FULL);
        assert_true(next > young);
        assert_int_equal(engine_hold(&t.engine, next), 0);
        assert_int_equal(test_begin(&t, next, "1:3:1", 1300), ERR_AGAIN);
        assert_int_equal(test_begin(&t, next, "3:3:", 1300), 0);
        stream_close(&s);
        test_engine_close(&t);
}

static void test_purge(void **state)
{
        struct test_engine t;
        struct test_stream s;
        (void)state;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        test_complete(&t, true, REPLICA_DEFAULT);
        test_complete(&t, false, REPLICA_DEFAULT);
        put_one(&s, 1, 1000, "1");
        assert_int_equal(stream_apply(&s, &t, 1000), 0);
        engine_purge(&t.engine);
        engine_start_at(&t.engine, (lsn_t){500});
        assert_int_equal(engine_commit(&t.engine), 0);
        assert_int_equal(t.gone, 2);
        assert_int_equal(registry_count(&t.engine.shapes), 0);
        test_engine_restart(&t);
        assert_int_equal(t.engine.place.applied.v, 500);
        uint64_t id = test_complete(&t, true, REPLICA_DEFAULT);
        put_one(&s, 1, 600, "1");
        assert_int_equal(stream_apply(&s, &t, 600), 0);
        test_expect(&t, id, ENTRY(1, 600, 0, "1", "x", LAST));
        stream_close(&s);
        test_engine_close(&t);
}

/* A history of one transaction (xid 1 at 1000), applied up to 1200 and joined again after 900:
 * which transactions may come again? */
static int comes_again(uint32_t xid, uint64_t commit, uint64_t end)
{
        struct test_engine t;
        struct test_stream s;
        test_engine_open(&t, CHUNK, PENDING, MAP);
        stream_open(&s);
        engine_start_at(&t.engine, (lsn_t){900});
        test_complete(&t, true, REPLICA_DEFAULT);
        put_one(&s, 1, 1000, "1");
        assert_int_equal(stream_apply(&s, &t, 1200), 0);
        test_engine_restart(&t); /* what is remembered is on disk */
        engine_resume(&t.engine, (lsn_t){900});
        if (commit)
                put_one(&s, xid, commit, "1");
        int err = stream_apply(&s, &t, end);
        stream_close(&s);
        test_engine_close(&t);
        return err;
}

static void test_another_history(void **state)
{
        (void)state;
        assert_int_equal(comes_again(1, 1000, 1100), 0);
        assert_int_equal(comes_again(2, 1000, 1100), ERR_HISTORY); /* another one in its place */
        assert_int_equal(comes_again(2, 1300, 1300), ERR_HISTORY); /* it is missing */
        assert_int_equal(comes_again(0, 0, 1250), ERR_HISTORY);    /* and nothing came instead */
        assert_int_equal(comes_again(0, 0, 950), 0);               /* it may still come */
        assert_int_equal(comes_again(2, 1100, 1100), ERR_HISTORY); /* new where nothing was */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_transactions),
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_restart_between_parts),
                cmocka_unit_test(test_held_and_filtered),
                cmocka_unit_test(test_held_in_parts),
                cmocka_unit_test(test_held_too_much),
                cmocka_unit_test(test_truncate),
                cmocka_unit_test(test_relation_drifts),
                cmocka_unit_test(test_delete_without_old_row),
                cmocka_unit_test(test_described),
                cmocka_unit_test(test_malformed_batch),
                cmocka_unit_test(test_catalog_drifts),
                cmocka_unit_test(test_recovery),
                cmocka_unit_test(test_purge),
                cmocka_unit_test(test_another_history),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
