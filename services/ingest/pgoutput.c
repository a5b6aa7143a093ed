#include "services/ingest/pgoutput.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

/* Microseconds from 1970 to 2000, where Postgres' clock starts. */
static const uint64_t PG_EPOCH_US = 946684800000000ULL;

struct pgoutput {
        struct change_column columns[CHANGE_MAX_COLUMNS];
        struct change_value new_values[CHANGE_MAX_COLUMNS];
        struct change_value old_values[CHANGE_MAX_COLUMNS];
};

/* A cursor with a sticky error: after one bad read everything reads as zero or empty. */
struct cursor {
        const unsigned char *p, *end;
        bool bad;
};

static const unsigned char *take(struct cursor *c, size_t bytes)
{
        if (c->bad || bytes > (size_t)(c->end - c->p)) {
                c->bad = true;
                return NULL;
        }
        const unsigned char *at = c->p;
        c->p += bytes;
        return at;
}

static uint8_t take_u8(struct cursor *c)
{
        const unsigned char *at = take(c, 1);
        return at ? at[0] : 0;
}

static uint16_t take_u16(struct cursor *c)
{
        const unsigned char *at = take(c, 2);
        return at ? (uint16_t)((unsigned)at[0] << 8 | (unsigned)at[1]) : 0;
}

static uint32_t read_u32(const unsigned char *at)
{
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t take_u32(struct cursor *c)
{
        const unsigned char *at = take(c, 4);
        return at ? read_u32(at) : 0;
}

static uint64_t take_u64(struct cursor *c)
{
        uint64_t high = take_u32(c);
        return high << 32 | take_u32(c);
}

/* Text up to its NUL. */
static struct slice take_text(struct cursor *c)
{
        const unsigned char *nul = c->bad ? NULL : memchr(c->p, 0, (size_t)(c->end - c->p));
        if (!nul) {
                c->bad = true;
                return SLICE_EMPTY;
        }
        struct slice text = slice_of((const char *)c->p, (size_t)(nul - c->p));
        c->p = nul + 1;
        return text;
}

static uint64_t take_time(struct cursor *c)
{
        return take_u64(c) + PG_EPOCH_US;
}

static void take_begin(struct cursor *c, struct pgoutput_msg *m)
{
        m->commit_lsn.v = take_u64(c);
        m->commit_time_us = take_time(c);
        m->xid = take_u32(c);
}

static void take_commit(struct cursor *c, struct pgoutput_msg *m)
{
        take_u8(c); /* flags, unused */
        m->commit_lsn.v = take_u64(c);
        m->end_lsn.v = take_u64(c);
        m->commit_time_us = take_time(c);
}

static void take_relation(struct cursor *c, struct pgoutput *d, struct pgoutput_msg *m)
{
        struct change_relation *r = &m->relation;
        r->oid = take_u32(c);
        r->schema = take_text(c);
        if (r->schema.len == 0)
                r->schema = SLICE_LIT("pg_catalog"); /* how pgoutput names it */
        r->table = take_text(c);
        r->replica_identity = (char)take_u8(c);
        if (r->replica_identity == '\0' || !strchr("dnfi", r->replica_identity))
                c->bad = true;
        r->n_columns = take_u16(c);
        r->columns = d->columns;
        if (r->n_columns > CHANGE_MAX_COLUMNS)
                c->bad = true;
        for (uint32_t i = 0; i < r->n_columns && !c->bad; i++) {
                d->columns[i].is_key = take_u8(c) & 1;
                d->columns[i].name = take_text(c);
                d->columns[i].type_oid = take_u32(c);
                d->columns[i].type_mod = (int32_t)take_u32(c);
        }
}

static struct change_value take_value(struct cursor *c)
{
        switch (take_u8(c)) {
        case 'n':
                return (struct change_value){VALUE_NULL, SLICE_EMPTY};
        case 'u':
                return (struct change_value){VALUE_SAME, SLICE_EMPTY};
        case 't': {
                size_t len = take_u32(c);
                const unsigned char *at = take(c, len);
                return (struct change_value){VALUE_TEXT, slice_of((const char *)at, at ? len : 0)};
        }
        default: /* 'b' is never asked for */
                c->bad = true;
                return (struct change_value){VALUE_NULL, SLICE_EMPTY};
        }
}

static struct change_tuple take_tuple(struct cursor *c, struct change_value *room)
{
        uint32_t n = take_u16(c);
        if (n > CHANGE_MAX_COLUMNS)
                c->bad = true;
        for (uint32_t i = 0; i < n && !c->bad; i++)
                room[i] = take_value(c);
        return (struct change_tuple){room, n};
}

static void take_insert(struct cursor *c, struct pgoutput *d, struct pgoutput_msg *m)
{
        m->relation_oid = take_u32(c);
        if (take_u8(c) != 'N')
                c->bad = true;
        m->new_row = take_tuple(c, d->new_values);
}

static void take_update(struct cursor *c, struct pgoutput *d, struct pgoutput_msg *m)
{
        m->relation_oid = take_u32(c);
        uint8_t tag = take_u8(c);
        if (tag == 'K' || tag == 'O') {
                m->old_is_key = tag == 'K';
                m->old_row = take_tuple(c, d->old_values);
                tag = take_u8(c);
        }
        if (tag != 'N')
                c->bad = true;
        m->new_row = take_tuple(c, d->new_values);
}

static void take_delete(struct cursor *c, struct pgoutput *d, struct pgoutput_msg *m)
{
        m->relation_oid = take_u32(c);
        uint8_t tag = take_u8(c);
        if (tag != 'K' && tag != 'O')
                c->bad = true;
        m->old_is_key = tag == 'K';
        m->old_row = take_tuple(c, d->old_values);
}

static void take_truncate(struct cursor *c, struct pgoutput_msg *m)
{
        m->n_truncated = take_u32(c);
        take_u8(c); /* options: CASCADE, RESTART IDENTITY */
        m->truncated = take(c, (size_t)m->n_truncated * 4);
}

static void take_origin(struct cursor *c)
{
        take_u64(c);
        take_text(c);
}

static void take_type(struct cursor *c)
{
        take_u32(c);
        take_text(c);
        take_text(c);
}

static void take_message(struct cursor *c)
{
        take_u8(c); /* transactional or not */
        take_u64(c);
        take_text(c);
        take(c, take_u32(c));
}

static void take_body(struct cursor *c, struct pgoutput *d, struct pgoutput_msg *m)
{
        switch (m->kind) {
        case PGOUTPUT_BEGIN:
                take_begin(c, m);
                return;
        case PGOUTPUT_COMMIT:
                take_commit(c, m);
                return;
        case PGOUTPUT_ORIGIN:
                take_origin(c);
                return;
        case PGOUTPUT_RELATION:
                take_relation(c, d, m);
                return;
        case PGOUTPUT_TYPE:
                take_type(c);
                return;
        case PGOUTPUT_INSERT:
                take_insert(c, d, m);
                return;
        case PGOUTPUT_UPDATE:
                take_update(c, d, m);
                return;
        case PGOUTPUT_DELETE:
                take_delete(c, d, m);
                return;
        case PGOUTPUT_TRUNCATE:
                take_truncate(c, m);
                return;
        case PGOUTPUT_MESSAGE:
                take_message(c);
                return;
        }
        c->bad = true;
}

struct pgoutput *pgoutput_new(void)
{
        return mem_new(struct pgoutput);
}

void pgoutput_free(struct pgoutput *d)
{
        mem_free(d);
}

int pgoutput_decode(struct pgoutput *d, struct slice bytes, struct pgoutput_msg *out)
{
        SLUICE_ASSERT(d != NULL && out != NULL);
        struct cursor c = {(const unsigned char *)bytes.p,
                           (const unsigned char *)bytes.p + bytes.len, false};
        struct pgoutput_msg m = {.kind = (enum pgoutput_kind)take_u8(&c)};
        take_body(&c, d, &m);
        if (c.bad || c.p != c.end)
                return ERR_FORMAT;
        *out = m;
        return 0;
}

uint32_t pgoutput_truncated(const struct pgoutput_msg *m, uint32_t i)
{
        SLUICE_ASSERT(m->kind == PGOUTPUT_TRUNCATE && i < m->n_truncated);
        return read_u32(m->truncated + (size_t)i * 4);
}
