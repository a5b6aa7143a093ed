/* Rendering is the hottest code of a router: every row of a snapshot and every change of the log
 * goes through it once. So everything that does not depend on the row is made once, in
 * projection_new(): JSON fragments that already contain the punctuation around the values. A row
 * then costs one memcpy for each fragment and one pass over each value.
 *
 * An entry is put together like this; <> are the row's own parts:
 *
 *   {"key":"\"public\".\"items\"</"1">","value":{"a":"<x>","id":"<1>"},"headers":{"operation":"insert",…,"txids":[<7>…
 *   `-------- key_head -------'        `-- value --' `- column -'   `------------------ head
 * -----------------' */
#include "services/router/render.h"

#include "common/base/assert.h"
#include "services/router/pen.h"
#include "services/router/projection.h"

#define VALUE_OPEN     SLICE_LIT("\",\"value\":")
#define OLD_VALUE_OPEN SLICE_LIT(",\"old_value\":")

/* ---- values */

/* The one form of a boolean; anything that is not t or f stays as it is. */
static struct slice canonical_bool(struct slice text)
{
        if (text.len == 1 && text.p[0] == 't')
                return SLICE_LIT("true");
        if (text.len == 1 && text.p[0] == 'f')
                return SLICE_LIT("false");
        return text;
}

/* What is missing at the end of an address. */
static struct slice inet_suffix(struct slice text)
{
        if (text.len == 0 || memchr(text.p, '/', text.len))
                return SLICE_EMPTY; /* NULL has no text at all */
        return memchr(text.p, ':', text.len) ? SLICE_LIT("/128") : SLICE_LIT("/32");
}

/* The value's text and what follows it; the second is empty for nearly all. */
static inline struct slice canonical(enum render_as render, struct slice text, struct slice *suffix)
{
        *suffix = SLICE_EMPTY;
        if (__builtin_expect(render == RENDER_TEXT, 1))
                return text;
        if (render == RENDER_BOOL)
                return canonical_bool(text);
        *suffix = inet_suffix(text);
        return text;
}

static inline bool same_value(const struct change_value *a, const struct change_value *b)
{
        if (a->kind != b->kind)
                return false;
        if (a->kind == VALUE_NULL)
                return true;
        return a->text.len == b->text.len &&
               (a->text.p == b->text.p || memcmp(a->text.p, b->text.p, a->text.len) == 0);
}

/* ,"name":"text" or ,"name":null */
static inline void put_column(struct pen *pen, const struct out_column *c,
                              const struct change_value *v)
{
        enum { AROUND = 8 }; /* null, or the suffix and the closing quote */
        struct slice suffix, text = canonical(c->render, v->text, &suffix);
        if (v->kind == VALUE_NULL)
                text = suffix = SLICE_EMPTY;
        if (!pen_room(pen, c->open.len + text.len + AROUND))
                return;
        if (v->kind == VALUE_NULL) {
                pen_raw(pen, c->open.p, c->open.len - 1);
                pen_raw(pen, "null", 4);
                return;
        }
        pen_raw(pen, c->open.p, c->open.len);
        pen_raw_escaped(pen, text);
        if (!pen_room(pen, AROUND))
                return;
        pen_raw(pen, suffix.p, suffix.len);
        pen_raw_char(pen, '"');
}

/* An object is written as ,"a":…,"b":… and its first comma becomes the brace afterwards. */
struct object {
        size_t at;
};

static size_t position(const struct pen *pen)
{
        return pen->at ? (size_t)(pen->at - pen->out->p) : 0;
}

static struct object object_begin(struct pen *pen)
{
        return (struct object){position(pen)};
}

static void object_end(struct pen *pen, struct object o)
{
        if (!pen_room(pen, 2))
                return;
        if (position(pen) == o.at)
                pen_raw_char(pen, '{');
        else
                pen->out->p[o.at] = '{';
        pen_raw_char(pen, '}');
}

static void put_all_columns(struct pen *pen, const struct projection *p, struct row row)
{
        struct object o = object_begin(pen);
        for (uint32_t i = 0; i < p->n_columns; i++)
                put_column(pen, &p->columns[i], &row.values[p->columns[i].index]);
        object_end(pen, o);
}

static void put_key_columns(struct pen *pen, const struct projection *p, struct row row)
{
        struct object o = object_begin(pen);
        for (uint32_t i = 0; i < p->n_columns; i++)
                if (p->columns[i].is_key)
                        put_column(pen, &p->columns[i], &row.values[p->columns[i].index]);
        object_end(pen, o);
}

/* ---- keys: protocol §3.4, in the form of the snapshot */

/* JSON-escaped, each slash doubled. */
static void put_key_text(struct pen *pen, struct slice text)
{
        const char *slash;
        while (text.len > 0 && (slash = memchr(text.p, '/', text.len)) != NULL) {
                size_t upto = (size_t)(slash - text.p) + 1;
                pen_put_escaped(pen, slice_of(text.p, upto));
                pen_put(pen, SLICE_LIT("/"));
                text = slice_of(text.p + upto, text.len - upto);
        }
        pen_put_escaped(pen, text);
}

static void put_key_part(struct pen *pen, const struct key_column *k, const struct change_value *v)
{
        if (v->kind == VALUE_NULL) {
                pen_put(pen, SLICE_LIT("/_"));
                return;
        }
        struct slice suffix, text = canonical(k->render, v->text, &suffix);
        pen_put(pen, SLICE_LIT("/\\\""));
        put_key_text(pen, text);
        if (suffix.len)
                put_key_text(pen, suffix);
        pen_put(pen, SLICE_LIT("\\\""));
}

static void put_key_parts(struct pen *pen, const struct projection *p, struct row row)
{
        for (uint32_t i = 0; i < p->n_key; i++)
                put_key_part(pen, &p->key[i], &row.values[p->key[i].index]);
}

static void check_row(const struct projection *p, struct row row)
{
        CHECK_OBJ(p, PROJECTION_MAGIC);
        SLUICE_ASSERT(row.n == p->table->n_columns);
}

static void put_bare_part(struct buf *out, const struct key_column *k, const struct change_value *v)
{
        if (v->kind == VALUE_NULL) {
                buf_puts(out, "/_");
                return;
        }
        struct slice suffix, text = canonical(k->render, v->text, &suffix);
        struct slice pieces[2] = {text, suffix};
        buf_puts(out, "/\"");
        for (int piece = 0; piece < 2; piece++) {
                for (size_t i = 0; i < pieces[piece].len; i++) {
                        if (pieces[piece].p[i] == '/')
                                buf_putc(out, '/');
                        buf_putc(out, pieces[piece].p[i]);
                }
        }
        buf_putc(out, '"');
}

void render_key(const struct projection *p, struct row row, struct buf *out)
{
        check_row(p, row);
        buf_put_slice(out, p->key_name);
        for (uint32_t i = 0; i < p->n_key; i++)
                put_bare_part(out, &p->key[i], &row.values[p->key[i].index]);
}

/* {"key":"…","value": */
static void put_entry_open(struct pen *pen, const struct projection *p, struct row row)
{
        pen_put(pen, p->key_head);
        put_key_parts(pen, p, row);
        pen_put(pen, VALUE_OPEN);
}

/* ---- snapshots */

void render_snapshot_row(const struct projection *p, struct row row, struct buf *out)
{
        struct pen pen;
        check_row(p, row);
        pen_open(&pen, out);
        put_entry_open(&pen, p, row);
        put_all_columns(&pen, p, row);
        pen_put(&pen, p->snapshot_tail);
        pen_close(&pen);
}

void render_snapshot_end(uint64_t xmin, uint64_t xmax, const uint64_t *xip, uint32_t n_xip,
                         struct buf *out)
{
        buf_puts(out, "{\"headers\":{\"control\":\"snapshot-end\",\"xmin\":\"");
        buf_put_u64(out, xmin);
        buf_puts(out, "\",\"xmax\":\"");
        buf_put_u64(out, xmax);
        buf_puts(out, "\",\"xip_list\":[");
        for (uint32_t i = 0; i < n_xip; i++) {
                buf_puts(out, i ? ",\"" : "\"");
                buf_put_u64(out, xip[i]);
                buf_putc(out, '"');
        }
        buf_puts(out, "]}}");
}

/* ---- the log */

static void put_log_headers(struct pen *pen, const struct projection *p, enum render_operation op,
                            const struct render_at *at, uint64_t position_in_txn)
{
        pen_put(pen, p->head[op]);
        pen_put_u64(pen, at->xid);
        pen_put(pen, SLICE_LIT("],\"lsn\":\""));
        pen_put_u64(pen, at->lsn.v);
        pen_put(pen, SLICE_LIT("\",\"op_position\":"));
        pen_put_u64(pen, position_in_txn);
}

static void put_key_change(struct pen *pen, const struct projection *p, struct slice member,
                           struct row other)
{
        pen_put(pen, member);
        pen_put(pen,
                slice_of(p->key_head.p + strlen(ENTRY_OPEN), p->key_head.len - strlen(ENTRY_OPEN)));
        put_key_parts(pen, p, other);
        pen_put(pen, SLICE_LIT("\""));
}

/* `old`: the row under its former key, or NULL. */
static void put_insert(const struct projection *p, const struct render_at *at, uint64_t op,
                       struct row row, const struct row *old, struct buf *out)
{
        struct pen pen;
        pen_open(&pen, out);
        put_entry_open(&pen, p, row);
        put_all_columns(&pen, p, row);
        put_log_headers(&pen, p, OP_INSERT, at, op);
        if (old)
                put_key_change(&pen, p, SLICE_LIT(",\"key_change_from\":\""), *old);
        pen_close(&pen);
}

/* `new_row`: the row under its coming key, or NULL. */
static void put_delete(const struct projection *p, const struct render_at *at, struct row old,
                       const struct row *new_row, struct buf *out)
{
        struct pen pen;
        pen_open(&pen, out);
        put_entry_open(&pen, p, old);
        if (p->full)
                put_all_columns(&pen, p, old);
        else
                put_key_columns(&pen, p, old);
        put_log_headers(&pen, p, OP_DELETE, at, at->op);
        if (new_row)
                put_key_change(&pen, p, SLICE_LIT(",\"key_change_to\":\""), *new_row);
        pen_close(&pen);
}

void render_insert(const struct projection *p, const struct render_at *at, struct row row,
                   struct buf *out)
{
        check_row(p, row);
        put_insert(p, at, at->op, row, NULL, out);
}

void render_delete(const struct projection *p, const struct render_at *at, struct row old,
                   struct buf *out)
{
        check_row(p, old);
        put_delete(p, at, old, NULL, out);
}

/* Which selected columns differ, by place in p->columns. */
struct difference {
        bool changed[CHANGE_MAX_COLUMNS];
        bool any, key;
};

static void find_difference(const struct projection *p, struct row old, struct row new_row,
                            struct difference *d)
{
        d->any = d->key = false;
        for (uint32_t i = 0; i < p->n_columns; i++) {
                const struct out_column *c = &p->columns[i];
                bool changed = !same_value(&old.values[c->index], &new_row.values[c->index]);
                d->changed[i] = changed;
                d->any |= changed;
                d->key |= changed && c->is_key;
        }
}

/* replica=default: the key and what changed. */
static void put_new_values(struct pen *pen, const struct projection *p, struct row new_row,
                           const struct difference *d)
{
        struct object o = object_begin(pen);
        for (uint32_t i = 0; i < p->n_columns; i++)
                if (d->changed[i] || p->columns[i].is_key)
                        put_column(pen, &p->columns[i], &new_row.values[p->columns[i].index]);
        object_end(pen, o);
}

/* replica=full: everything, and the former values of what changed. */
static void put_full_values(struct pen *pen, const struct projection *p, struct row old,
                            struct row new_row, const struct difference *d)
{
        put_all_columns(pen, p, new_row);
        pen_put(pen, OLD_VALUE_OPEN);
        struct object o = object_begin(pen);
        for (uint32_t i = 0; i < p->n_columns; i++)
                if (d->changed[i])
                        put_column(pen, &p->columns[i], &old.values[p->columns[i].index]);
        object_end(pen, o);
}

static void put_update(const struct projection *p, const struct render_at *at, struct row old,
                       struct row new_row, const struct difference *d, struct buf *out)
{
        struct pen pen;
        pen_open(&pen, out);
        put_entry_open(&pen, p, new_row);
        if (p->full)
                put_full_values(&pen, p, old, new_row, d);
        else
                put_new_values(&pen, p, new_row, d);
        put_log_headers(&pen, p, OP_UPDATE, at, at->op);
        pen_close(&pen);
}

enum render_update render_update(const struct projection *p, const struct render_at *at,
                                 struct row old, struct row new_row, struct buf *first,
                                 struct buf *second)
{
        struct difference d;
        check_row(p, old);
        check_row(p, new_row);
        find_difference(p, old, new_row, &d);
        if (!d.any)
                return RENDER_NOTHING;
        if (d.key) {
                put_delete(p, at, old, &new_row, first);
                put_insert(p, at, at->op + 1, new_row, &old, second);
                return RENDER_PAIR;
        }
        put_update(p, at, old, new_row, &d, first);
        return RENDER_ONE;
}
