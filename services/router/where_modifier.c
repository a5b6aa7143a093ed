#include "services/router/where_modifier.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where_array.h"
#include "services/router/where_text.h"
#include "services/router/where_time.h"

enum { MAX_PRECISION = 1000, MAX_LENGTH = 10485760, TIME_PRECISION = 6, FULL_RANGE = 0x7fff };

static bool read_one(const int32_t *numbers, int n, int32_t min, int32_t max,
                     struct where_modifier *out)
{
        *out = (struct where_modifier){.first = numbers[0]};
        return n == 1 && numbers[0] >= min && numbers[0] <= max;
}

/* Before Postgres 15 a scale could not be negative or greater than the precision. */
static bool read_numeric(const int32_t *numbers, int n, struct where_modifier *out)
{
        *out = (struct where_modifier){.first = numbers[0], .scale = n == 2 ? numbers[1] : 0};
        return out->first >= 1 && out->first <= MAX_PRECISION && out->scale >= 0 &&
               out->scale <= out->first;
}

bool where_modifier_read(enum where_type t, const int32_t *numbers, int n,
                         struct where_modifier *out)
{
        SLUICE_ASSERT(n >= 1 && n <= WHERE_MAX_MODIFIERS);
        switch ((int)t) {
        case WT_NUMERIC:
                return read_numeric(numbers, n, out);
        case WT_VARCHAR:
        case WT_BPCHAR:
                return read_one(numbers, n, 1, MAX_LENGTH, out);
        case WT_TIME:
        case WT_TIMESTAMP:
        case WT_TIMESTAMPTZ:
                return read_one(numbers, n, 0, TIME_PRECISION, out);
        case WT_INTERVAL: /* fields, precision; only all fields */
                return n == 2 && numbers[0] == FULL_RANGE &&
                       read_one(numbers + 1, 1, 0, TIME_PRECISION, out);
        default:
                return false;
        }
}

void where_modifier_print(enum where_type t, struct where_modifier m, struct buf *out)
{
        if (t == WT_NUMERIC)
                buf_printf(out, "(%d,%d)", m.first, m.scale);
        else
                buf_printf(out, "(%d)", m.first);
}

/* ---- applying */

static bool round_num(struct where_ctx *c, struct where_modifier m, const struct where_num *in,
                      struct where_value *out)
{
        struct where_num *n = where_alloc(c->scratch, sizeof(*n));
        if (in->kind == NUM_PINF || in->kind == NUM_NINF)
                return where_fail(c, "numeric field overflow");
        where_num_round(in, m.scale, c->scratch, n);
        if (in->kind == NUM_FINITE && n->point > m.first - m.scale)
                return where_fail(c, "numeric field overflow");
        out->n = n;
        return true;
}

/* Bytes of at most `max` characters; *n is how many there are. */
static size_t prefix_bytes(struct slice s, int32_t max, int32_t *n)
{
        size_t at = 0;
        for (*n = 0; at < s.len && *n < max; (*n)++)
                at += where_char_bytes(s.p + at);
        return at < s.len ? at : s.len;
}

static bool cut(struct slice in, int32_t max, struct where_value *out)
{
        int32_t n;
        out->s = slice_of(in.p, prefix_bytes(in, max, &n));
        return true;
}

static bool cut_or_pad(struct where_ctx *c, struct slice in, int32_t length,
                       struct where_value *out)
{
        int32_t n;
        size_t bytes = prefix_bytes(in, length, &n), padding = (size_t)(length - n);
        if (!where_work(c, padding))
                return false;
        char *p = where_alloc(c->scratch, bytes + padding + 1);
        memcpy(p, in.p ? in.p : "", bytes);
        memset(p + bytes, ' ', padding);
        out->s = slice_of(p, bytes + padding);
        return true;
}

/* Half away from zero. */
static bool round_usecs(int64_t *v, int32_t precision)
{
        int64_t unit = USECS_PER_SEC, rounded;
        for (int32_t i = 0; i < precision; i++)
                unit /= 10;
        if (__builtin_add_overflow(*v, *v >= 0 ? unit / 2 : -(unit / 2), &rounded))
                return false;
        *v = rounded / unit * unit;
        return true;
}

/* A timestamp may be rounded to the first moment behind the range: Postgres does not look. */
static void round_time(int32_t precision, const struct where_value *in, struct where_value *out)
{
        int64_t v = in->i;
        if (time_is_finite(v))
                SLUICE_ASSERT(round_usecs(&v, precision));
        out->i = v;
}

static bool round_interval(struct where_ctx *c, int32_t precision, const struct where_value *in,
                           struct where_value *out)
{
        struct where_interval v = in->interval;
        if (!round_usecs(&v.time, precision))
                return where_fail(c, "interval out of range");
        out->interval = v;
        return true;
}

static bool apply_array(struct where_ctx *c, enum where_type element, struct where_modifier m,
                        const struct where_array *in, struct where_value *out)
{
        struct where_array *a = where_alloc(c->scratch, sizeof(*a));
        struct where_value *values = where_alloc(c->scratch, (in->n + 1) * sizeof(*values));
        for (uint32_t i = 0; i < in->n; i++)
                if (!where_modifier_apply(c, element, m, &in->values[i], &values[i]))
                        return false;
        *a = *in;
        a->values = values;
        out->array = a;
        return true;
}

bool where_modifier_apply(struct where_ctx *c, enum where_type t, struct where_modifier m,
                          const struct where_value *in, struct where_value *out)
{
        out->null = in->null;
        if (in->null)
                return true;
        if (where_type_is_array(t))
                return apply_array(c, where_type_element(t), m, in->array, out);
        switch ((int)t) {
        case WT_NUMERIC:
                return round_num(c, m, in->n, out);
        case WT_VARCHAR:
                return cut(in->s, m.first, out);
        case WT_BPCHAR:
                return cut_or_pad(c, in->s, m.first, out);
        case WT_INTERVAL:
                return round_interval(c, m.first, in, out);
        default:
                round_time(m.first, in, out);
                return true;
        }
}
