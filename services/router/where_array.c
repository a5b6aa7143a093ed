#include "services/router/where_array.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where_text.h"

/* ---- reading: {1,"a b",NULL,{…}}, [2:3]={…} */

struct reader {
        struct slice s;
        struct where_scratch *scratch;
        struct where_array *a;
        struct where_value *values;
        int leaf; /* the level of elements, -1: not seen yet */
};

static void skip(struct reader *r, size_t n)
{
        r->s = slice_of(r->s.p + n, r->s.len - n);
}

static void skip_space(struct reader *r)
{
        while (r->s.len && where_is_space(r->s.p[0]))
                skip(r, 1);
}

static bool take(struct reader *r, char c)
{
        if (!r->s.len || r->s.p[0] != c)
                return false;
        skip(r, 1);
        return true;
}

static int read_quoted(struct reader *r, struct slice *out)
{
        char *text = where_alloc(r->scratch, r->s.len + 1);
        size_t n = 0;
        while (r->s.len && r->s.p[0] != '"') {
                if (r->s.p[0] == '\\')
                        skip(r, 1);
                if (!r->s.len)
                        return ERR_FORMAT;
                text[n++] = r->s.p[0];
                skip(r, 1);
        }
        *out = slice_of(text, n);
        return take(r, '"') ? 0 : ERR_FORMAT;
}

static int read_bare(struct reader *r, struct slice *out)
{
        size_t n = 0;
        while (n < r->s.len && r->s.p[n] != ',' && r->s.p[n] != '}') {
                if (strchr("{\"\\", r->s.p[n]))
                        return ERR_FORMAT;
                n++;
        }
        *out = slice_of(r->s.p, n);
        skip(r, n);
        while (out->len && where_is_space(out->p[out->len - 1]))
                out->len--;
        return out->len ? 0 : ERR_FORMAT;
}

static int read_element(struct reader *r)
{
        struct slice text;
        struct where_value *v = &r->values[r->a->n++];
        bool quoted = take(r, '"');
        int rc = quoted ? read_quoted(r, &text) : read_bare(r, &text);
        if (rc)
                return rc;
        v->null = !quoted && text.len == 4 && strncasecmp(text.p, "null", 4) == 0;
        return v->null ? 0 : where_value_read(r->a->element, text, r->scratch, v);
}

static int read_level(struct reader *r, int level)
{
        int32_t count = 0;
        if (level == ARRAY_MAX_DIMS)
                return ERR_RANGE;
        do {
                int rc;
                skip_space(r);
                if (take(r, '{')) {
                        rc = r->leaf >= 0 && r->leaf <= level ? ERR_FORMAT
                                                              : read_level(r, level + 1);
                } else {
                        if (r->leaf >= 0 && r->leaf != level)
                                return ERR_FORMAT;
                        r->leaf = level;
                        rc = read_element(r);
                }
                if (rc)
                        return rc;
                count++;
                skip_space(r);
        } while (take(r, ','));
        if (!take(r, '}'))
                return ERR_FORMAT;
        if (r->a->dims[level] && r->a->dims[level] != count)
                return ERR_FORMAT;
        r->a->dims[level] = count;
        return 0;
}

static int read_bound(struct reader *r, int64_t *out)
{
        bool negative = take(r, '-');
        int64_t v = 0;
        size_t n = 0;
        for (; n < r->s.len && n < 10 && r->s.p[n] >= '0' && r->s.p[n] <= '9'; n++)
                v = v * 10 + (r->s.p[n] - '0');
        skip(r, n);
        *out = negative ? -v : v;
        return n && *out >= INT32_MIN && *out <= INT32_MAX ? 0 : ERR_FORMAT;
}

static int read_bounds(struct reader *r, int32_t *lengths, int *n)
{
        while (take(r, '[')) {
                int64_t low, high;
                if (*n == ARRAY_MAX_DIMS || read_bound(r, &low) != 0 || !take(r, ':') ||
                    read_bound(r, &high) != 0 || !take(r, ']') || high < low || high == INT32_MAX ||
                    high - low >= INT32_MAX)
                        return ERR_FORMAT; /* high + 1 must be an int4, as in Postgres */
                r->a->lower[*n] = (int32_t)low;
                lengths[(*n)++] = (int32_t)(high - low + 1);
        }
        return *n == 0 || take(r, '=') ? 0 : ERR_FORMAT;
}

int where_array_read(enum where_type element, struct slice text, struct where_scratch *s,
                     struct where_array *out)
{
        struct where_array a = {.element = element};
        struct reader r = {.s = text, .scratch = s, .a = &a, .leaf = -1};
        int32_t lengths[ARRAY_MAX_DIMS];
        int n_bounds = 0;
        size_t room = 1;
        for (size_t i = 0; i < text.len; i++)
                room += text.p[i] == ',';
        r.values = where_alloc(s, room * sizeof(*r.values));
        skip_space(&r);
        for (int i = 0; i < ARRAY_MAX_DIMS; i++)
                a.lower[i] = 1;
        if (read_bounds(&r, lengths, &n_bounds) != 0 || !take(&r, '{'))
                return ERR_FORMAT;
        skip_space(&r);
        if (!take(&r, '}')) {
                int rc = read_level(&r, 0);
                if (rc)
                        return rc;
                a.n_dims = r.leaf + 1;
        }
        skip_space(&r);
        if (r.s.len || (n_bounds && n_bounds != a.n_dims))
                return ERR_FORMAT;
        for (int i = 0; i < n_bounds; i++)
                if (lengths[i] != a.dims[i])
                        return ERR_FORMAT;
        a.values = r.values;
        *out = a;
        return 0;
}

/* ---- printing */

static bool needs_quotes(struct slice s)
{
        if (s.len == 0 || (s.len == 4 && strncasecmp(s.p, "null", 4) == 0))
                return true;
        for (size_t i = 0; i < s.len; i++)
                if (where_is_space(s.p[i]) || (s.p[i] && strchr("\"\\{},", s.p[i])))
                        return true;
        return false;
}

static void print_element(enum where_type t, const struct where_value *v, struct buf *out)
{
        struct buf text;
        if (v->null) {
                buf_puts(out, "NULL");
                return;
        }
        buf_init(&text, out->max);
        where_value_print(t, v, &text);
        struct slice s = buf_slice(&text);
        bool quotes = needs_quotes(s);
        if (quotes)
                buf_putc(out, '"');
        for (size_t i = 0; i < s.len; i++) {
                if (s.p[i] == '"' || s.p[i] == '\\')
                        buf_putc(out, '\\');
                buf_putc(out, s.p[i]);
        }
        if (quotes)
                buf_putc(out, '"');
        buf_fini(&text);
}

static void print_level(const struct where_array *a, int level, uint32_t *at, struct buf *out)
{
        buf_putc(out, '{');
        for (int32_t i = 0; i < a->dims[level]; i++) {
                if (i)
                        buf_putc(out, ',');
                if (level + 1 < a->n_dims)
                        print_level(a, level + 1, at, out);
                else
                        print_element(a->element, &a->values[(*at)++], out);
        }
        buf_putc(out, '}');
}

void where_array_print(const struct where_array *a, struct buf *out)
{
        bool bounds = false;
        uint32_t at = 0;
        if (a->n_dims == 0) {
                buf_puts(out, "{}");
                return;
        }
        for (int i = 0; i < a->n_dims; i++)
                bounds |= a->lower[i] != 1;
        for (int i = 0; bounds && i < a->n_dims; i++)
                buf_printf(out, "[%d:%d]", a->lower[i], a->lower[i] + (a->dims[i] - 1));
        if (bounds)
                buf_putc(out, '=');
        print_level(a, 0, &at, out);
}

/* ---- comparing */

static int cmp_element(where_cmp *cmp, const struct where_value *a, const struct where_value *b)
{
        if (a->null || b->null)
                return a->null - b->null;
        return cmp(a, b);
}

/* Elements, their number, dimensions, lengths, bounds. NULL is the greatest. */
int where_array_cmp(const struct where_array *a, const struct where_array *b)
{
        where_cmp *cmp = where_type_cmp(a->element);
        for (uint32_t i = 0; i < a->n && i < b->n; i++) {
                int c = cmp_element(cmp, &a->values[i], &b->values[i]);
                if (c)
                        return c;
        }
        if (a->n != b->n)
                return a->n < b->n ? -1 : 1;
        if (a->n_dims != b->n_dims)
                return a->n_dims < b->n_dims ? -1 : 1;
        for (int i = 0; i < a->n_dims; i++)
                if (a->dims[i] != b->dims[i])
                        return a->dims[i] < b->dims[i] ? -1 : 1;
        for (int i = 0; i < a->n_dims; i++)
                if (a->lower[i] != b->lower[i])
                        return a->lower[i] < b->lower[i] ? -1 : 1;
        return 0;
}

void where_array_of(enum where_type element, const struct where_value *values, uint32_t n,
                    struct where_array *out)
{
        *out = (struct where_array){.element = element, .n = n, .values = values};
        if (n == 0)
                return;
        out->n_dims = 1;
        out->dims[0] = (int32_t)n;
        out->lower[0] = 1;
}

static bool has(const struct where_array *a, where_cmp *cmp, const struct where_value *v)
{
        for (uint32_t i = 0; i < a->n; i++)
                if (!a->values[i].null && cmp(&a->values[i], v) == 0)
                        return true;
        return false;
}

static bool contains(struct where_ctx *c, const struct where_array *a, const struct where_array *b,
                     struct where_value *out)
{
        where_cmp *cmp = where_type_cmp(a->element);
        if (!where_work(c, (uint64_t)a->n * b->n))
                return false;
        out->b = true;
        for (uint32_t i = 0; out->b && i < b->n; i++)
                out->b = !b->values[i].null && has(a, cmp, &b->values[i]);
        return true;
}

bool where_array_contains(struct where_ctx *c, const struct where_value *v, struct where_value *out)
{
        return contains(c, v[0].array, v[1].array, out);
}

bool where_array_is_contained(struct where_ctx *c, const struct where_value *v,
                              struct where_value *out)
{
        return contains(c, v[1].array, v[0].array, out);
}

bool where_array_overlaps(struct where_ctx *c, const struct where_value *v, struct where_value *out)
{
        const struct where_array *a = v[0].array, *b = v[1].array;
        where_cmp *cmp = where_type_cmp(a->element);
        if (!where_work(c, (uint64_t)a->n * b->n))
                return false;
        out->b = false;
        for (uint32_t i = 0; !out->b && i < b->n; i++)
                out->b = !b->values[i].null && has(a, cmp, &b->values[i]);
        return true;
}

bool where_array_cast(struct where_ctx *c, enum where_type to, const struct where_array *in,
                      struct where_value *out)
{
        struct where_array *a = where_alloc(c->scratch, sizeof(*a));
        struct where_value *values = where_alloc(c->scratch, (in->n + 1) * sizeof(*values));
        *a = *in;
        a->element = to;
        a->values = values;
        for (uint32_t i = 0; i < in->n; i++)
                if (!where_cast_apply(c, in->element, to, &in->values[i], &values[i]))
                        return false;
        out->null = false;
        out->array = a;
        return true;
}
