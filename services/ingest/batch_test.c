#include "common/test/test.h"

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/ingest/batch.h"
#include "services/ingest/pgoutput_test.h"

enum { BATCHES_MAX = 64 };

/* A batcher fed with messages as bytes, and everything that it emitted. */
struct rig {
        struct batch *batch;
        struct pgoutput *decoder;
        struct buf msg, why;
        int n;
        struct slice bodies[BATCHES_MAX];
        lsn_t ends[BATCHES_MAX], reaches[BATCHES_MAX];
};

static void keep(void *arg, const struct batch_out *out)
{
        struct rig *r = arg;
        assert_true(r->n < BATCHES_MAX);
        r->ends[r->n] = out->end;
        r->reaches[r->n] = out->reach;
        r->bodies[r->n++] = slice_dup(out->body);
}

static void rig_init(struct rig *r, size_t batch_bytes)
{
        *r = (struct rig){0};
        r->batch = batch_new(batch_bytes, keep, r);
        r->decoder = pgoutput_new();
        buf_init(&r->msg, 1 << 20);
        buf_init(&r->why, 1024);
        batch_begin(r->batch, (lsn_t){50});
}

static void rig_fini(struct rig *r)
{
        for (int i = 0; i < r->n; i++)
                mem_free((void *)(uintptr_t)r->bodies[i].p);
        batch_free(r->batch);
        pgoutput_free(r->decoder);
        buf_fini(&r->msg);
        buf_fini(&r->why);
}

static int feed(struct rig *r)
{
        struct pgoutput_msg m;
        assert_int_equal(pgoutput_decode(r->decoder, buf_slice(&r->msg), &m), 0);
        buf_reset(&r->msg);
        return batch_message(r->batch, &m, &r->why);
}

static void begin(struct rig *r, uint64_t lsn, uint32_t xid)
{
        pgo_begin(&r->msg, lsn, xid);
        assert_int_equal(feed(r), 0);
}

static void commit(struct rig *r, uint64_t lsn)
{
        pgo_commit(&r->msg, lsn, lsn + 48);
        assert_int_equal(feed(r), 0);
}

static void relation(struct rig *r, uint32_t oid, int columns)
{
        pgo_relation(&r->msg, oid, "t", 'f', columns);
        assert_int_equal(feed(r), 0);
}

static void put_insert(struct rig *r, uint32_t oid, const char *a, const char *b)
{
        const char *row[] = {a, b};
        buf_putc(&r->msg, 'I');
        pgo_int(&r->msg, oid, 4);
        pgo_tuple(&r->msg, 'N', 2, row);
}

static void insert(struct rig *r, uint32_t oid, const char *a, const char *b)
{
        put_insert(r, oid, a, b);
        assert_int_equal(feed(r), 0);
}

/* The i-th batch as text: `@end` `r<oid>/<columns>` `(xid,lsn[<>]` changes `)`; `<`: first part,
 * `>`: last part. */
static void show(const struct rig *r, int i, struct buf *out)
{
        struct change_reader rd;
        struct change_relation rel;
        struct change_txn t;
        struct change c;
        change_reader_init(&rd);
        assert_int_equal(change_reader_start(&rd, r->bodies[i]), 0);
        buf_printf(out, "@%d", (int)rd.end_lsn.v);
        while (change_reader_relation(&rd, &rel))
                buf_printf(out, " r%u/%u", rel.oid, rel.n_columns);
        while (change_reader_txn(&rd, &t)) {
                buf_printf(out, " (%u,%d%s%s", t.xid, (int)t.commit_lsn.v, t.first_part ? "<" : "",
                           t.last_part ? ">" : "");
                while (change_reader_change(&rd, &c)) {
                        buf_printf(out, " %c%d:%u[", c.kind, (int)c.op, c.relation_oid);
                        for (uint32_t k = 0; k < c.new_row.n; k++) {
                                struct change_value v = c.new_row.values[k];
                                buf_puts(out, k ? "," : "");
                                buf_puts(out, v.kind == VALUE_NULL   ? "~"
                                              : v.kind == VALUE_SAME ? "="
                                                                     : "");
                                buf_put_slice(out, v.kind == VALUE_TEXT ? v.text : SLICE_EMPTY);
                        }
                        buf_putc(out, ']');
                }
                buf_putc(out, ')');
        }
        assert_int_equal(change_reader_status(&rd), 0);
        change_reader_fini(&rd);
}

static void expect(const struct rig *r, int i, const char *text)
{
        struct buf out;
        assert_true(i < r->n);
        buf_init(&out, 1 << 20);
        show(r, i, &out);
        assert_string_equal(buf_cstr(&out), text);
        buf_fini(&out);
}

/* A table may have no columns; its rows count as operations and are not sent. */
static void test_no_columns(void **state)
{
        (void)state;
        struct rig r;
        rig_init(&r, 1 << 20);
        begin(&r, 100, 7);
        relation(&r, 1, 0);
        relation(&r, 2, 2);
        buf_putc(&r.msg, 'I');
        pgo_int(&r.msg, 1, 4);
        pgo_tuple(&r.msg, 'N', 0, NULL);
        assert_int_equal(feed(&r), 0);
        insert(&r, 2, "ta", "tb");
        commit(&r, 100);
        batch_cut(r.batch);
        assert_int_equal(r.n, 1);
        expect(&r, 0, "@100 r2/2 (7,100<> I2:2[a,b])");
        rig_fini(&r);
}

/* I1: by two, over all tables of the transaction, every truncated table included; from 0 in the
 * next. */
static void test_ops(void **state)
{
        (void)state;
        struct rig r;
        rig_init(&r, 1 << 20);
        begin(&r, 100, 7);
        relation(&r, 1, 2);
        relation(&r, 2, 2);
        insert(&r, 1, "ta", "tb");
        insert(&r, 2, "tc", "n");
        buf_putc(&r.msg, 'T');
        pgo_int(&r.msg, 2, 4);
        pgo_int(&r.msg, 0, 1);
        pgo_int(&r.msg, 1, 4);
        pgo_int(&r.msg, 2, 4);
        assert_int_equal(feed(&r), 0);
        insert(&r, 1, "td", "t");
        commit(&r, 100);
        begin(&r, 200, 8);
        insert(&r, 2, "te", "tf");
        commit(&r, 200);
        assert_true(batch_has_txns(r.batch));
        batch_cut(r.batch);
        assert_int_equal(r.n, 1);
        expect(&r, 0,
               "@200 r1/2 r2/2 (7,100<> I0:1[a,b] I2:2[c,~] T4:1[] T6:2[] I8:1[d,])"
               " (8,200<> I0:2[e,f])");
        assert_int_equal(r.reaches[0].v, 200);
        rig_fini(&r);
}

static void test_updates(void **state)
{
        (void)state;
        static const char *const was[] = {"t1", "tlong", "n", "tx", "n"};
        static const char *const now[] = {"t1", "u", "n", "ty", "tz"};
        struct rig r;
        rig_init(&r, 1 << 20);
        begin(&r, 100, 7);
        relation(&r, 1, 5);
        buf_putc(&r.msg, 'U');
        pgo_int(&r.msg, 1, 4);
        pgo_tuple(&r.msg, 'O', 5, was);
        pgo_tuple(&r.msg, 'N', 5, now);
        assert_int_equal(feed(&r), 0);
        commit(&r, 100);
        batch_cut(r.batch);
        expect(&r, 0, "@100 r1/5 (7,100<> U0:1[=,=,~,y,z])");
        rig_fini(&r);
}

/* A key is no row: what the stream does not have of the old one is not said to be NULL. */
static void test_old_keys(void **state)
{
        (void)state;
        static const char *const key[] = {"t1", "n"}, *const now[] = {"t2", "ty"};
        struct change_reader rd;
        struct change_txn txn;
        struct change c;
        struct rig r;
        rig_init(&r, 1 << 20);
        begin(&r, 100, 7);
        relation(&r, 1, 2);
        buf_putc(&r.msg, 'U');
        pgo_int(&r.msg, 1, 4);
        pgo_tuple(&r.msg, 'K', 2, key);
        pgo_tuple(&r.msg, 'N', 2, now);
        assert_int_equal(feed(&r), 0);
        buf_putc(&r.msg, 'D');
        pgo_int(&r.msg, 1, 4);
        pgo_tuple(&r.msg, 'K', 2, key);
        assert_int_equal(feed(&r), 0);
        commit(&r, 100);
        batch_cut(r.batch);
        change_reader_init(&rd);
        assert_int_equal(change_reader_start(&rd, r.bodies[0]), 0);
        assert_true(change_reader_txn(&rd, &txn));
        assert_true(change_reader_change(&rd, &c));
        assert_true(c.kind == CHANGE_UPDATE && c.new_row.n == 2 && c.old_row.n == 0);
        assert_true(change_reader_change(&rd, &c));
        assert_true(c.kind == CHANGE_DELETE && c.new_row.n == 0 && c.old_row.n == 0);
        assert_false(change_reader_change(&rd, &c));
        assert_int_equal(change_reader_status(&rd), 0);
        change_reader_fini(&rd);
        rig_fini(&r);
}

/* Parts: `end` stays below the transaction until its last part, `reach` does not; ops go on
 * counting. */
static void test_parts(void **state)
{
        (void)state;
        struct rig r;
        rig_init(&r, 100);
        begin(&r, 100, 7);
        relation(&r, 1, 2);
        insert(&r, 1, "ta", "tb");
        commit(&r, 100);
        begin(&r, 200, 8);
        char big[101];
        memset(big, 'x', sizeof(big) - 1);
        big[0] = 't';
        big[100] = 0;
        insert(&r, 1, "t1", big);
        insert(&r, 1, "t2", big);
        assert_int_equal(r.n, 2);
        batch_keepalive(r.batch, (lsn_t){190}); /* means nothing while a transaction is open */
        commit(&r, 200);
        batch_cut(r.batch);
        assert_int_equal(r.n, 3);
        assert_int_equal(r.ends[0].v, 100);
        assert_int_equal(r.ends[1].v, 100);
        assert_int_equal(r.ends[2].v, 200);
        assert_int_equal(r.reaches[0].v, 200);
        assert_int_equal(r.reaches[1].v, 200);
        assert_int_equal(r.reaches[2].v, 200);
        struct buf first;
        buf_init(&first, 4096);
        show(&r, 0, &first);
        assert_non_null(strstr(buf_cstr(&first), "(7,100<> I0:1[a,b]) (8,200< I0:1[1,xxx"));
        buf_fini(&first);
        expect(&r, 2, "@200 (8,200>)");
        rig_fini(&r);
}

static void test_positions(void **state)
{
        (void)state;
        struct rig r;
        rig_init(&r, 1 << 20);
        batch_cut(r.batch);
        assert_int_equal(r.n, 0); /* nothing moved */
        batch_keepalive(r.batch, (lsn_t){40});
        assert_false(
                batch_has_moved(r.batch)); /* the walsender starts before the slot's position */
        batch_keepalive(r.batch, (lsn_t){90});
        batch_cut(r.batch);
        expect(&r, 0, "@89"); /* a commit record may start at 90 */
        begin(&r, 90, 7);
        commit(&r, 90); /* empty */
        assert_false(batch_has_txns(r.batch));
        assert_true(batch_has_moved(r.batch));
        batch_cut(r.batch);
        expect(&r, 1, "@90");
        rig_fini(&r);
}

/* A relation that changes within a batch would be described twice: the batch ends instead. */
static void test_relation_changes(void **state)
{
        (void)state;
        struct rig r;
        rig_init(&r, 1 << 20);
        begin(&r, 100, 7);
        relation(&r, 1, 2);
        insert(&r, 1, "ta", "tb");
        relation(&r, 1, 2);
        assert_int_equal(r.n, 1); /* the same, but it is said again because something changed */
        relation(&r, 1, 1);
        assert_int_equal(r.n, 1);
        const char *row[] = {"tc"};
        buf_putc(&r.msg, 'I');
        pgo_int(&r.msg, 1, 4);
        pgo_tuple(&r.msg, 'N', 1, row);
        assert_int_equal(feed(&r), 0);
        commit(&r, 100);
        batch_cut(r.batch);
        expect(&r, 0, "@50 r1/2 (7,100< I0:1[a,b])");
        expect(&r, 1, "@100 r1/1 (7,100> I2:1[c])");
        rig_fini(&r);
}

static void refuse(struct rig *r, const char *what)
{
        buf_reset(&r->why);
        assert_int_equal(feed(r), ERR_FORMAT);
        assert_non_null(strstr(buf_cstr(&r->why), what));
}

static void test_nonsense(void **state)
{
        (void)state;
        struct rig r;
        rig_init(&r, 1 << 20);
        put_insert(&r, 1, "ta", "tb");
        refuse(&r, "outside a transaction");
        pgo_commit(&r.msg, 100, 148);
        refuse(&r, "commit does not match");
        pgo_begin(&r.msg, 50, 7);
        refuse(&r, "out of order");
        begin(&r, 100, 7);
        pgo_begin(&r.msg, 200, 8);
        refuse(&r, "begin within");
        put_insert(&r, 1, "ta", "tb");
        refuse(&r, "not described");
        relation(&r, 1, 3);
        put_insert(&r, 1, "ta", "tb");
        refuse(&r, "differ in columns");
        relation(&r, 1, 2);
        put_insert(&r, 1, "ta", "u");
        refuse(&r, "value missing");
        pgo_commit(&r.msg, 101, 148);
        refuse(&r, "commit does not match");
        rig_fini(&r);
}

/* A new stream forgets what was open, whatever was open. */
static void test_begin_again(void **state)
{
        (void)state;
        struct rig r;
        rig_init(&r, 1 << 20);
        begin(&r, 100, 7);
        relation(&r, 1, 2);
        insert(&r, 1, "ta", "tb");
        batch_begin(r.batch, (lsn_t){50});
        begin(&r, 100, 7);
        put_insert(&r, 1, "ta", "tb");
        refuse(&r, "not described");
        relation(&r, 1, 2);
        insert(&r, 1, "ta", "tb");
        commit(&r, 100);
        batch_cut(r.batch);
        assert_int_equal(r.n, 1);
        expect(&r, 0, "@100 r1/2 (7,100<> I0:1[a,b])");
        rig_fini(&r);
}

/* However batches are cut, the concatenation is the same (I1). */
static void test_cuts_do_not_matter(void **state)
{
        (void)state;
        uint64_t seed = 7;
        for (int round = 0; round < 50; round++) {
                struct rig r;
                uint64_t next_op = 0, changes = 0;
                rig_init(&r, round % 2 ? 60 : 1 << 20);
                begin(&r, 1000, 9);
                relation(&r, 1, 2);
                for (int i = 0; i < 20; i++) {
                        insert(&r, 1, "t0123456789", "n");
                        if (test_random(&seed) % 4 == 0)
                                batch_cut(r.batch);
                }
                commit(&r, 1000);
                batch_cut(r.batch);
                struct change_reader rd;
                struct change_relation rel;
                struct change_txn t;
                struct change c;
                change_reader_init(&rd);
                for (int i = 0; i < r.n; i++) {
                        assert_int_equal(change_reader_start(&rd, r.bodies[i]), 0);
                        while (change_reader_relation(&rd, &rel))
                                ;
                        assert_true(change_reader_txn(&rd, &t));
                        assert_int_equal(t.first_part, i == 0);
                        assert_int_equal(t.last_part, i == r.n - 1);
                        for (; change_reader_change(&rd, &c); changes++, next_op += 2)
                                assert_int_equal(c.op, next_op);
                }
                assert_int_equal(changes, 20);
                change_reader_fini(&rd);
                rig_fini(&r);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_columns),
                cmocka_unit_test(test_ops),
                cmocka_unit_test(test_updates),
                cmocka_unit_test(test_old_keys),
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_positions),
                cmocka_unit_test(test_relation_changes),
                cmocka_unit_test(test_nonsense),
                cmocka_unit_test(test_begin_again),
                cmocka_unit_test(test_cuts_do_not_matter),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
