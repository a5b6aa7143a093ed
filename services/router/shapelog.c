#include "services/router/shapelog.h"

#include <endian.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/run.h"
#include "services/router/sealed.h"

/* ---- keys */

struct key {
        char bytes[SHAPELOG_KEY_MAX];
        size_t len;
};

static void key_add(struct key *k, uint64_t v)
{
        v = htobe64(v);
        memcpy(k->bytes + k->len, &v, 8);
        k->len += 8;
}

static struct slice key_slice(const struct key *k)
{
        return slice_of(k->bytes, k->len);
}

static struct key key_of(char table)
{
        return (struct key){.bytes = {table}, .len = 1};
}

static struct key key_id(char table, uint64_t id)
{
        struct key k = key_of(table);
        key_add(&k, id);
        return k;
}

static struct key key_at(char table, uint64_t id, struct log_offset at)
{
        struct key k = key_id(table, id);
        key_add(&k, at.tx);
        key_add(&k, at.op);
        return k;
}

static uint64_t key_u64(struct slice key, size_t at)
{
        uint64_t v;
        memcpy(&v, key.p + at, 8);
        return be64toh(v);
}

/* Whether `key` is of this table and shape and has an offset. */
static bool key_is(struct slice key, char table, uint64_t id)
{
        return key.len == SHAPELOG_KEY_MAX && key.p[0] == table && key_u64(key, 1) == id;
}

static struct log_offset key_offset(struct slice key)
{
        return (struct log_offset){key_u64(key, 9), key_u64(key, 17)};
}

static struct log_offset offset_next(struct log_offset at)
{
        if (at.op == OFFSET_OP_INF)
                return (struct log_offset){at.tx + 1, 0};
        return (struct log_offset){at.tx, at.op + 1};
}

/* ---- fixed records */

enum { PLACE_WORDS = 8, TAIL_WORDS = 9 };

static bool get_words(struct store_txn *t, struct slice key, uint64_t *words, size_t n)
{
        struct slice value;
        if (!sealed_get(t, key, &value))
                return false;
        if (value.len != n * 8) {
                t->err = ERR_CORRUPT;
                return false;
        }
        memcpy(words, value.p, value.len);
        return true;
}

static void put_words(struct store_txn *t, struct slice key, const uint64_t *words, size_t n)
{
        sealed_put(t, key, slice_of((const char *)words, n * 8));
}

bool shapelog_get_place(struct store_txn *t, struct shapelog_place *out)
{
        struct key k = key_of('M');
        uint64_t w[PLACE_WORDS];
        if (!get_words(t, key_slice(&k), w, PLACE_WORDS))
                return false;
        *out = (struct shapelog_place){.applied = {w[0]},
                                       .commit = {w[1]},
                                       .open = {w[2]},
                                       .next_id = w[3],
                                       .system_id = w[4],
                                       .timeline = w[5],
                                       .epoch = w[6],
                                       .xid = w[7]};
        return true;
}

void shapelog_put_place(struct store_txn *t, const struct shapelog_place *p)
{
        struct key k = key_of('M');
        uint64_t w[PLACE_WORDS] = {p->applied.v, p->commit.v, p->open.v, p->next_id,
                                   p->system_id, p->timeline, p->epoch,  p->xid};
        put_words(t, key_slice(&k), w, PLACE_WORDS);
}

bool shapelog_get_tail(struct store_txn *t, uint64_t shape_id, struct shape_tail *out)
{
        struct key k = key_id('T', shape_id);
        uint64_t w[TAIL_WORDS];
        if (!get_words(t, key_slice(&k), w, TAIL_WORDS))
                return false;
        *out = (struct shape_tail){
                .log = {{w[0], w[1]}, {w[2], w[3]}, w[4], w[5]},
                .snapshot_chunks = (uint32_t)w[6],
                .snapshot_closed = (uint32_t)w[7],
                .snapshot_started = w[8] & 1,
                .snapshot_done = w[8] & 2,
        };
        return true;
}

void shapelog_put_tail(struct store_txn *t, uint64_t shape_id, const struct shape_tail *tail)
{
        struct key k = key_id('T', shape_id);
        const struct log_tail *l = &tail->log;
        uint64_t w[TAIL_WORDS] = {
                l->at.tx,
                l->at.op,
                l->chunk_start.tx,
                l->chunk_start.op,
                l->open_bytes,
                l->chunks,
                tail->snapshot_chunks,
                tail->snapshot_closed,
                (tail->snapshot_started ? 1u : 0u) | (tail->snapshot_done ? 2u : 0u),
        };
        put_words(t, key_slice(&k), w, TAIL_WORDS);
}

bool shapelog_get_recent(struct store_txn *t, uint64_t slot, struct slice *out)
{
        struct key k = key_id('X', slot);
        return sealed_get(t, key_slice(&k), out);
}

void shapelog_put_recent(struct store_txn *t, uint64_t slot, struct slice xids)
{
        struct key k = key_id('X', slot);
        sealed_put(t, key_slice(&k), xids);
}

bool shapelog_get_record(struct store_txn *t, uint64_t shape_id, struct slice *out)
{
        struct key k = key_id('S', shape_id);
        return sealed_get(t, key_slice(&k), out);
}

void shapelog_put_record(struct store_txn *t, uint64_t shape_id, struct slice record)
{
        struct key k = key_id('S', shape_id);
        sealed_put(t, key_slice(&k), record);
}

static bool next_id(struct store_txn *t, char table, uint64_t *id, struct slice *value)
{
        struct key from = key_id(table, *id);
        struct slice key, sealed;
        if (!store_seek(t, key_slice(&from), &key, &sealed) || key.len != 9 || key.p[0] != table)
                return false;
        t->err = sealed_open(key, sealed, value);
        if (t->err)
                return false;
        *id = key_u64(key, 1);
        return true;
}

bool shapelog_next_record(struct store_txn *t, uint64_t *id, struct slice *record)
{
        return next_id(t, 'S', id, record);
}

bool shapelog_next_deleted(struct store_txn *t, uint64_t *id)
{
        struct slice value;
        return next_id(t, 'D', id, &value);
}

/* ---- writing the log */

void *shapelog_put_run(struct store_txn *t, uint64_t shape_id, struct log_offset first, size_t size)
{
        struct key k = key_at('L', shape_id, first);
        SLUICE_ASSERT(first.tx > 0);
        return store_put_room(t, key_slice(&k), size);
}

void shapelog_put_chunk_end(struct store_txn *t, uint64_t shape_id, struct log_offset end,
                            uint64_t size, uint64_t number)
{
        struct key k = key_at('C', shape_id, end);
        uint64_t w[2] = {size, number};
        put_words(t, key_slice(&k), w, 2);
}

static struct log_offset snapshot_at(uint32_t chunk, uint32_t run)
{
        SLUICE_ASSERT(chunk < 1u << 31);
        return (struct log_offset){0, (uint64_t)chunk << 32 | run};
}

void shapelog_put_snapshot(struct store_txn *t, uint64_t shape_id, uint32_t chunk, uint32_t run,
                           struct slice entries)
{
        struct log_offset at = snapshot_at(chunk, run);
        struct key k = key_at('L', shape_id, at);
        SLUICE_ASSERT(entries.len <= UINT32_MAX);
        void *room = store_put_room(t, key_slice(&k), run_bytes(1, entries.len));
        if (!room)
                return;
        run_set_index(room, 0, at, (uint32_t)entries.len);
        memcpy(run_room(room, 1), entries.p, entries.len);
        run_seal(room, 1, entries.len);
}

static size_t delete_above(struct store_txn *t, char table, uint64_t id, struct log_offset from,
                           size_t limit)
{
        struct key first = key_at(table, id, from), below = key_id(table, id + 1);
        return store_del_range(t, key_slice(&first), key_slice(&below), limit);
}

void shapelog_trim(struct store_txn *t, uint64_t shape_id, struct log_offset tail)
{
        struct log_offset from = offset_next(tail);
        SLUICE_ASSERT(from.tx > 0);
        delete_above(t, 'L', shape_id, from, SIZE_MAX);
        delete_above(t, 'C', shape_id, from, SIZE_MAX);
}

void shapelog_delete(struct store_txn *t, uint64_t shape_id)
{
        struct key record = key_id('S', shape_id), tail = key_id('T', shape_id);
        struct key deleted = key_id('D', shape_id);
        store_del(t, key_slice(&record));
        store_del(t, key_slice(&tail));
        sealed_put(t, key_slice(&deleted), SLICE_EMPTY);
}

size_t shapelog_free(struct store_txn *t, uint64_t shape_id, size_t limit)
{
        struct log_offset start = {0, 0};
        size_t n = delete_above(t, 'L', shape_id, start, limit);
        if (n < limit)
                n += delete_above(t, 'C', shape_id, start, limit - n);
        if (n < limit && t->err == 0) {
                struct key deleted = key_id('D', shape_id);
                store_del(t, key_slice(&deleted));
        }
        return n;
}

/* ---- reading the log */

static void append(struct buf *bytes, size_t start, struct slice entries)
{
        if (bytes->len > start)
                buf_putc(bytes, ',');
        buf_put_slice(bytes, entries);
}

/* Runs of a snapshot chunk from range->run on. */
static int read_snapshot(struct store_txn *t, uint64_t id, uint32_t chunk,
                         const struct shapelog_range *range, struct shapelog_read *out,
                         struct buf *bytes)
{
        size_t start = bytes->len;
        struct key from = key_at('L', id, snapshot_at(chunk, range->run));
        struct slice key, value;
        bool more = store_seek(t, key_slice(&from), &key, &value);
        for (; more && key_is(key, 'L', id); more = store_next(t, &key, &value)) {
                struct log_offset at = key_offset(key);
                struct run r;
                if (at.tx != 0 || at.op >> 32 != chunk)
                        break;
                if (run_parse(value, &r) != 0)
                        return ERR_CORRUPT;
                size_t used = bytes->len - start;
                if (used && used + 1 + r.bytes.len > range->max_bytes) {
                        out->next_run = (uint32_t)at.op;
                        break;
                }
                append(bytes, start, r.bytes);
        }
        if (t->err)
                return t->err;
        return bytes->len > start ? buf_status(bytes) : ERR_CORRUPT;
}

/* Moves to the first run of the log with an entry after `after`. */
static bool seek_run(struct store_txn *t, uint64_t id, struct log_offset after, struct slice *key,
                     struct slice *value)
{
        struct key at = key_at('L', id, after);
        if (!store_seek_back(t, key_slice(&at), key, value) || !key_is(*key, 'L', id) ||
            key_offset(*key).tx == 0) {
                at = key_at('L', id, offset_next(after));
                return store_seek(t, key_slice(&at), key, value) && key_is(*key, 'L', id);
        }
        return true;
}

/* Entries in (after, out->end]. */
static int read_log(struct store_txn *t, uint64_t id, struct log_offset after, uint64_t max_bytes,
                    struct shapelog_read *out, struct buf *bytes)
{
        size_t start = bytes->len;
        struct slice key, value, entries;
        out->at = after;
        bool more = seek_run(t, id, after, &key, &value);
        for (; more && key_is(key, 'L', id); more = store_next(t, &key, &value)) {
                struct run r;
                if (offset_cmp(key_offset(key), out->end) > 0)
                        break;
                if (run_parse(value, &r) != 0)
                        return ERR_CORRUPT;
                uint32_t from = run_find(&r, after), limit = run_find(&r, out->end);
                if (from >= limit)
                        continue;
                uint64_t used = bytes->len - start;
                uint64_t left = used + 1 < max_bytes ? max_bytes - used - 1 : 0;
                uint32_t to = run_fit(&r, from, limit, used ? left : max_bytes);
                if (run_slice(&r, from, to, &entries) != 0)
                        return ERR_CORRUPT;
                if (used && entries.len > left)
                        return buf_status(bytes);
                append(bytes, start, entries);
                out->at = run_offset(&r, to - 1);
                if (to < limit)
                        return buf_status(bytes);
        }
        out->at = out->end;
        return t->err ? t->err : buf_status(bytes);
}

/* Where a response that starts after `after` ends: at the first chunk end, else at the tail; at the
 * limit when that is fixed. */
static int find_end(struct store_txn *t, uint64_t id, struct log_offset after,
                    struct log_offset limit, struct shapelog_read *out)
{
        bool limited = limit.tx > 0;
        struct key at = key_at('C', id, limited ? limit : offset_next(after));
        struct slice key, value, words;
        bool found = store_seek(t, key_slice(&at), &key, &value) && key_is(key, 'C', id);
        if (found && sealed_open(key, value, &words) != 0)
                return ERR_CORRUPT;
        struct log_offset end = found ? key_offset(key) : OFFSET_SNAPSHOT_END;
        if (limited && offset_cmp(limit, out->tail) > 0)
                return ERR_RANGE;
        out->frozen = found && offset_cmp(end, limited ? limit : out->tail) <= 0;
        out->end = limited ? limit : out->frozen ? end : out->tail;
        return t->err;
}

static int read_after(struct store_txn *t, uint64_t id, struct log_offset after,
                      const struct shapelog_range *range, struct shapelog_read *out,
                      struct buf *bytes)
{
        int err = find_end(t, id, after, range->limit, out);
        if (err)
                return err;
        out->at = after;
        if (offset_cmp(out->end, after) <= 0) {
                out->end = after;
                out->frozen = false;
                return 0;
        }
        return range->max_bytes ? read_log(t, id, after, range->max_bytes, out, bytes) : 0;
}

int shapelog_read(struct store_txn *t, uint64_t shape_id, const struct shapelog_range *range,
                  struct shapelog_read *out, struct buf *bytes)
{
        struct shape_tail tail;
        struct log_offset after = range->after;
        if (!shapelog_get_tail(t, shape_id, &tail))
                return t->err ? t->err : ERR_NOTFOUND;
        *out = (struct shapelog_read){.end = after, .at = after, .tail = tail.log.at};
        bool in_snapshot = after.tx == 0 && after.op != OFFSET_OP_INF;
        if (!range->from_start && !in_snapshot) {
                if (offset_cmp(after, tail.log.at) > 0)
                        return ERR_RANGE;
                return read_after(t, shape_id, after, range, out, bytes);
        }

        uint64_t chunk = range->from_start ? 0 : after.op + 1;
        if (chunk < tail.snapshot_closed) {
                out->end = out->at = (struct log_offset){0, chunk};
                out->frozen = true;
                if (!range->max_bytes)
                        return 0;
                return read_snapshot(t, shape_id, (uint32_t)chunk, range, out, bytes);
        }
        if (!tail.snapshot_done) {
                out->pending = true;
                return 0;
        }
        return read_after(t, shape_id, OFFSET_SNAPSHOT_END, range, out, bytes);
}
