/* The layout of the log against a naive model: random entries in random transactions and commits,
 * any offset asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/pending.h"
#include "services/router/render.h"
#include "services/router/run.h"
#include "services/router/shapelog.h"
#include "services/router/test_store.h"

enum { MAX_ENTRIES = 4000, SHAPE = 7 };

/* ---- the model: everything that is visible, in a list */

struct model_entry {
        struct log_offset at;
        char json[160];
        bool closes;
};

struct model {
        struct model_entry list[MAX_ENTRIES];
        size_t n, visible;
        uint64_t open_bytes, chunk_bytes;
};

static void model_add(struct model *m, struct log_offset at, const char *json)
{
        assert_true(m->n < MAX_ENTRIES);
        struct model_entry *e = &m->list[m->n++];
        e->at = at;
        snprintf(e->json, sizeof(e->json), "%s", json);
        m->open_bytes += strlen(json);
        e->closes = m->open_bytes >= m->chunk_bytes;
        if (e->closes)
                m->open_bytes = 0;
}

static struct log_offset model_tail(const struct model *m)
{
        return m->visible ? m->list[m->visible - 1].at : OFFSET_SNAPSHOT_END;
}

/* What a read after `after` must deliver, all of it. */
static struct shapelog_read model_read(const struct model *m, struct log_offset after,
                                       struct buf *bytes)
{
        struct shapelog_read r = {.end = after, .tail = model_tail(m)};
        size_t i = 0;
        while (i < m->visible && offset_cmp(m->list[i].at, after) <= 0)
                i++;
        for (bool first = true; i < m->visible; i++, first = false) {
                if (!first)
                        buf_putc(bytes, ',');
                buf_puts(bytes, m->list[i].json);
                r.end = m->list[i].at;
                if (m->list[i].closes) {
                        r.frozen = true;
                        break;
                }
        }
        r.at = r.end;
        return r;
}

/* ---- the log under test */

struct log {
        struct test_store store;
        struct shape_tail tail;
        struct pending *pending;
};

static void log_open(struct log *l)
{
        test_store_open(&l->store, (size_t)256 << 20);
        l->tail = (struct shape_tail){.log = LOG_TAIL_EMPTY,
                                      .snapshot_chunks = 1,
                                      .snapshot_closed = 1,
                                      .snapshot_started = true,
                                      .snapshot_done = true};
        struct store_txn t;
        store_begin_write(l->store.store, &t);
        shapelog_put_snapshot(&t, SHAPE, 0, 0, SLICE_LIT("{\"row\":1}"));
        shapelog_put_snapshot(&t, SHAPE, 0, 1, SLICE_LIT("{\"end\":1}"));
        shapelog_put_tail(&t, SHAPE, &l->tail);
        assert_int_equal(store_commit(&t), 0);
        l->pending = pending_new(NULL, &l->tail.log);
}

static void log_commit(struct log *l)
{
        struct store_txn t;
        store_begin_write(l->store.store, &t);
        pending_write(l->pending, &t, SHAPE);
        l->tail.log = l->pending->settled;
        shapelog_put_tail(&t, SHAPE, &l->tail);
        assert_int_equal(store_commit(&t), 0);
        pending_written(l->pending);
}

/* A restart: what is in memory is lost, what is beyond the tail is deleted. */
static void log_reopen(struct log *l)
{
        struct store_txn t;
        test_store_reopen(&l->store);
        store_begin_write(l->store.store, &t);
        assert_true(shapelog_get_tail(&t, SHAPE, &l->tail));
        shapelog_trim(&t, SHAPE, l->tail.log.at);
        assert_int_equal(store_commit(&t), 0);
        pending_free(l->pending);
        l->pending = pending_new(NULL, &l->tail.log);
}

static void log_close(struct log *l)
{
        pending_free(l->pending);
        test_store_close(&l->store);
}

static int log_read(struct log *l, struct shapelog_range range, struct shapelog_read *out,
                    struct buf *bytes)
{
        struct store_txn t;
        store_begin_read(l->store.store, &t);
        int err = shapelog_read(&t, SHAPE, &range, out, bytes);
        store_abort(&t);
        return err;
}

/* Reads to the end of the response in pieces of max_bytes, as an edge does. */
static struct shapelog_read log_read_all(struct log *l, struct log_offset after, uint64_t max_bytes,
                                         struct buf *bytes)
{
        struct shapelog_read first, r;
        struct buf piece;
        struct shapelog_range range = {.after = after, .max_bytes = max_bytes};
        buf_init(&piece, 1 << 26);
        assert_int_equal(log_read(l, range, &first, bytes), 0);
        r = first;
        while (offset_cmp(r.at, first.end) < 0) {
                range.after = r.at;
                range.limit = first.end;
                buf_reset(&piece);
                assert_int_equal(log_read(l, range, &r, &piece), 0);
                assert_true(piece.len > 0);
                assert_int_equal(offset_cmp(r.end, first.end), 0);
                assert_int_equal(r.frozen, first.frozen);
                buf_putc(bytes, ',');
                buf_put_slice(bytes, buf_slice(&piece));
        }
        buf_fini(&piece);
        first.at = r.at;
        return first;
}

static void compare_at(struct log *l, const struct model *m, struct log_offset after,
                       uint64_t max_bytes)
{
        struct buf want, got;
        struct log_offset tail = model_tail(m);
        buf_init(&want, 1 << 26);
        buf_init(&got, 1 << 26);
        if (offset_cmp(after, tail) > 0) {
                struct shapelog_read r;
                struct shapelog_range range = {.after = after, .max_bytes = max_bytes};
                assert_int_equal(log_read(l, range, &r, &got), ERR_RANGE);
                assert_int_equal(offset_cmp(r.tail, tail), 0);
        } else {
                struct shapelog_read w = model_read(m, after, &want);
                struct shapelog_read g = log_read_all(l, after, max_bytes, &got);
                assert_int_equal(offset_cmp(w.end, g.end), 0);
                assert_int_equal(offset_cmp(w.tail, g.tail), 0);
                assert_int_equal(w.frozen, g.frozen);
                assert_string_equal(buf_cstr(&want), buf_cstr(&got));
        }
        buf_fini(&want);
        buf_fini(&got);
}

static struct log_offset random_offset(const struct model *m)
{
        if (m->n == 0 || rand() % 20 == 0)
                return rand() % 2 ? OFFSET_SNAPSHOT_END : (struct log_offset){1, 0};
        struct log_offset at = m->list[(size_t)rand() % m->n].at;
        switch (rand() % 6) {
        case 0:
                at.op = 0; /* `<lsn>_0`, what clients ask for after SSE */
                break;
        case 1:
                at.op++;
                break;
        case 2:
                at.tx--;
                break;
        case 3:
                at.op = OFFSET_OP_INF;
                break;
        default:
                break;
        }
        return at;
}

/* One transaction of the stream, its entries committed at random in between. */
static void random_txn(struct log *l, struct model *m, uint64_t tx)
{
        int n = rand() % 12;
        char json[128];
        size_t first = m->n;
        for (int i = 0; i < n; i++) {
                struct log_offset at = {tx, (uint64_t)i * 2};
                int len = rand() % 4 == 0 ? 100 : rand() % 60;
                snprintf(json, sizeof(json), "{\"h\":{\"v\":\"%0*d\"", len + 1, i);
                pending_add(l->pending, at, slice_cstr(json), m->chunk_bytes);
                snprintf(json + strlen(json), sizeof(json) - strlen(json), "%s",
                         i == n - 1 ? RENDER_CLOSE_LAST : RENDER_CLOSE);
                model_add(m, at, json);
                if (rand() % 10 == 0)
                        log_commit(l);
        }
        assert_true(first <= m->n);
        pending_settle(l->pending, m->chunk_bytes);
        if (rand() % 3 == 0)
                log_commit(l);
}

static void drop_to(struct model *m, size_t n)
{
        m->n = n;
        m->open_bytes = 0;
        for (size_t i = 0; i < n; i++) {
                m->open_bytes += strlen(m->list[i].json);
                if (m->list[i].closes)
                        m->open_bytes = 0;
        }
}

static size_t visible_of(const struct model *m, struct log_offset tail)
{
        size_t n = 0;
        while (n < m->n && offset_cmp(m->list[n].at, tail) <= 0)
                n++;
        return n;
}

static void run_history(unsigned seed, uint64_t chunk_bytes)
{
        struct log l;
        struct model *m = mem_new(struct model);
        m->chunk_bytes = chunk_bytes;
        srand(seed);
        log_open(&l);
        for (uint64_t tx = 100; tx < 350; tx += 10) {
                random_txn(&l, m, tx);
                if (rand() % 15 == 0) {
                        /* a restart in the middle of a transaction that comes again */
                        pending_add(l.pending, (struct log_offset){tx + 5, 0},
                                    SLICE_LIT("{\"h\":{\"lost\":1"), chunk_bytes);
                        pending_add(l.pending, (struct log_offset){tx + 5, 2},
                                    SLICE_LIT("{\"h\":{\"lost\":2"), chunk_bytes);
                        log_commit(&l);
                        if (rand() % 2)
                                log_reopen(&l);
                        else
                                pending_rollback(l.pending);
                        drop_to(m, visible_of(m, l.pending->settled.at));
                }
                m->visible = visible_of(m, l.tail.log.at);
                for (int i = 0; i < 10; i++)
                        compare_at(&l, m, random_offset(m), 1 + (uint64_t)rand() % 400);
        }
        log_close(&l);
        mem_free(m);
}

static void test_against_model(void **state)
{
        (void)state;
        for (unsigned seed = 1; seed <= 20; seed++) {
                run_history(seed, 1);
                run_history(seed, 200);
                run_history(seed, 1000);
                run_history(seed, 1 << 20);
        }
}

/* ---- the snapshot, protocol §2.3.1 */

static void put_tail(struct log *l)
{
        struct store_txn t;
        store_begin_write(l->store.store, &t);
        shapelog_put_tail(&t, SHAPE, &l->tail);
        assert_int_equal(store_commit(&t), 0);
}

static void expect(struct log *l, struct shapelog_range range, struct log_offset end, bool pending,
                   const char *text)
{
        struct shapelog_read r;
        struct buf bytes;
        buf_init(&bytes, 1 << 20);
        range.max_bytes = 1000;
        assert_int_equal(log_read(l, range, &r, &bytes), 0);
        assert_int_equal(r.pending, pending);
        if (!pending)
                assert_int_equal(offset_cmp(r.end, end), 0);
        assert_string_equal(buf_cstr(&bytes), text);
        buf_fini(&bytes);
}

static const struct shapelog_range from_start = {.from_start = true};

static struct shapelog_range after(uint64_t tx, uint64_t op)
{
        return (struct shapelog_range){.after = {tx, op}};
}

static void test_snapshot_chunks(void **state)
{
        struct log l;
        const struct log_offset none = {0, 0};
        (void)state;
        log_open(&l);
        l.tail.snapshot_closed = l.tail.snapshot_chunks = 0;
        l.tail.snapshot_done = false;
        put_tail(&l);
        expect(&l, from_start, none, true, "");

        l.tail.snapshot_closed = 1;
        l.tail.snapshot_chunks = 2;
        put_tail(&l);
        expect(&l, from_start, none, false, "{\"row\":1},{\"end\":1}");
        expect(&l, after(0, 0), none, true, "");
        expect(&l, after(0, 5), none, true, "");
        /* `now` on a shape whose snapshot is being written follows the log */
        expect(&l, after(0, OFFSET_OP_INF), OFFSET_SNAPSHOT_END, false, "");

        struct store_txn t;
        store_begin_write(l.store.store, &t);
        shapelog_put_snapshot(&t, SHAPE, 1, 0, SLICE_LIT("{\"last\":1}"));
        assert_int_equal(store_commit(&t), 0);
        l.tail.snapshot_closed = 2;
        l.tail.snapshot_done = true;
        put_tail(&l);
        expect(&l, after(0, 0), (struct log_offset){0, 1}, false, "{\"last\":1}");
        expect(&l, after(0, 1), OFFSET_SNAPSHOT_END, false, "");
        expect(&l, after(0, 77), OFFSET_SNAPSHOT_END, false, "");

        pending_add(l.pending, (struct log_offset){50, 4}, SLICE_LIT("{\"a\":{"), 1000);
        pending_settle(l.pending, 1000);
        log_commit(&l);
        expect(&l, after(0, 1), (struct log_offset){50, 4}, false, "{\"a\":{,\"last\":true}}");
        expect(&l, from_start, none, false, "{\"row\":1},{\"end\":1}");
        log_close(&l);
}

static void test_damage_is_noticed(void **state)
{
        struct log l;
        struct store_txn t;
        struct shapelog_read r;
        struct buf bytes;
        (void)state;
        log_open(&l);
        pending_add(l.pending, (struct log_offset){50, 4}, SLICE_LIT("{\"a\":{"), 1000);
        pending_settle(l.pending, 1000);
        log_commit(&l);
        store_begin_write(l.store.store, &t);
        char *room = shapelog_put_run(&t, SHAPE, (struct log_offset){50, 4}, 60);
        memset(room, 'x', 60);
        assert_int_equal(store_commit(&t), 0);
        buf_init(&bytes, 1000);
        struct shapelog_range range = {.after = OFFSET_SNAPSHOT_END, .max_bytes = 100};
        assert_int_equal(log_read(&l, range, &r, &bytes), ERR_CORRUPT);
        buf_fini(&bytes);
        log_close(&l);
}

/* Flips a bit of the record at `key`, or puts another one's bytes there. */
static void damage(struct log *l, struct slice key, struct slice from, size_t bit)
{
        struct store_txn t;
        struct slice value;
        store_begin_write(l->store.store, &t);
        assert_true(store_get(&t, from, &value));
        char *copy = slice_dup_cstr(value);
        if (slice_eq(key, from))
                copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        store_put(&t, key, slice_of(copy, value.len));
        assert_int_equal(store_commit(&t), 0);
        mem_free(copy);
}

/* Reads a record of each kind; the transaction's error. */
static int read_kind(struct log *l, char kind)
{
        struct store_txn t;
        struct shapelog_place place;
        struct shape_tail tail;
        struct shapelog_read r = {0};
        struct slice value;
        struct buf bytes;
        uint64_t id = 0;
        int err = 0;
        buf_init(&bytes, 1000);
        store_begin_read(l->store.store, &t);
        switch (kind) {
        case 'M':
                (void)shapelog_get_place(&t, &place);
                break;
        case 'X':
                (void)shapelog_get_recent(&t, 0, &value);
                break;
        case 'S':
                (void)shapelog_get_record(&t, SHAPE, &value);
                break;
        case 's':
                (void)shapelog_next_record(&t, &id, &value);
                break;
        case 'T':
                (void)shapelog_get_tail(&t, SHAPE, &tail);
                break;
        case 'C':
                err = shapelog_read(
                        &t, SHAPE,
                        &(struct shapelog_range){.after = OFFSET_SNAPSHOT_END, .max_bytes = 100},
                        &r, &bytes);
                break;
        case 'D':
                (void)shapelog_next_deleted(&t, &id);
                break;
        default:
                fail();
        }
        if (t.err)
                err = t.err;
        store_abort(&t);
        buf_fini(&bytes);
        return err;
}

static void put_one_of_each(struct log *l)
{
        struct store_txn t;
        struct shapelog_place place = {{1}, {2}, {3}, 4, 5, 6, 7, 8};
        pending_add(l->pending, (struct log_offset){50, 4}, SLICE_LIT("{\"a\":{"), 5);
        pending_settle(l->pending, 5);
        log_commit(l);
        store_begin_write(l->store.store, &t);
        shapelog_put_place(&t, &place);
        shapelog_put_recent(&t, 0, SLICE_LIT("some xids"));
        shapelog_put_recent(&t, 1, SLICE_LIT("other xids"));
        shapelog_delete(&t, SHAPE + 1);
        shapelog_put_record(&t, SHAPE, SLICE_LIT("a record"));
        assert_int_equal(store_commit(&t), 0);
}

static void test_damage_of_every_kind_is_noticed(void **state)
{
        static const struct {
                char kind;
                struct slice key;
        } cases[] = {
                {'M', {"M", 1}},
                {'X', {"X\0\0\0\0\0\0\0\0", 9}},
                {'S', {"S\0\0\0\0\0\0\0\7", 9}},
                {'s', {"S\0\0\0\0\0\0\0\7", 9}},
                {'T', {"T\0\0\0\0\0\0\0\7", 9}},
                {'C', {"C\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\x32\0\0\0\0\0\0\0\4", 25}},
                {'D', {"D\0\0\0\0\0\0\0\x08", 9}},
        };
        struct log l;
        (void)state;
        log_open(&l);
        put_one_of_each(&l);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(read_kind(&l, cases[i].kind), 0);
                for (size_t bit = 0; bit < 64; bit += 5) {
                        damage(&l, cases[i].key, cases[i].key, bit);
                        assert_int_equal(read_kind(&l, cases[i].kind), ERR_CORRUPT);
                        damage(&l, cases[i].key, cases[i].key, bit); /* right again */
                }
                assert_int_equal(read_kind(&l, cases[i].kind), 0);
        }
        struct slice other = {"X\0\0\0\0\0\0\0\1", 9};
        damage(&l, cases[1].key, other, 0);
        assert_int_equal(read_kind(&l, 'X'), ERR_CORRUPT); /* sound, and another's */
        log_close(&l);
}

static void test_delete_in_slices(void **state)
{
        struct log l;
        struct store_txn t;
        uint64_t id = 0;
        size_t freed = 0, n;
        (void)state;
        log_open(&l);
        for (uint64_t tx = 10; tx < 110; tx++) {
                pending_add(l.pending, (struct log_offset){tx, 0}, SLICE_LIT("{\"a\":{"), 50);
                pending_settle(l.pending, 50);
                log_commit(&l);
        }
        store_begin_write(l.store.store, &t);
        shapelog_delete(&t, SHAPE);
        assert_int_equal(store_commit(&t), 0);
        do {
                store_begin_write(l.store.store, &t);
                assert_true(shapelog_next_deleted(&t, &id));
                assert_int_equal(id, SHAPE);
                n = shapelog_free(&t, id, 7);
                freed += n;
                assert_int_equal(store_commit(&t), 0);
        } while (n == 7);
        assert_true(freed > 102); /* runs, two snapshot runs, and chunk ends */
        store_begin_read(l.store.store, &t);
        id = 0;
        assert_false(shapelog_next_deleted(&t, &id));
        struct slice key, value;
        assert_false(store_seek(&t, SLICE_EMPTY, &key, &value));
        store_abort(&t);
        log_close(&l);
}

static void test_place(void **state)
{
        struct test_store s;
        struct store_txn t;
        struct shapelog_place got = {0}, place = {{1}, {2}, {3}, 4, 5, 6, 7, 8};
        (void)state;
        test_store_open(&s, 1 << 24);
        store_begin_write(s.store, &t);
        assert_false(shapelog_get_place(&t, &got));
        shapelog_put_place(&t, &place);
        assert_true(shapelog_get_place(&t, &got));
        assert_memory_equal(&got, &place, sizeof(place));
        assert_int_equal(store_commit(&t), 0);
        test_store_close(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_against_model),
                cmocka_unit_test(test_snapshot_chunks),
                cmocka_unit_test(test_damage_is_noticed),
                cmocka_unit_test(test_damage_of_every_kind_is_noticed),
                cmocka_unit_test(test_delete_in_slices),
                cmocka_unit_test(test_place),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
