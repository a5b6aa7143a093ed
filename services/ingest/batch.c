#include "services/ingest/batch.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/hmap.h"
#include "common/base/mem.h"

/* Postgres refuses to build a replication message beyond 1 GiB; what we make of one is smaller than
 * twice that. */
static const size_t LARGEST_CHANGE_BYTES = (size_t)2 << 30;
/* Buffers that one huge row has blown up are given back. */
enum { KEEP_FACTOR = 4 };

struct relation {
        struct change_relation as_change; /* only oid, told and encoded are used */
        uint32_t n_columns;
        uint64_t batch_no; /* the batch that describes it already */
};

struct open_txn {
        bool open;        /* between begin and commit */
        bool part_open;   /* the writer has a part of it */
        bool sent;        /* a part of it was emitted */
        uint64_t next_op; /* I1: counts by two over all its changes */
        struct change_txn head;
};

struct batch {
        size_t batch_bytes;
        batch_emit *emit;
        void *arg;
        struct change_writer writer;
        struct buf body;
        struct buf encoded;    /* scratch for relations */
        struct hmap relations; /* oid -> struct relation */
        struct relation *last_relation;
        struct open_txn txn;
        uint64_t batch_no;
        uint32_t whole_txns; /* ended in the writer */
        lsn_t position, emitted, reach;
        struct batch_counts counts;
};

struct batch *batch_new(size_t batch_bytes, batch_emit *emit, void *arg)
{
        SLUICE_ASSERT(batch_bytes > 0 && emit != NULL);
        struct batch *b = mem_new(struct batch);
        b->batch_bytes = batch_bytes;
        b->emit = emit;
        b->arg = arg;
        change_writer_init(&b->writer, batch_bytes + LARGEST_CHANGE_BYTES);
        buf_init(&b->body, 2 * (batch_bytes + LARGEST_CHANGE_BYTES));
        buf_init(&b->encoded, LARGEST_CHANGE_BYTES);
        hmap_init(&b->relations);
        return b;
}

static void forget_relations(struct batch *b)
{
        size_t cursor = 0;
        struct slice key;
        struct relation *r;
        while ((r = hmap_next(&b->relations, &cursor, &key))) {
                mem_free((void *)(uintptr_t)r->as_change.encoded.p);
                mem_free(r);
        }
        hmap_fini(&b->relations);
        hmap_init(&b->relations);
        b->last_relation = NULL;
}

static void renew_buffers(struct batch *b)
{
        change_writer_fini(&b->writer);
        change_writer_init(&b->writer, b->batch_bytes + LARGEST_CHANGE_BYTES);
        buf_fini(&b->body);
        buf_init(&b->body, 2 * (b->batch_bytes + LARGEST_CHANGE_BYTES));
}

void batch_free(struct batch *b)
{
        if (!b)
                return;
        forget_relations(b);
        hmap_fini(&b->relations);
        change_writer_fini(&b->writer);
        buf_fini(&b->body);
        buf_fini(&b->encoded);
        mem_free(b);
}

void batch_begin(struct batch *b, lsn_t start)
{
        forget_relations(b);
        renew_buffers(b);
        b->txn = (struct open_txn){0};
        b->batch_no++;
        b->whole_txns = 0;
        b->position = b->emitted = b->reach = start;
}

/* ---- cutting */

static void end_part(struct batch *b, bool last)
{
        change_writer_txn_end(&b->writer, last);
        b->txn.part_open = false;
}

static void emit(struct batch *b)
{
        buf_reset(&b->body);
        int err = change_writer_finish(&b->writer, b->position, &b->body);
        SLUICE_ASSERT(err == 0); /* LARGEST_CHANGE_BYTES */
        bool in_parts = b->txn.open && b->txn.sent;
        lsn_t reach = in_parts ? b->txn.head.commit_lsn : b->position;
        SLUICE_ASSERT(lsn_cmp(reach, b->reach) >= 0);
        SLUICE_ASSERT(!in_parts || lsn_cmp(b->position, reach) < 0); /* I5 */
        b->batch_no++;
        b->whole_txns = 0;
        b->emitted = b->position;
        b->reach = reach;
        struct batch_out out = {b->position, reach, buf_slice(&b->body)};
        b->emit(b->arg, &out);
        if (b->body.cap > KEEP_FACTOR * b->batch_bytes)
                renew_buffers(b);
}

void batch_cut(struct batch *b)
{
        if (b->txn.part_open) {
                end_part(b, false);
                b->txn.sent = true;
        } else if (!batch_has_txns(b) && !batch_has_moved(b)) {
                return;
        }
        emit(b);
}

/* ---- relations */

static struct relation *find_relation(struct batch *b, uint32_t oid)
{
        if (b->last_relation && b->last_relation->as_change.oid == oid)
                return b->last_relation;
        struct relation *r = hmap_find(&b->relations, HMAP_KEY(oid));
        if (r)
                b->last_relation = r;
        return r;
}

static struct relation *new_relation(struct batch *b, uint32_t oid)
{
        struct relation *r = mem_new(struct relation);
        r->as_change.oid = oid;
        hmap_put(&b->relations, HMAP_KEY(oid), r);
        return r;
}

/* A batch describes a relation once: if it has done so and the relation is described again, the
 * batch ends here. */
static void note_relation(struct batch *b, const struct change_relation *described)
{
        struct change_relation now = *described;
        struct relation *r = find_relation(b, now.oid);
        now.told = r ? r->as_change.told + 1 : 0;
        buf_reset(&b->encoded);
        change_relation_encode(&b->encoded, &now);
        SLUICE_ASSERT(buf_status(&b->encoded) == 0);
        if (!r)
                r = new_relation(b, now.oid);
        if (r->batch_no == b->batch_no)
                batch_cut(b);
        mem_free((void *)(uintptr_t)r->as_change.encoded.p);
        r->as_change.encoded = slice_dup(buf_slice(&b->encoded));
        r->as_change.told = now.told;
        r->n_columns = now.n_columns;
        r->batch_no = 0;
}

/* ---- changes */

static void open_part(struct batch *b)
{
        if (b->txn.part_open)
                return;
        b->txn.head.first_part = !b->txn.sent;
        change_writer_txn_begin(&b->writer, &b->txn.head);
        b->txn.part_open = true;
}

static void put_change(struct batch *b, struct relation *r, struct change *c)
{
        open_part(b);
        if (r->batch_no != b->batch_no) {
                change_writer_relation(&b->writer, &r->as_change);
                r->batch_no = b->batch_no;
        }
        c->relation_oid = r->as_change.oid;
        c->op = b->txn.next_op;
        b->txn.next_op += 2; /* I1 */
        b->counts.changes++;
        change_writer_change(&b->writer, c);
}

/* change.h: in the new tuple of an update `true` stands for "as in the old one". */
static void mark_same(struct change_tuple new_row, struct change_tuple old_row)
{
        for (uint32_t i = 0; i < new_row.n && i < old_row.n; i++) {
                struct change_value *now = &new_row.values[i];
                const struct change_value *was = &old_row.values[i];
                if (now->kind == VALUE_TEXT && was->kind == VALUE_TEXT &&
                    slice_eq(now->text, was->text))
                        now->kind = VALUE_SAME;
        }
}

static bool has_same(struct change_tuple row)
{
        for (uint32_t i = 0; i < row.n; i++)
                if (row.values[i].kind == VALUE_SAME)
                        return true;
        return false;
}

static int refuse(struct buf *why, const char *what, uint32_t number)
{
        buf_printf(why, "replication stream makes no sense: %s (%u)", what, number);
        return ERR_FORMAT;
}

/* Of a relation without REPLICA IDENTITY FULL the stream has the key, and NULL for what it does not
 * have. Whoever took that for the row would find it in shapes in which it never was. */
static struct change_tuple whole_old_row(const struct pgoutput_msg *m)
{
        return m->old_is_key ? (struct change_tuple){0} : m->old_row;
}

static int row_change(struct batch *b, const struct pgoutput_msg *m, struct buf *why)
{
        struct relation *r = find_relation(b, m->relation_oid);
        if (!b->txn.open)
                return refuse(why, "change outside a transaction, relation", m->relation_oid);
        if (!r)
                return refuse(why, "change of a relation that was not described", m->relation_oid);
        if ((m->new_row.n && m->new_row.n != r->n_columns) ||
            (m->old_row.n && m->old_row.n != r->n_columns))
                return refuse(why, "row and relation differ in columns, relation", m->relation_oid);
        if (has_same(m->old_row) || (m->kind == PGOUTPUT_INSERT && has_same(m->new_row)))
                return refuse(why, "value missing in a row, relation", m->relation_oid);
        if (r->n_columns == 0) {
                b->txn.next_op += 2; /* I1; who has no columns has nothing to tell */
                return 0;
        }
        if ((m->kind == PGOUTPUT_DELETE ? m->old_row : m->new_row).n == 0)
                return refuse(why, "row without columns, relation", m->relation_oid);
        struct change c = {.kind = (enum change_kind)m->kind,
                           .new_row = m->new_row,
                           .old_row = whole_old_row(m)};
        if (m->kind == PGOUTPUT_UPDATE)
                mark_same(c.new_row, c.old_row);
        put_change(b, r, &c);
        if (batch_bytes(b) >= b->batch_bytes)
                batch_cut(b);
        return 0;
}

static int truncate_change(struct batch *b, const struct pgoutput_msg *m, struct buf *why)
{
        if (!b->txn.open)
                return refuse(why, "truncate outside a transaction, tables", m->n_truncated);
        for (uint32_t i = 0; i < m->n_truncated; i++) {
                uint32_t oid = pgoutput_truncated(m, i);
                struct relation *r = find_relation(b, oid);
                if (!r)
                        return refuse(why, "truncate of a relation that was not described", oid);
                struct change c = {.kind = CHANGE_TRUNCATE};
                put_change(b, r, &c);
        }
        if (batch_bytes(b) >= b->batch_bytes)
                batch_cut(b);
        return 0;
}

/* ---- transactions */

static int begin(struct batch *b, const struct pgoutput_msg *m, struct buf *why)
{
        if (b->txn.open)
                return refuse(why, "begin within a transaction, xid", m->xid);
        if (lsn_cmp(m->commit_lsn, b->position) <= 0)
                return refuse(why, "transactions are out of order, xid", m->xid);
        b->txn = (struct open_txn){.open = true,
                                   .head = {.xid = m->xid,
                                            .commit_lsn = m->commit_lsn,
                                            .commit_time_us = m->commit_time_us}};
        return 0;
}

/* An empty transaction only moves the position. */
static int commit(struct batch *b, const struct pgoutput_msg *m, struct buf *why)
{
        if (!b->txn.open || lsn_cmp(m->commit_lsn, b->txn.head.commit_lsn) != 0)
                return refuse(why, "commit does not match its begin, xid", b->txn.head.xid);
        if (b->txn.sent)
                open_part(b);
        if (b->txn.part_open) {
                end_part(b, true);
                b->whole_txns++;
                b->counts.txns++;
        }
        b->txn.open = false;
        b->position = m->commit_lsn;
        return 0;
}

int batch_message(struct batch *b, const struct pgoutput_msg *m, struct buf *why)
{
        switch (m->kind) {
        case PGOUTPUT_BEGIN:
                return begin(b, m, why);
        case PGOUTPUT_COMMIT:
                return commit(b, m, why);
        case PGOUTPUT_RELATION:
                if (!b->txn.open)
                        return refuse(why, "relation outside a transaction", m->relation.oid);
                note_relation(b, &m->relation);
                return 0;
        case PGOUTPUT_INSERT:
        case PGOUTPUT_UPDATE:
        case PGOUTPUT_DELETE:
                return row_change(b, m, why);
        case PGOUTPUT_TRUNCATE:
                return truncate_change(b, m, why);
        case PGOUTPUT_ORIGIN:
        case PGOUTPUT_TYPE:
        case PGOUTPUT_MESSAGE:
                return 0;
        }
        return refuse(why, "unknown message", (uint32_t)m->kind);
}

void batch_keepalive(struct batch *b, lsn_t decoded)
{
        if (!b->txn.open && decoded.v > 0 && decoded.v - 1 > b->position.v)
                b->position.v = decoded.v - 1;
}

bool batch_has_txns(const struct batch *b)
{
        return b->whole_txns > 0;
}

bool batch_in_txn(const struct batch *b)
{
        return b->txn.open;
}

size_t batch_bytes(const struct batch *b)
{
        return change_writer_bytes(&b->writer);
}

uint32_t batch_xid(const struct batch *b)
{
        SLUICE_ASSERT(b->txn.open);
        return b->txn.head.xid;
}

bool batch_has_moved(const struct batch *b)
{
        return lsn_cmp(b->position, b->emitted) > 0;
}

lsn_t batch_position(const struct batch *b)
{
        return b->position;
}

lsn_t batch_reach(const struct batch *b)
{
        return b->reach;
}

struct batch_counts batch_counts(const struct batch *b)
{
        return b->counts;
}
