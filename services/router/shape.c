#include "services/router/shape.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/definition.h"
#include "common/wire/rd.h"
#include "common/wire/wr.h"
#include "services/router/clause.h"
#include "services/router/match.h"
#include "services/router/zone.h"

enum { RECORD_VERSION = 2, RECORD_HEAD_BYTES = 32 };

/* ---- the object */

struct shape *shape_new(uint64_t id, uint64_t created_us, struct slice definition,
                        struct slice identity, struct clause *clause, struct view *view)
{
        struct shape *s = mem_new(struct shape);
        s->magic = SHAPE_MAGIC;
        s->state = SHAPE_WAITING;
        s->id = id;
        s->created_us = created_us;
        s->definition = slice_dup(definition);
        s->identity = slice_eq(identity, definition) ? s->definition : slice_dup(identity);
        s->hash = definition_hash(definition);
        s->clause = clause;
        s->view = view;
        s->tail.log = LOG_TAIL_EMPTY;
        s->birth = mem_new(struct birth);
        s->birth->shape = s;
        list_init(&s->birth->held);
        list_init(&s->in_view);
        list_init(&s->in_rest);
        list_init(&s->dirty);
        return s;
}

static void drop_filter(struct shape *s)
{
        filter_unref(s->filter);
        s->filter = NULL;
}

void shape_free(struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(list_empty(&s->in_view) && list_empty(&s->dirty) && !s->aliases);
        if (s->pending)
                pending_free(s->pending);
        drop_filter(s);
        view_unref(s->view);
        clause_free(s->clause);
        mem_free(s->birth);
        if (s->identity.p != s->definition.p)
                mem_free((void *)s->identity.p);
        mem_free((void *)s->definition.p);
        mem_free((void *)s->reason.p);
        s->magic = 0;
        mem_free(s);
}

void shape_set_state(struct shape *s, enum shape_state to)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        static const uint32_t from[] = {
                [SHAPE_WAITING] = 0,
                [SHAPE_HELD] = 1u << SHAPE_WAITING | 1u << SHAPE_HELD,
                [SHAPE_STARTED] = 1u << SHAPE_HELD,
                [SHAPE_COMPLETE] = 1u << SHAPE_STARTED,
                [SHAPE_GONE] = 1u << SHAPE_WAITING | 1u << SHAPE_HELD | 1u << SHAPE_STARTED |
                               1u << SHAPE_COMPLETE,
        };
        SLUICE_ASSERT(from[to] & 1u << s->state);
        s->state = to;
        if (s->birth && to != SHAPE_HELD)
                list_remove(&s->birth->held);
        if (to == SHAPE_COMPLETE || to == SHAPE_GONE) {
                mem_free(s->birth);
                s->birth = NULL;
        }
}

struct pending *shape_pending(struct shape *s)
{
        if (!s->pending)
                s->pending = pending_new(s, &s->tail.log);
        return s->pending;
}

/* I2: a transaction is in the snapshot or in the log. What commits after the WAL position that was
 * read after the snapshot cannot be in the snapshot; before it, either may come first. */
bool shape_tail_moves(const struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        return s->pending && offset_cmp(s->pending->settled.at, s->tail.log.at) != 0;
}

bool shape_skips(struct shape *s, uint32_t xid, lsn_t commit_lsn)
{
        if (!s->filter)
                return false;
        if (lsn_cmp(commit_lsn, s->filter->snapshot.insert_lsn) <= 0)
                return pg_snapshot_sees(&s->filter->snapshot, xid);
        drop_filter(s);
        return false;
}

void shape_handle(uint64_t id, uint64_t created_us, struct buf *out)
{
        buf_put_u64(out, id);
        buf_putc(out, '-');
        buf_put_u64(out, created_us);
}

int shape_parse_handle(struct slice handle, uint64_t *id, uint64_t *created_us)
{
        const char *dash = handle.len ? memchr(handle.p, '-', handle.len) : NULL;
        if (!dash)
                return ERR_FORMAT;
        size_t at = (size_t)(dash - handle.p);
        uint64_t i, us;
        if (slice_parse_u64(slice_of(handle.p, at), &i) != 0 ||
            slice_parse_u64(slice_of(dash + 1, handle.len - at - 1), &us) != 0)
                return ERR_FORMAT;
        *id = i;
        *created_us = us;
        return 0;
}

struct filter *filter_new(const struct pg_snapshot *s)
{
        struct filter *f = mem_new(struct filter);
        f->refs = 1;
        f->snapshot = *s;
        f->snapshot.xip = mem_array(s->n_xip ? s->n_xip : 1, sizeof(*s->xip));
        if (s->n_xip)
                memcpy(f->snapshot.xip, s->xip, s->n_xip * sizeof(*s->xip));
        return f;
}

struct filter *filter_ref(struct filter *f)
{
        f->refs++;
        return f;
}

void filter_unref(struct filter *f)
{
        if (!f || --f->refs > 0)
                return;
        pg_snapshot_fini(&f->snapshot);
        mem_free(f);
}

bool filter_is(const struct filter *f, const struct pg_snapshot *s)
{
        const struct pg_snapshot *t = &f->snapshot;
        return t->xmin == s->xmin && t->xmax == s->xmax && t->insert_lsn.v == s->insert_lsn.v &&
               t->member == s->member && t->n_xip == s->n_xip &&
               (s->n_xip == 0 || memcmp(t->xip, s->xip, s->n_xip * sizeof(*s->xip)) == 0);
}

/* ---- the record: a fixed head, then msgpack */

static void encode_filter(const struct pg_snapshot *f, struct buf *out)
{
        if (!f) {
                wr_nil(out);
                return;
        }
        wr_array(out, 3 + f->n_xip);
        wr_u64(out, f->xmin);
        wr_u64(out, f->xmax);
        wr_u64(out, f->insert_lsn.v);
        for (uint32_t i = 0; i < f->n_xip; i++)
                wr_u64(out, f->xip[i]);
}

void shape_record_encode(const struct shape *s, struct buf *out)
{
        uint64_t head[4] = {RECORD_VERSION, s->created_us, s->hash, s->view->version->topic->oid};
        buf_put(out, head, sizeof(head));
        wr_bin(out, s->definition);
        wr_bin(out, view_table_bytes(s->view));
        wr_array(out, s->view->n_columns);
        for (uint32_t i = 0; i < s->view->n_columns; i++)
                wr_u64(out, s->view->columns[i]);
        wr_u64(out, s->member);
        encode_filter(s->filter ? &s->filter->snapshot : NULL, out);
        uint64_t zones = zone_set_print(s->clause ? s->clause->zones : NULL);
        if (zones)
                wr_u64(out, zones);
}

int shape_record_head(struct slice record, struct shape_record_head *out)
{
        uint64_t head[4];
        if (record.len < RECORD_HEAD_BYTES)
                return ERR_CORRUPT;
        memcpy(head, record.p, sizeof(head));
        if (head[0] != RECORD_VERSION || head[3] > UINT32_MAX)
                return ERR_CORRUPT;
        *out = (struct shape_record_head){head[1], head[2], (uint32_t)head[3]};
        return 0;
}

static bool decode_filter(struct rd *rd, struct pg_snapshot *out)
{
        if (rd_nil(rd))
                return false;
        uint32_t n = rd_array(rd);
        if (n < 3) {
                rd_fail(rd);
                return false;
        }
        *out = (struct pg_snapshot){.n_xip = n - 3};
        out->xmin = rd_u64(rd);
        out->xmax = rd_u64(rd);
        out->insert_lsn.v = rd_u64(rd);
        out->xip = mem_array(n, sizeof(*out->xip));
        for (uint32_t i = 0; i < out->n_xip; i++)
                out->xip[i] = rd_u64(rd);
        return true;
}

int shape_record_decode(struct slice record, struct shape_record *out)
{
        struct shape_record r = {0};
        if (shape_record_head(record, &r.head) != 0)
                return ERR_CORRUPT;
        struct rd rd;
        rd_init(&rd, slice_of(record.p + RECORD_HEAD_BYTES, record.len - RECORD_HEAD_BYTES));
        r.definition = rd_bytes(&rd);
        r.table = rd_bytes(&rd);
        r.n_columns = rd_array(&rd);
        r.columns = mem_array(r.n_columns ? r.n_columns : 1, sizeof(*r.columns));
        for (uint32_t i = 0; i < r.n_columns; i++)
                r.columns[i] = (uint32_t)rd_u64(&rd);
        r.member = rd_u64(&rd);
        r.has_filter = decode_filter(&rd, &r.filter);
        if (!rd.err && !rd_at_end(&rd))
                r.zones = rd_u64(&rd);
        if (rd.err || !rd_at_end(&rd) || definition_hash(r.definition) != r.head.definition_hash) {
                shape_record_fini(&r);
                return ERR_CORRUPT;
        }
        *out = r;
        return 0;
}

void shape_record_fini(struct shape_record *r)
{
        mem_free(r->columns);
        if (r->has_filter)
                pg_snapshot_fini(&r->filter);
        r->columns = NULL;
        r->has_filter = false;
}
