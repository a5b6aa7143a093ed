#include "common/test/test.h"

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/ingest/pgoutput.h"
#include "services/ingest/pgoutput_test.h"

static int decode(struct pgoutput *d, const struct buf *b, struct pgoutput_msg *m)
{
        return pgoutput_decode(d, buf_slice(b), m);
}

#define BYTES(...)                                                                                 \
        slice_of((const char *)(const unsigned char[]){__VA_ARGS__},                               \
                 sizeof((const unsigned char[]){__VA_ARGS__}))

/* Bytes that PostgreSQL 15.18 made of `INSERT INTO gold VALUES (1, NULL, repeat('x', 3000))` and a
 * TRUNCATE. */
static void test_golden(void **state)
{
        (void)state;
        struct pgoutput *d = pgoutput_new();
        struct pgoutput_msg m;
        struct slice begin = BYTES(0x42, 0x00, 0x00, 0x00, 0x00, 0x05, 0x4c, 0xef, 0xc8, 0x00, 0x03,
                                   0x03, 0xea, 0xb0, 0x20, 0x45, 0x18, 0x00, 0x03, 0x4e, 0xe3);
        assert_int_equal(pgoutput_decode(d, begin, &m), 0);
        assert_int_equal(m.kind, PGOUTPUT_BEGIN);
        assert_int_equal(m.commit_lsn.v, 0x54cefc8);
        assert_int_equal(m.xid, 216803);
        assert_int_equal(m.commit_time_us, 0x000303eab0204518ULL + 946684800000000ULL);

        struct slice relation = BYTES(
                0x52, 0x00, 0x00, 0x40, 0x65, 0x70, 0x75, 0x62, 0x6c, 0x69, 0x63, 0x00, 0x67, 0x6f,
                0x6c, 0x64, 0x00, 0x66, 0x00, 0x03, 0x01, 0x69, 0x64, 0x00, 0x00, 0x00, 0x00, 0x17,
                0xff, 0xff, 0xff, 0xff, 0x01, 0x76, 0x00, 0x00, 0x00, 0x00, 0x19, 0xff, 0xff, 0xff,
                0xff, 0x01, 0x62, 0x69, 0x67, 0x00, 0x00, 0x00, 0x00, 0x19, 0xff, 0xff, 0xff, 0xff);
        assert_int_equal(pgoutput_decode(d, relation, &m), 0);
        assert_int_equal(m.relation.oid, 16485);
        assert_slice_equal(m.relation.schema, "public");
        assert_slice_equal(m.relation.table, "gold");
        assert_int_equal(m.relation.replica_identity, 'f');
        assert_int_equal(m.relation.n_columns, 3);
        assert_slice_equal(m.relation.columns[2].name, "big");
        assert_int_equal(m.relation.columns[0].type_oid, 23);
        assert_int_equal(m.relation.columns[2].type_mod, -1);
        assert_true(m.relation.columns[2].is_key); /* all of them: FULL */

        struct buf insert;
        struct slice head = BYTES(0x49, 0x00, 0x00, 0x40, 0x65, 0x4e, 0x00, 0x03, 0x74, 0x00, 0x00,
                                  0x00, 0x01, 0x31, 0x6e, 0x74, 0x00, 0x00, 0x0b, 0xb8);
        buf_init(&insert, 4096);
        buf_put_slice(&insert, head);
        for (int i = 0; i < 3000; i++)
                buf_putc(&insert, 'x');
        assert_int_equal(decode(d, &insert, &m), 0);
        assert_int_equal(m.relation_oid, 16485);
        assert_int_equal(m.new_row.n, 3);
        assert_slice_equal(m.new_row.values[0].text, "1");
        assert_int_equal(m.new_row.values[1].kind, VALUE_NULL);
        assert_int_equal(m.new_row.values[2].text.len, 3000);
        assert_int_equal(m.old_row.n, 0);
        buf_fini(&insert);

        struct slice commit =
                BYTES(0x43, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x4c, 0xef, 0xc8, 0x00, 0x00, 0x00,
                      0x00, 0x05, 0x4c, 0xef, 0xf8, 0x00, 0x03, 0x03, 0xea, 0xb0, 0x20, 0x45, 0x18);
        assert_int_equal(pgoutput_decode(d, commit, &m), 0);
        assert_int_equal(m.commit_lsn.v, 0x54cefc8);
        assert_int_equal(m.end_lsn.v, 0x54ceff8);

        struct slice truncate = BYTES(0x54, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x40, 0x65);
        assert_int_equal(pgoutput_decode(d, truncate, &m), 0);
        assert_int_equal(m.n_truncated, 1);
        assert_int_equal(pgoutput_truncated(&m, 0), 16485);
        pgoutput_free(d);
}

/* Rows as the documentation lays them out. */
static void test_rows(void **state)
{
        (void)state;
        struct pgoutput *d = pgoutput_new();
        struct pgoutput_msg m;
        struct slice update = BYTES('U', 0, 0, 0x40, 0, 'O', 0, 2, 't', 0, 0, 0, 1, '1', 'n', 'N',
                                    0, 2, 't', 0, 0, 0, 1, '1', 'u');
        assert_int_equal(pgoutput_decode(d, update, &m), 0);
        assert_int_equal(m.relation_oid, 16384);
        assert_false(m.old_is_key);
        assert_int_equal(m.old_row.n, 2);
        assert_slice_equal(m.old_row.values[0].text, "1");
        assert_int_equal(m.old_row.values[1].kind, VALUE_NULL);
        assert_int_equal(m.new_row.values[1].kind, VALUE_SAME);

        struct slice without_old = BYTES('U', 0, 0, 0x40, 0, 'N', 0, 1, 'n');
        assert_int_equal(pgoutput_decode(d, without_old, &m), 0);
        assert_int_equal(m.old_row.n, 0);

        struct slice by_key = BYTES('D', 0, 0, 0x40, 0, 'K', 0, 2, 't', 0, 0, 0, 1, '1', 'n');
        assert_int_equal(pgoutput_decode(d, by_key, &m), 0);
        assert_true(m.old_is_key);
        pgoutput_free(d);
}

/* One of each kind. */
static int make_all(struct buf *all)
{
        static const char *const row[] = {"t1", "n", "tx"};
        int n = 0;
        for (int i = 0; i < 12; i++)
                buf_init(&all[i], 4096);
        pgo_begin(&all[n++], 100, 7);
        pgo_commit(&all[n++], 100, 148);
        pgo_relation(&all[n++], 5, "t", 'f', 3);
        buf_putc(&all[n], 'I');
        pgo_int(&all[n], 5, 4);
        pgo_tuple(&all[n++], 'N', 3, row);
        buf_putc(&all[n], 'U');
        pgo_int(&all[n], 5, 4);
        pgo_tuple(&all[n], 'O', 3, row);
        pgo_tuple(&all[n++], 'N', 3, row);
        buf_putc(&all[n], 'U');
        pgo_int(&all[n], 5, 4);
        pgo_tuple(&all[n++], 'N', 3, row);
        buf_putc(&all[n], 'D');
        pgo_int(&all[n], 5, 4);
        pgo_tuple(&all[n++], 'K', 3, row);
        buf_putc(&all[n], 'T');
        pgo_int(&all[n], 1, 4);
        pgo_int(&all[n], 0, 1);
        pgo_int(&all[n++], 5, 4);
        buf_putc(&all[n], 'O');
        pgo_int(&all[n], 5, 8);
        pgo_text(&all[n++], "origin");
        buf_putc(&all[n], 'Y');
        pgo_int(&all[n], 5, 4);
        pgo_text(&all[n], "public");
        pgo_text(&all[n++], "mood");
        buf_putc(&all[n], 'M');
        pgo_int(&all[n], 1, 1);
        pgo_int(&all[n], 5, 8);
        pgo_text(&all[n], "prefix");
        pgo_int(&all[n], 3, 4);
        buf_puts(&all[n++], "abc");
        return n;
}

/* Every message is refused at every shorter length, and with a byte too many. The copies are of
 * exact size, so that a sanitizer sees a read beyond. */
static void test_truncated(void **state)
{
        (void)state;
        struct pgoutput *d = pgoutput_new();
        struct pgoutput_msg m;
        struct buf all[12];
        int n = make_all(all);
        assert_int_equal(n, 11);
        for (int i = 0; i < n; i++) {
                assert_int_equal(decode(d, &all[i], &m), 0);
                for (size_t len = 0; len < all[i].len; len++) {
                        struct slice cut = slice_dup(slice_of(all[i].p, len));
                        assert_int_equal(pgoutput_decode(d, cut, &m), ERR_FORMAT);
                        mem_free((void *)(uintptr_t)cut.p);
                }
                buf_putc(&all[i], 'x');
                assert_int_equal(decode(d, &all[i], &m), ERR_FORMAT);
        }
        for (int i = 0; i < 12; i++)
                buf_fini(&all[i]);
        pgoutput_free(d);
}

static void test_hostile_counts(void **state)
{
        (void)state;
        struct pgoutput *d = pgoutput_new();
        struct pgoutput_msg m;
        struct slice columns = BYTES('I', 0, 0, 0, 1, 'N', 0xff, 0xff, 'n', 'n');
        struct slice text = BYTES('I', 0, 0, 0, 1, 'N', 0, 1, 't', 0xff, 0xff, 0xff, 0xff, 'a');
        struct slice tables = BYTES('T', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1);
        struct slice streamed = BYTES('S', 0, 0, 0, 1, 1);
        assert_int_equal(pgoutput_decode(d, columns, &m), ERR_FORMAT);
        assert_int_equal(pgoutput_decode(d, text, &m), ERR_FORMAT);
        assert_int_equal(pgoutput_decode(d, tables, &m), ERR_FORMAT);
        assert_int_equal(pgoutput_decode(d, streamed, &m), ERR_FORMAT);
        /* what a reader of the batch would refuse */
        struct slice identity = BYTES('R', 0, 0, 0, 1, 's', 0, 't', 0, 0xe6, 0, 0);
        assert_int_equal(pgoutput_decode(d, identity, &m), ERR_FORMAT);
        pgoutput_free(d);
}

/* Random bytes, and messages with random damage: never more than an error. */
static void test_damage(void **state)
{
        (void)state;
        uint64_t seed = 20240611;
        struct pgoutput *d = pgoutput_new();
        struct pgoutput_msg m;
        struct buf all[12];
        int n = make_all(all);
        for (int round = 0; round < 20000; round++) {
                struct slice copy = slice_dup(buf_slice(&all[round % n]));
                char *bytes = (char *)(uintptr_t)copy.p;
                for (int hits = 1 + (int)(test_random(&seed) % 4); hits > 0; hits--)
                        bytes[test_random(&seed) % copy.len] = (char)test_random(&seed);
                (void)pgoutput_decode(d, copy, &m);
                for (size_t i = 1; i < copy.len; i++)
                        bytes[i] = (char)test_random(&seed);
                (void)pgoutput_decode(d, copy, &m);
                mem_free(bytes);
        }
        for (int i = 0; i < 12; i++)
                buf_fini(&all[i]);
        pgoutput_free(d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden),    cmocka_unit_test(test_rows),
                cmocka_unit_test(test_truncated), cmocka_unit_test(test_hostile_counts),
                cmocka_unit_test(test_damage),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
