#include "common/test/test.h"

#include "common/base/err.h"
#include "common/wire/change.h"

#define TEXT(literal)                                                                              \
        {                                                                                          \
                VALUE_TEXT,                                                                        \
                {                                                                                  \
                        "" literal, sizeof(literal) - 1                                            \
                }                                                                                  \
        }

static struct change_column columns[] = {{{"id", 2}, 23, -1, true}, {{"note", 4}, 25, -1, false}};

static struct change_ancestor ancestors[] = {{16380, 690, true}, {16370, 680, false}};

static void put_relation(struct change_writer *w)
{
        struct buf encoded;
        struct change_relation rel = {.oid = 16384,
                                      .schema = SLICE_LIT("public"),
                                      .table = SLICE_LIT("items"),
                                      .replica_identity = 'f',
                                      .told = 1,
                                      .columns = columns,
                                      .n_columns = 2,
                                      .ancestors = ancestors,
                                      .n_ancestors = 2};
        buf_init(&encoded, 4096);
        change_relation_encode(&encoded, &rel);
        rel.encoded = buf_slice(&encoded);
        change_writer_relation(w, &rel);
        buf_fini(&encoded);
}

/* One insert, one update with an unchanged value, one delete, one truncate, in a whole and a
 * partial transaction. */
static void write_batch(struct buf *out)
{
        struct change_writer w;
        struct change_value row[] = {TEXT("1"), {.kind = VALUE_NULL}};
        struct change_value changed[] = {{.kind = VALUE_SAME}, TEXT("x")};
        struct change_tuple none = {0}, old = {row, 2}, new_row = {changed, 2};
        change_writer_init(&w, 1 << 16);
        put_relation(&w);
        change_writer_txn_begin(&w, &(struct change_txn){700, {0x1000}, 5, true, false});
        change_writer_change(&w, &(struct change){CHANGE_INSERT, 0, 16384, old, none});
        change_writer_change(&w, &(struct change){CHANGE_UPDATE, 2, 16384, new_row, old});
        change_writer_txn_end(&w, true);
        change_writer_txn_begin(&w, &(struct change_txn){701, {0x2000}, 6, true, false});
        change_writer_change(&w, &(struct change){CHANGE_DELETE, 0, 16384, none, old});
        change_writer_change(&w, &(struct change){CHANGE_TRUNCATE, 2, 16384, none, none});
        change_writer_txn_end(&w, false);
        assert_int_equal(change_writer_finish(&w, (lsn_t){0x1000}, out), 0);
        assert_int_equal(change_writer_bytes(&w), 0);
        change_writer_fini(&w);
}

static void test_round_trip(void **state)
{
        (void)state;
        struct buf b;
        struct change_reader r;
        struct change_relation rel;
        struct change_txn txn;
        struct change c;
        buf_init(&b, 1 << 16);
        write_batch(&b);
        change_reader_init(&r);
        assert_int_equal(change_reader_start(&r, buf_slice(&b)), 0);
        assert_true(r.end_lsn.v == 0x1000);
        assert_true(change_reader_relation(&r, &rel));
        assert_slice_equal(rel.table, "items");
        assert_int_equal(rel.n_columns, 2);
        assert_slice_equal(rel.columns[1].name, "note");
        assert_int_equal(rel.n_ancestors, 2);
        assert_int_equal(rel.ancestors[1].oid, 16370);
        assert_int_equal(rel.ancestors[1].since, 680);
        assert_true(rel.ancestors[0].born && !rel.ancestors[1].born);
        assert_false(change_reader_relation(&r, &rel));
        assert_true(change_reader_txn(&r, &txn));
        assert_true(txn.xid == 700 && txn.first_part && txn.last_part);
        assert_true(change_reader_change(&r, &c));
        assert_int_equal(c.kind, CHANGE_INSERT);
        assert_slice_equal(c.new_row.values[0].text, "1");
        assert_int_equal(c.new_row.values[1].kind, VALUE_NULL);
        assert_true(change_reader_change(&r, &c));
        assert_int_equal(c.new_row.values[0].kind, VALUE_SAME);
        assert_slice_equal(c.old_row.values[0].text, "1");
        assert_false(change_reader_change(&r, &c));
        assert_true(change_reader_txn(&r, &txn));
        assert_true(txn.xid == 701 && txn.first_part && !txn.last_part);
        assert_true(change_reader_change(&r, &c));
        assert_int_equal(c.kind, CHANGE_DELETE);
        assert_true(change_reader_change(&r, &c));
        assert_int_equal(c.kind, CHANGE_TRUNCATE);
        assert_false(change_reader_txn(&r, &txn));
        assert_int_equal(change_reader_status(&r), 0);
        change_reader_fini(&r);
        buf_fini(&b);
}

static int read_all(struct change_reader *r, struct slice bytes)
{
        struct change_relation rel;
        struct change_txn txn;
        struct change c;
        int err = change_reader_start(r, bytes);
        if (err != 0)
                return err;
        while (change_reader_relation(r, &rel))
                ;
        while (change_reader_txn(r, &txn)) {
                while (change_reader_change(r, &c))
                        ;
        }
        return change_reader_status(r);
}

/* Golden bytes: the format is a contract between processes of different ages. */
static void test_golden(void **state)
{
        (void)state;
        static const char golden[] =
                "\x95\x04\xcd\x10\x00\x91\x97\xcd\x40\x00\xa6public\xa5items\x66\x01\x92\x94\xa2id"
                "\x17"
                "\xff"
                "\xc3\x94\xa4note\x19\xff\xc2"
                "\x92\x93\xcd\x3f\xfc\xcd\x02\xb2\xc3\x93\xcd\x3f\xf2\xcd\x02\xa8\xc2"
                "\xdd\x00\x00\x00\x07\xcd\x02\xbc\xcd\x10\x00\x05\xc3\xc3"
                "\x95\x49\x00\xcd\x40\x00\x92\xc4\x01\x31\xc0\xc0"
                "\x95\x55\x02\xcd\x40\x00\x92\xc3\xc4\x01\x78\x92\xc4\x01\x31\xc0"
                "\xdd\x00\x00\x00\x07\xcd\x02\xbd\xcd\x20\x00\x06\xc3\xc2"
                "\x95\x44\x00\xcd\x40\x00\xc0\x92\xc4\x01\x31\xc0"
                "\x95\x54\x02\xcd\x40\x00\xc0\xc0";
        struct buf b;
        buf_init(&b, 1 << 16);
        write_batch(&b);
        assert_int_equal(b.len, sizeof(golden) - 1);
        assert_memory_equal(b.p, golden, b.len);
        buf_fini(&b);
}

static void test_damaged_input(void **state)
{
        (void)state;
        struct buf b;
        struct change_reader r;
        uint64_t seed = 7;
        buf_init(&b, 1 << 16);
        write_batch(&b);
        change_reader_init(&r);
        for (size_t len = 0; len < b.len; len++)
                assert_int_not_equal(read_all(&r, slice_of(b.p, len)), 0);
        for (int i = 0; i < 100000;
             i++) { /* must end, inside the bytes; the verdict may be either */
                size_t at = test_random(&seed) % b.len;
                char was = b.p[at];
                b.p[at] = (char)test_random(&seed);
                (void)read_all(&r, buf_slice(&b));
                b.p[at] = was;
        }
        assert_int_equal(read_all(&r, buf_slice(&b)), 0);
        change_reader_fini(&r);
        buf_fini(&b);
}

static void test_too_large(void **state)
{
        (void)state;
        struct change_writer w;
        struct buf out;
        struct change_value row[] = {TEXT("0123456789012345678901234567890123456789")};
        struct change_tuple none = {0}, one = {row, 1};
        buf_init(&out, 1 << 16);
        change_writer_init(&w, 64);
        change_writer_txn_begin(&w, &(struct change_txn){1, {1}, 0, true, false});
        change_writer_change(&w, &(struct change){CHANGE_INSERT, 0, 1, one, none});
        change_writer_change(&w, &(struct change){CHANGE_INSERT, 2, 1, one, none});
        change_writer_txn_end(&w, true);
        assert_int_equal(change_writer_finish(&w, (lsn_t){1}, &out), ERR_LIMIT);
        assert_int_equal(out.len, 0);
        change_writer_fini(&w);
        buf_fini(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_golden),
                cmocka_unit_test(test_damaged_input),
                cmocka_unit_test(test_too_large),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
