/* Casts, as pg_cast has them, and what Postgres does through text input and output. */
#include "services/router/where_type.h"

#include <math.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where_array.h"
#include "services/router/where_moment.h"
#include "services/router/where_time_fn.h"

/* ---- between numbers */

static bool int_in(struct where_ctx *c, int64_t v, int64_t min, int64_t max, const char *error,
                   struct where_value *out)
{
        if (v < min || v > max)
                return where_fail(c, error);
        out->i = v;
        return true;
}

#define OUT_OF_RANGE_2 "smallint out of range"
#define OUT_OF_RANGE_4 "integer out of range"
#define OUT_OF_RANGE_8 "bigint out of range"

static bool int_to_int2(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return int_in(c, a->i, INT16_MIN, INT16_MAX, OUT_OF_RANGE_2, out);
}

static bool int_to_int4(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return int_in(c, a->i, INT32_MIN, INT32_MAX, OUT_OF_RANGE_4, out);
}

static bool float_to_int(struct where_ctx *c, double d, double below, int64_t min, int64_t max,
                         const char *error, struct where_value *out)
{
        d = rint(d);
        if (isnan(d) || d < -below || d >= below)
                return where_fail(c, error);
        return int_in(c, (int64_t)d, min, max, error, out);
}

static bool float_to_int2(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return float_to_int(c, a->d, 0x1p15, INT16_MIN, INT16_MAX, OUT_OF_RANGE_2, out);
}

static bool float_to_int4(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return float_to_int(c, a->d, 0x1p31, INT32_MIN, INT32_MAX, OUT_OF_RANGE_4, out);
}

static bool float_to_int8(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return float_to_int(c, a->d, 0x1p63, INT64_MIN, INT64_MAX, OUT_OF_RANGE_8, out);
}

static bool num_to_int(struct where_ctx *c, const struct where_value *a, int64_t min, int64_t max,
                       const char *error, struct where_value *out)
{
        int64_t v;
        int rc = where_num_to_int(a->n, &v);
        if (rc)
                return where_fail(c, rc == ERR_RANGE ? error : "cannot convert to an integer");
        return int_in(c, v, min, max, error, out);
}

static bool num_to_int2(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return num_to_int(c, a, INT16_MIN, INT16_MAX, OUT_OF_RANGE_2, out);
}

static bool num_to_int4(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return num_to_int(c, a, INT32_MIN, INT32_MAX, OUT_OF_RANGE_4, out);
}

static bool num_to_int8(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return num_to_int(c, a, INT64_MIN, INT64_MAX, OUT_OF_RANGE_8, out);
}

static bool int_to_num(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        struct where_num *n = where_alloc(c->scratch, sizeof(*n));
        where_num_of_int(a->i, c->scratch, n);
        out->n = n;
        return true;
}

static bool int_to_float8(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->d = (double)a->i;
        return true;
}

static bool int_to_float4(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->d = (double)(float)a->i;
        return true;
}

static bool float8_to_float4(struct where_ctx *c, const struct where_value *a,
                             struct where_value *out)
{
        float f = (float)a->d;
        if (isinf(f) && !isinf(a->d))
                return where_fail(c, "value out of range: overflow");
        if (f == 0.0f && a->d != 0)
                return where_fail(c, "value out of range: underflow");
        out->d = (double)f;
        return true;
}

static bool num_to_float(struct where_ctx *c, const struct where_value *a, bool single,
                         struct where_value *out)
{
        if (where_num_to_double(a->n, single, c->scratch, &out->d) != 0)
                return where_fail(c, "value out of range");
        return true;
}

static bool num_to_float4(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return num_to_float(c, a, true, out);
}

static bool num_to_float8(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return num_to_float(c, a, false, out);
}

/* Through as many digits as are always exact, as Postgres does it. */
static bool float_to_num(struct where_ctx *c, const struct where_value *a, int digits,
                         struct where_value *out)
{
        char text[64];
        struct where_num *n = where_alloc(c->scratch, sizeof(*n));
        int len = snprintf(text, sizeof(text), "%.*g", digits, a->d);
        if (isnan(a->d)) /* never "-nan" */
                len = snprintf(text, sizeof(text), "NaN");
        if (where_num_read(slice_of(text, (size_t)len), c->scratch, n) != 0)
                return where_fail(c, "value overflows numeric format");
        out->n = n;
        return true;
}

static bool float4_to_num(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return float_to_num(c, a, __FLT_DIG__, out);
}

static bool float8_to_num(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return float_to_num(c, a, __DBL_DIG__, out);
}

static bool int_to_bool(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->b = a->i != 0;
        return true;
}

static bool bool_to_int(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->i = a->b;
        return true;
}

/* ---- to and between strings */

static bool bool_to_text(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->s = a->b ? SLICE_LIT("true") : SLICE_LIT("false");
        return true;
}

static bool strip_padding(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        struct slice s = a->s;
        (void)c;
        while (s.len && s.p[s.len - 1] == ' ')
                s.len--;
        out->s = s;
        return true;
}

static bool text_to_name(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return where_value_read(WT_NAME, a->s, c->scratch, out) == 0;
}

static bool bpchar_to_name(struct where_ctx *c, const struct where_value *a,
                           struct where_value *out)
{
        struct where_value stripped = {0};
        return strip_padding(c, a, &stripped) && text_to_name(c, &stripped, out);
}

static const struct where_cast casts[] = {
        {WT_INT2, WT_INT4, CAST_IMPLICIT, NULL},
        {WT_INT2, WT_INT8, CAST_IMPLICIT, NULL},
        {WT_INT2, WT_FLOAT4, CAST_IMPLICIT, int_to_float4},
        {WT_INT2, WT_FLOAT8, CAST_IMPLICIT, int_to_float8},
        {WT_INT2, WT_NUMERIC, CAST_IMPLICIT, int_to_num},
        {WT_INT4, WT_INT2, CAST_ASSIGNMENT, int_to_int2},
        {WT_INT4, WT_INT8, CAST_IMPLICIT, NULL},
        {WT_INT4, WT_FLOAT4, CAST_IMPLICIT, int_to_float4},
        {WT_INT4, WT_FLOAT8, CAST_IMPLICIT, int_to_float8},
        {WT_INT4, WT_NUMERIC, CAST_IMPLICIT, int_to_num},
        {WT_INT4, WT_BOOL, CAST_EXPLICIT, int_to_bool},
        {WT_INT8, WT_INT2, CAST_ASSIGNMENT, int_to_int2},
        {WT_INT8, WT_INT4, CAST_ASSIGNMENT, int_to_int4},
        {WT_INT8, WT_FLOAT4, CAST_IMPLICIT, int_to_float4},
        {WT_INT8, WT_FLOAT8, CAST_IMPLICIT, int_to_float8},
        {WT_INT8, WT_NUMERIC, CAST_IMPLICIT, int_to_num},
        {WT_FLOAT4, WT_INT2, CAST_ASSIGNMENT, float_to_int2},
        {WT_FLOAT4, WT_INT4, CAST_ASSIGNMENT, float_to_int4},
        {WT_FLOAT4, WT_INT8, CAST_ASSIGNMENT, float_to_int8},
        {WT_FLOAT4, WT_FLOAT8, CAST_IMPLICIT, NULL},
        {WT_FLOAT4, WT_NUMERIC, CAST_ASSIGNMENT, float4_to_num},
        {WT_FLOAT8, WT_INT2, CAST_ASSIGNMENT, float_to_int2},
        {WT_FLOAT8, WT_INT4, CAST_ASSIGNMENT, float_to_int4},
        {WT_FLOAT8, WT_INT8, CAST_ASSIGNMENT, float_to_int8},
        {WT_FLOAT8, WT_FLOAT4, CAST_ASSIGNMENT, float8_to_float4},
        {WT_FLOAT8, WT_NUMERIC, CAST_ASSIGNMENT, float8_to_num},
        {WT_NUMERIC, WT_INT2, CAST_ASSIGNMENT, num_to_int2},
        {WT_NUMERIC, WT_INT4, CAST_ASSIGNMENT, num_to_int4},
        {WT_NUMERIC, WT_INT8, CAST_ASSIGNMENT, num_to_int8},
        {WT_NUMERIC, WT_FLOAT4, CAST_IMPLICIT, num_to_float4},
        {WT_NUMERIC, WT_FLOAT8, CAST_IMPLICIT, num_to_float8},
        {WT_BOOL, WT_INT4, CAST_EXPLICIT, bool_to_int},
        {WT_BOOL, WT_TEXT, CAST_ASSIGNMENT, bool_to_text},
        {WT_BOOL, WT_VARCHAR, CAST_ASSIGNMENT, bool_to_text},
        {WT_BOOL, WT_BPCHAR, CAST_ASSIGNMENT, bool_to_text},
        {WT_TEXT, WT_VARCHAR, CAST_IMPLICIT, NULL},
        {WT_TEXT, WT_BPCHAR, CAST_IMPLICIT, NULL},
        {WT_TEXT, WT_NAME, CAST_IMPLICIT, text_to_name},
        {WT_VARCHAR, WT_TEXT, CAST_IMPLICIT, NULL},
        {WT_VARCHAR, WT_BPCHAR, CAST_IMPLICIT, NULL},
        {WT_VARCHAR, WT_NAME, CAST_IMPLICIT, text_to_name},
        {WT_BPCHAR, WT_TEXT, CAST_IMPLICIT, strip_padding},
        {WT_BPCHAR, WT_VARCHAR, CAST_IMPLICIT, strip_padding},
        {WT_BPCHAR, WT_NAME, CAST_IMPLICIT, bpchar_to_name},
        {WT_NAME, WT_TEXT, CAST_IMPLICIT, NULL},
        {WT_NAME, WT_VARCHAR, CAST_ASSIGNMENT, NULL},
        {WT_NAME, WT_BPCHAR, CAST_ASSIGNMENT, NULL},
        {WT_DATE, WT_TIMESTAMP, CAST_IMPLICIT, where_date_to_stamp},
        {WT_DATE, WT_TIMESTAMPTZ, CAST_IMPLICIT, where_date_to_stamp},
        {WT_TIME, WT_INTERVAL, CAST_IMPLICIT, where_time_to_interval},
        {WT_TIMESTAMP, WT_DATE, CAST_ASSIGNMENT, where_stamp_to_date},
        {WT_TIMESTAMP, WT_TIME, CAST_ASSIGNMENT, where_stamp_to_time},
        {WT_TIMESTAMP, WT_TIMESTAMPTZ, CAST_IMPLICIT, where_stamp_to_stamp},
        {WT_TIMESTAMPTZ, WT_DATE, CAST_ASSIGNMENT, where_stamp_to_date},
        {WT_TIMESTAMPTZ, WT_TIME, CAST_ASSIGNMENT, where_stamp_to_time},
        {WT_TIMESTAMPTZ, WT_TIMESTAMP, CAST_ASSIGNMENT, where_stamp_to_stamp},
        {WT_INTERVAL, WT_TIME, CAST_ASSIGNMENT, where_interval_to_time},
        {WT_TIME, WT_TIMETZ, CAST_IMPLICIT, NULL}, /* never taken */
};

const struct where_cast *where_cast_find(enum where_type from, enum where_type to)
{
        for (size_t i = 0; i < sizeof(casts) / sizeof(casts[0]); i++)
                if (casts[i].from == from && casts[i].to == to)
                        return &casts[i];
        return NULL;
}

enum where_cast_kind where_cast_kind(enum where_type from, enum where_type to)
{
        if (from == to || from == WT_UNKNOWN)
                return CAST_IMPLICIT;
        if (from == WT_OTHER || to == WT_OTHER || to == WT_UNKNOWN)
                return CAST_NONE;
        if (where_type_is_array(from) && where_type_is_array(to))
                return where_cast_kind(where_type_element(from), where_type_element(to));
        if (where_type_element(to) == WT_ENUM) /* labels are not known when rows come */
                return CAST_NONE;
        const struct where_cast *cast = where_cast_find(from, to);
        if (cast)
                return cast->kind;
        if (where_type_is_string(to))
                return CAST_ASSIGNMENT;
        return where_type_is_string(from) ? CAST_EXPLICIT : CAST_NONE;
}

bool where_cast_is_partial(enum where_type from, enum where_type to)
{
        enum where_type element = where_type_element(to);
        if (where_type_is_array(from) && where_type_is_array(to))
                return where_type_is_string(where_type_element(from)) &&
                       where_cast_is_filtered(element);
        return where_type_is_string(from) && where_type_is_array(to);
}

static bool cast_by_text(struct where_ctx *c, enum where_type from, enum where_type to,
                         const struct where_value *in, struct where_value *out)
{
        struct slice text = in->s;
        if (!where_type_is_string(from) && from != WT_ENUM) {
                struct buf b;
                buf_init(&b, WHERE_TEXT_MAX);
                where_value_print(from, in, &b);
                bool ok = where_keep_text(c, &b, &text);
                buf_fini(&b);
                if (!ok)
                        return false;
        }
        bool filtered = where_type_is_string(from) && where_cast_is_filtered(to);
        int err = filtered ? where_cast_read(to, text, out)
                           : where_value_read(to, text, c->scratch, out);
        return err == 0 || where_fail(c, "invalid input syntax for a type");
}

bool where_cast_apply(struct where_ctx *c, enum where_type from, enum where_type to,
                      const struct where_value *in, struct where_value *out)
{
        if (in->null) {
                out->null = true;
                return true;
        }
        if (where_type_is_array(from) && where_type_is_array(to))
                return where_array_cast(c, where_type_element(to), in->array, out);
        const struct where_cast *cast = where_cast_find(from, to);
        if (!cast && from != to)
                return cast_by_text(c, from, to, in, out);
        *out = *in;
        return !cast || !cast->fn || cast->fn(c, in, out);
}
