/* An engine over a store of its own, and a stream to feed it, for the tests of this directory. The
 * table is public.t (id int4 primary key, v text). */
#ifndef SERVICES_ROUTER_TEST_ENGINE_H
#define SERVICES_ROUTER_TEST_ENGINE_H

#include <string.h>

#include "common/base/mem.h"
#include "common/wire/definition.h"
#include "common/wire/notice.h"
#include "services/router/engine.h"
#include "services/router/sample_table.h"
#include "services/router/test_store.h"

enum { TEST_OID = 16400 };

struct test_engine {
        struct test_store store;
        struct engine engine;
        struct engine_options o;
        uint64_t clock;
        uint32_t full_calls, give_up_after; /* 0: never */
        uint32_t appends, snapshots, gone, schemas, inlined;
        bool table_used;
        uint32_t n_described;
};

/* ---- hooks */

static inline uint64_t test_clock(void)
{
        static uint64_t now = 1000000;
        return ++now;
}

static inline bool test_on_full(void *arg)
{
        struct test_engine *t = arg;
        return ++t->full_calls != t->give_up_after;
}

static inline void test_on_commit(void *arg, lsn_t applied, uint32_t n, struct slice notices)
{
        struct test_engine *t = arg;
        struct rd rd;
        struct notice notice;
        uint32_t seen = 0;
        (void)applied;
        rd_init(&rd, notices);
        for (; !rd_at_end(&rd) && notice_read(&rd, &notice); seen++) {
                t->appends += notice.kind == NOTICE_APPEND;
                t->snapshots += notice.kind == NOTICE_SNAPSHOT;
                t->gone += notice.kind == NOTICE_GONE;
                t->schemas += notice.kind == NOTICE_SCHEMA;
                t->inlined += (notice.flags & NOTICE_INLINE) != 0;
        }
        assert_int_equal(seen, n);
}

static inline void test_on_gone(void *arg, const struct shape *s)
{
        (void)arg;
        (void)s;
}

static inline void test_on_described(void *arg, uint32_t oid)
{
        struct test_engine *t = arg;
        (void)oid;
        t->n_described++;
}

static inline void test_on_table(void *arg, uint32_t oid, bool used)
{
        struct test_engine *t = arg;
        assert_int_equal(oid, TEST_OID);
        t->table_used = used;
}

/* ---- the engine */

static inline void test_engine_start(struct test_engine *t)
{
        struct buf why;
        buf_init(&why, 1024);
        t->o.store = t->store.store;
        t->o.arg = t;
        t->o.wall_us = test_clock;
        t->o.on_full = test_on_full;
        t->o.on_announce = t->o.on_commit = test_on_commit;
        t->o.on_gone = test_on_gone;
        t->o.on_table = test_on_table;
        t->o.on_described = test_on_described;
        if (engine_open(&t->engine, &t->o, &why) != 0)
                fail_msg("%s", buf_cstr(&why));
        buf_fini(&why);
}

static inline void test_engine_open(struct test_engine *t, uint64_t chunk_bytes, size_t max_pending,
                                    size_t map_bytes)
{
        *t = (struct test_engine){.o = {.chunk_bytes = chunk_bytes,
                                        .index = 3,
                                        .max_pending = max_pending,
                                        .max_held = 1 << 20}};
        test_store_open(&t->store, map_bytes);
        test_engine_start(t);
}

/* As after kill -9: nothing of the memory is left. */
static inline void test_engine_restart(struct test_engine *t)
{
        engine_close(&t->engine);
        test_store_reopen(&t->store);
        test_engine_start(t);
}

static inline void test_engine_close(struct test_engine *t)
{
        engine_close(&t->engine);
        test_store_close(&t->store);
}

static inline struct table *test_table(void)
{
        static const struct sample_column columns[] = {
                {.name = "id", .type = "int4", .type_mod = -1, .pk = 1, .not_null = true},
                {.name = "v", .type = "text", .type_mod = -1},
        };
        return sample_table("public", "t", columns, 2);
}

/* A shape of all columns or of `id` and `v`; WAITING. */
static inline uint64_t test_create(struct test_engine *t, bool all_columns,
                                   enum replica_mode replica)
{
        struct slice names[] = {SLICE_LIT("id"), SLICE_LIT("v")};
        struct definition d = {.schema = SLICE_LIT("public"),
                               .table = SLICE_LIT("t"),
                               .has_columns = !all_columns,
                               .columns = names,
                               .n_columns = all_columns ? 0 : 2,
                               .replica = replica};
        const uint32_t columns[] = {0, 1};
        struct buf def;
        buf_init(&def, 4096);
        definition_encode(&def, &d);
        struct shape *s =
                engine_create(&t->engine, &(struct shape_spec){.definition = buf_slice(&def),
                                                               .identity = buf_slice(&def),
                                                               .table = test_table(),
                                                               .all_columns = all_columns,
                                                               .replica = replica,
                                                               .columns = columns,
                                                               .n_columns = 2});
        buf_fini(&def);
        return s->id;
}

/* pg_current_snapshot() and L. */
static inline int test_begin(struct test_engine *t, uint64_t id, const char *text, uint64_t lsn)
{
        struct pg_snapshot s;
        assert_int_equal(pg_snapshot_parse(slice_cstr(text), &s), 0);
        s.insert_lsn = (lsn_t){lsn};
        int err = engine_begin(&t->engine, id, &s);
        pg_snapshot_fini(&s);
        return err;
}

static inline void test_rows(struct test_engine *t, uint64_t id, uint32_t chunk, const char *rows,
                             bool closes)
{
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_puts(&b, rows);
        assert_int_equal(engine_rows(&t->engine, id, chunk, &b, closes), 0);
        buf_fini(&b);
}

/* A shape whose snapshot is complete and sees no transaction of the test. */
static inline uint64_t test_complete(struct test_engine *t, bool all_columns,
                                     enum replica_mode replica)
{
        uint64_t id = test_create(t, all_columns, replica);
        assert_int_equal(engine_hold(&t->engine, id), 0);
        assert_int_equal(test_begin(t, id, "1:1:", 0), 0);
        test_rows(t, id, 0, "{\"end\":1}", false);
        assert_int_equal(engine_end(&t->engine, id, 0), 0);
        engine_job_done(&t->engine, id);
        assert_int_equal(engine_commit(&t->engine), 0);
        return id;
}

/* ---- the stream */

struct test_stream {
        struct change_writer writer;
        struct buf encoded;
        bool described, extra_column, no_relation;
        uint64_t told;
};

static inline void stream_open(struct test_stream *s)
{
        *s = (struct test_stream){0};
        change_writer_init(&s->writer, 64 << 20);
        buf_init(&s->encoded, 4096);
}

static inline void stream_close(struct test_stream *s)
{
        change_writer_fini(&s->writer);
        buf_fini(&s->encoded);
}

static inline void stream_describe(struct test_stream *s)
{
        struct change_column columns[] = {
                {SLICE_LIT("id"), 1000, -1, true},
                {SLICE_LIT("v"), 1001, -1, true},
                {SLICE_LIT("added"), 23, -1, true},
        };
        struct change_relation r = {.oid = TEST_OID,
                                    .schema = SLICE_LIT("public"),
                                    .table = SLICE_LIT("t"),
                                    .replica_identity = 'f',
                                    .told = s->told,
                                    .columns = columns,
                                    .n_columns = s->extra_column ? 3 : 2};
        buf_reset(&s->encoded);
        change_relation_encode(&s->encoded, &r);
        r.encoded = buf_slice(&s->encoded);
        change_writer_relation(&s->writer, &r);
        s->described = true;
}

static inline void stream_begin(struct test_stream *s, uint32_t xid, uint64_t commit, bool first)
{
        if (!s->described && !s->no_relation)
                stream_describe(s);
        change_writer_txn_begin(
                &s->writer,
                &(struct change_txn){.xid = xid, .commit_lsn = {commit}, .first_part = first});
}

static inline void stream_end(struct test_stream *s, bool last)
{
        change_writer_txn_end(&s->writer, last);
}

struct test_row {
        const char *id, *v; /* v NULL: as in the old row; id NULL: no row */
};

static inline struct change_tuple
test_tuple(const struct test_stream *s, const struct test_row *row, struct change_value values[3])
{
        if (!row->id)
                return (struct change_tuple){NULL, 0};
        values[0] = (struct change_value){VALUE_TEXT, slice_cstr(row->id)};
        values[1] = row->v ? (struct change_value){VALUE_TEXT, slice_cstr(row->v)}
                           : (struct change_value){.kind = VALUE_SAME};
        values[2] = (struct change_value){.kind = VALUE_NULL};
        return (struct change_tuple){values, s->extra_column ? 3 : 2};
}

static inline void stream_change(struct test_stream *s, enum change_kind kind, uint64_t op,
                                 struct test_row old_row, struct test_row new_row)
{
        struct change_value old_values[3], new_values[3];
        struct change c = {.kind = kind,
                           .op = op,
                           .relation_oid = TEST_OID,
                           .new_row = test_tuple(s, &new_row, new_values),
                           .old_row = test_tuple(s, &old_row, old_values)};
        change_writer_change(&s->writer, &c);
}

static inline void stream_insert(struct test_stream *s, uint64_t op, const char *id, const char *v)
{
        stream_change(s, CHANGE_INSERT, op, (struct test_row){0}, (struct test_row){id, v});
}

static inline struct batch *stream_cut(struct test_stream *s, uint64_t end)
{
        struct buf body;
        buf_init(&body, 64 << 20);
        assert_int_equal(change_writer_finish(&s->writer, (lsn_t){end}, &body), 0);
        struct batch *b = batch_of_copy(1, 1, buf_slice(&body));
        buf_fini(&body);
        s->described = false;
        return b;
}

/* Cuts, applies and commits. */
static inline int stream_apply(struct test_stream *s, struct test_engine *t, uint64_t end)
{
        struct batch *b = stream_cut(s, end);
        int err = engine_apply(&t->engine, b);
        batch_unref(b);
        return err ? err : engine_commit(&t->engine);
}

/* ---- reading */

/* The whole log after `after`, chunk by chunk, a `|` at each chunk end. */
static inline void test_read(struct test_engine *t, uint64_t id, struct log_offset after,
                             struct buf *out)
{
        struct store_txn txn;
        struct shapelog_read r;
        struct shapelog_range range = {.after = after, .max_bytes = UINT64_MAX};
        store_begin_read(t->store.store, &txn);
        do {
                assert_int_equal(shapelog_read(&txn, id, &range, &r, out), 0);
                assert_int_equal(offset_cmp(r.at, r.end), 0);
                if (r.frozen)
                        buf_putc(out, '|');
                range.after = r.end;
        } while (offset_cmp(r.end, r.tail) < 0);
        store_abort(&txn);
}

static inline void test_expect(struct test_engine *t, uint64_t id, const char *text)
{
        struct buf got;
        buf_init(&got, 64 << 20);
        test_read(t, id, OFFSET_SNAPSHOT_END, &got);
        assert_string_equal(buf_cstr(&got), text);
        buf_fini(&got);
}

#endif
