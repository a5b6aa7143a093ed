#include "common/wire/change.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/wr.h"

/* Elements before the changes in a transaction, before the transactions in a batch. */
enum { TXN_FIXED = 5, BATCH_FIXED = 3 };
enum { RELATION_FIELDS = 7 };

void change_writer_init(struct change_writer *w, size_t max_bytes)
{
        *w = (struct change_writer){0};
        buf_init(&w->relations, max_bytes);
        buf_init(&w->txns, max_bytes);
}

void change_writer_fini(struct change_writer *w)
{
        buf_fini(&w->relations);
        buf_fini(&w->txns);
}

void change_relation_encode(struct buf *out, const struct change_relation *relation)
{
        wr_array(out, RELATION_FIELDS);
        wr_u64(out, relation->oid);
        wr_str(out, relation->schema);
        wr_str(out, relation->table);
        wr_u64(out, (unsigned char)relation->replica_identity);
        wr_u64(out, relation->told);
        wr_array(out, relation->n_columns);
        for (uint32_t i = 0; i < relation->n_columns; i++) {
                const struct change_column *c = &relation->columns[i];
                wr_array(out, 4);
                wr_str(out, c->name);
                wr_u64(out, c->type_oid);
                wr_i64(out, c->type_mod);
                wr_bool(out, c->is_key);
        }
        wr_array(out, relation->n_ancestors);
        for (uint32_t i = 0; i < relation->n_ancestors; i++) {
                wr_array(out, 3);
                wr_u64(out, relation->ancestors[i].oid);
                wr_u64(out, relation->ancestors[i].since);
                wr_bool(out, relation->ancestors[i].born);
        }
}

void change_writer_relation(struct change_writer *w, const struct change_relation *relation)
{
        SLUICE_ASSERT(relation->encoded.len > 0);
        buf_put_slice(&w->relations, relation->encoded);
        w->n_relations++;
}

void change_writer_txn_begin(struct change_writer *w, const struct change_txn *txn)
{
        SLUICE_ASSERT(!w->in_txn);
        w->in_txn = true;
        w->n_changes = 0;
        w->txn_at = wr_array_begin(&w->txns);
        wr_u64(&w->txns, txn->xid);
        wr_u64(&w->txns, txn->commit_lsn.v);
        wr_u64(&w->txns, txn->commit_time_us);
        wr_bool(&w->txns, txn->first_part);
        wr_bool(&w->txns, false); /* last_part, see change_writer_txn_end() */
}

/* Where last_part stands: the fixed elements are encoded in front of the first change, so it is
 * found by reading over the four before it. */
static void patch_last_part(struct change_writer *w)
{
        struct rd r;
        rd_init(&r, slice_of(w->txns.p + w->txn_at, w->txns.len - w->txn_at));
        (void)rd_array(&r);
        for (int i = 0; i < TXN_FIXED - 1; i++)
                rd_skip(&r);
        SLUICE_ASSERT(!r.err && rd_peek(&r) == RD_BOOL);
        w->txns.p[(const char *)r.p - w->txns.p] = (char)0xc3;
}

static void put_tuple(struct buf *b, const struct change_tuple *t)
{
        if (t->n == 0) {
                wr_nil(b);
                return;
        }
        wr_array(b, t->n);
        for (uint32_t i = 0; i < t->n; i++) {
                switch (t->values[i].kind) {
                case VALUE_NULL:
                        wr_nil(b);
                        break;
                case VALUE_TEXT:
                        wr_bin(b, t->values[i].text);
                        break;
                case VALUE_SAME:
                        wr_bool(b, true);
                        break;
                }
        }
}

void change_writer_change(struct change_writer *w, const struct change *c)
{
        SLUICE_ASSERT(w->in_txn);
        wr_array(&w->txns, 5);
        wr_u64(&w->txns, (uint64_t)c->kind);
        wr_u64(&w->txns, c->op);
        wr_u64(&w->txns, c->relation_oid);
        put_tuple(&w->txns, &c->new_row);
        put_tuple(&w->txns, &c->old_row);
        w->n_changes++;
}

void change_writer_txn_end(struct change_writer *w, bool last_part)
{
        SLUICE_ASSERT(w->in_txn);
        w->in_txn = false;
        w->n_txns++;
        if (buf_status(&w->txns) != 0)
                return;
        wr_array_end(&w->txns, w->txn_at, TXN_FIXED + w->n_changes);
        if (last_part)
                patch_last_part(w);
}

size_t change_writer_bytes(const struct change_writer *w)
{
        return w->relations.len + w->txns.len;
}

int change_writer_finish(struct change_writer *w, lsn_t end_lsn, struct buf *out)
{
        SLUICE_ASSERT(!w->in_txn);
        int err = buf_status(&w->relations) ? buf_status(&w->relations) : buf_status(&w->txns);
        if (err == 0) {
                wr_array(out, BATCH_FIXED + w->n_txns);
                wr_u64(out, CHANGE_VERSION);
                wr_u64(out, end_lsn.v);
                wr_array(out, w->n_relations);
                buf_put_slice(out, buf_slice(&w->relations));
                buf_put_slice(out, buf_slice(&w->txns));
                err = buf_status(out);
        }
        buf_reset(&w->relations);
        buf_reset(&w->txns);
        w->n_relations = w->n_txns = 0;
        return err;
}

void change_reader_init(struct change_reader *r)
{
        *r = (struct change_reader){0};
        r->columns = mem_array(CHANGE_MAX_COLUMNS, sizeof(*r->columns));
        r->ancestors = mem_array(CHANGE_MAX_ANCESTORS, sizeof(*r->ancestors));
        r->values = mem_array(2 * (size_t)CHANGE_MAX_COLUMNS, sizeof(*r->values));
}

void change_reader_fini(struct change_reader *r)
{
        mem_free(r->columns);
        mem_free(r->ancestors);
        mem_free(r->values);
        *r = (struct change_reader){0};
}

int change_reader_start(struct change_reader *r, struct slice batch)
{
        rd_init(&r->rd, batch);
        r->relations_left = r->txns_left = r->changes_left = 0;
        uint32_t count = rd_array(&r->rd);
        uint64_t version = rd_u64(&r->rd);
        if (!r->rd.err && version != CHANGE_VERSION)
                return ERR_VERSION;
        if (count < BATCH_FIXED)
                rd_fail(&r->rd);
        r->end_lsn.v = rd_u64(&r->rd);
        r->relations_left = rd_array(&r->rd);
        if (!r->rd.err)
                r->txns_left = count - BATCH_FIXED;
        return r->rd.err;
}

int change_reader_status(const struct change_reader *r)
{
        return r->rd.err;
}

static uint32_t read_u32(struct rd *r)
{
        uint64_t v = rd_u64(r);
        if (v > UINT32_MAX)
                rd_fail(r);
        return (uint32_t)v;
}

static void read_column(struct rd *r, struct change_column *c)
{
        if (rd_array(r) != 4)
                rd_fail(r);
        c->name = rd_bytes(r);
        c->type_oid = read_u32(r);
        int64_t type_mod = rd_i64(r);
        if (type_mod < INT32_MIN || type_mod > INT32_MAX)
                rd_fail(r);
        c->type_mod = (int32_t)type_mod;
        c->is_key = rd_bool(r);
}

static void read_ancestors(struct change_reader *r, struct change_relation *out)
{
        out->n_ancestors = rd_array(&r->rd);
        if (out->n_ancestors > CHANGE_MAX_ANCESTORS)
                rd_fail(&r->rd);
        out->ancestors = r->ancestors;
        for (uint32_t i = 0; i < out->n_ancestors && !r->rd.err; i++) {
                if (rd_array(&r->rd) != 3)
                        rd_fail(&r->rd);
                r->ancestors[i].oid = read_u32(&r->rd);
                r->ancestors[i].since = read_u32(&r->rd);
                r->ancestors[i].born = rd_bool(&r->rd);
        }
}

bool change_reader_relation(struct change_reader *r, struct change_relation *out)
{
        if (r->rd.err || r->relations_left == 0)
                return false;
        r->relations_left--;
        const unsigned char *start = r->rd.p;
        if (rd_array(&r->rd) != RELATION_FIELDS)
                rd_fail(&r->rd);
        out->oid = read_u32(&r->rd);
        out->schema = rd_bytes(&r->rd);
        out->table = rd_bytes(&r->rd);
        uint64_t identity = rd_u64(&r->rd);
        out->told = rd_u64(&r->rd);
        out->n_columns = rd_array(&r->rd);
        if (out->n_columns > CHANGE_MAX_COLUMNS || identity > 127)
                rd_fail(&r->rd);
        out->replica_identity = (char)identity;
        out->columns = r->columns;
        for (uint32_t i = 0; i < out->n_columns && !r->rd.err; i++)
                read_column(&r->rd, &r->columns[i]);
        read_ancestors(r, out);
        out->encoded = slice_of((const char *)start, (size_t)(r->rd.p - start));
        return !r->rd.err;
}

bool change_reader_txn(struct change_reader *r, struct change_txn *out)
{
        struct rd *rd = &r->rd;
        for (; r->relations_left > 0 && !rd->err; r->relations_left--)
                rd_skip(rd);
        for (; r->changes_left > 0 && !rd->err; r->changes_left--)
                rd_skip(rd);
        if (rd->err)
                return false;
        if (r->txns_left == 0) {
                if (!rd_at_end(rd))
                        rd_fail(rd);
                return false;
        }
        r->txns_left--;
        uint32_t count = rd_array(rd);
        if (count < TXN_FIXED)
                rd_fail(rd);
        out->xid = read_u32(rd);
        out->commit_lsn.v = rd_u64(rd);
        out->commit_time_us = rd_u64(rd);
        out->first_part = rd_bool(rd);
        out->last_part = rd_bool(rd);
        if (rd->err)
                return false;
        r->changes_left = count - TXN_FIXED;
        return true;
}

static void read_tuple(struct rd *rd, struct change_value *values, bool may_be_same,
                       struct change_tuple *out)
{
        *out = (struct change_tuple){.values = values};
        if (rd_nil(rd))
                return;
        uint32_t n = rd_array(rd);
        if (n == 0 || n > CHANGE_MAX_COLUMNS)
                rd_fail(rd);
        for (uint32_t i = 0; i < n && !rd->err; i++) {
                switch (rd_peek(rd)) {
                case RD_BIN:
                case RD_STR:
                        values[i] = (struct change_value){VALUE_TEXT, rd_bytes(rd)};
                        break;
                case RD_NIL:
                        rd_nil(rd);
                        values[i] = (struct change_value){.kind = VALUE_NULL};
                        break;
                case RD_BOOL:
                        if (!rd_bool(rd) || !may_be_same)
                                rd_fail(rd);
                        values[i] = (struct change_value){.kind = VALUE_SAME};
                        break;
                case RD_END:
                case RD_UINT:
                case RD_INT:
                case RD_ARRAY:
                case RD_OTHER:
                        rd_fail(rd);
                        break;
                }
        }
        out->n = rd->err ? 0 : n;
}

/* Which tuples each kind has. */
static bool shape_is_right(const struct change *c)
{
        switch (c->kind) {
        case CHANGE_INSERT:
                return c->new_row.n > 0 && c->old_row.n == 0;
        case CHANGE_UPDATE:
                return c->new_row.n > 0 && (c->old_row.n == 0 || c->old_row.n == c->new_row.n);
        case CHANGE_DELETE:
                return c->new_row.n == 0;
        case CHANGE_TRUNCATE:
                return c->new_row.n == 0 && c->old_row.n == 0;
        }
        return false;
}

bool change_reader_change(struct change_reader *r, struct change *out)
{
        struct rd *rd = &r->rd;
        if (rd->err || r->changes_left == 0)
                return false;
        r->changes_left--;
        if (rd_array(rd) != 5)
                rd_fail(rd);
        out->kind = (enum change_kind)rd_u64(rd);
        out->op = rd_u64(rd);
        out->relation_oid = read_u32(rd);
        read_tuple(rd, r->values, out->kind == CHANGE_UPDATE, &out->new_row);
        read_tuple(rd, r->values + CHANGE_MAX_COLUMNS, false, &out->old_row);
        if (!rd->err && !shape_is_right(out))
                rd_fail(rd);
        return !rd->err;
}
