/* Exact decimal arithmetic, with the scales that Postgres' numeric.c gives to results. */
#include "services/router/where_fn.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where_numvar.h"

typedef struct where_num num;

enum { MAX_DIGITS_BEFORE = 131072, MAX_DIGITS_AFTER = 16383 };
enum { MIN_SIGNIFICANT = 16, GROUP_DIGITS = 4, MAX_DIV_SCALE = 1000 };

static bool put(struct where_ctx *c, num v, struct where_value *out)
{
        num *n = where_alloc(c->scratch, sizeof(*n));
        *n = v;
        out->n = n;
        return true;
}

static bool put_kind(struct where_ctx *c, enum where_num_kind kind, struct where_value *out)
{
        return put(c, (num){.kind = kind}, out);
}

/* `digits` has n digits, the first `point` of them before the decimal point. */
static bool put_digits(struct where_ctx *c, bool negative, const uint8_t *digits, int64_t n,
                       int64_t point, int64_t dscale, struct where_value *out)
{
        while (n > 0 && digits[0] == 0) {
                digits++;
                n--;
                point--;
        }
        while (n > 0 && digits[n - 1] == 0)
                n--;
        if (point > MAX_DIGITS_BEFORE || dscale > MAX_DIGITS_AFTER)
                return where_fail(c, "value overflows numeric format");
        return put(c,
                   (num){.negative = negative && n > 0,
                         .point = n > 0 ? (int32_t)point : 0,
                         .dscale = (int32_t)dscale,
                         .n = (uint32_t)n,
                         .digits = digits},
                   out);
}

static int64_t max64(int64_t a, int64_t b)
{
        return a > b ? a : b;
}

/* The digit that counts 10^place. */
static int digit_at(const num *v, int64_t place)
{
        int64_t i = v->point - 1 - place;
        return i >= 0 && i < v->n ? v->digits[i] : 0;
}

static int64_t lowest_place(const num *v)
{
        return v->n ? (int64_t)v->point - v->n : 0;
}

static int cmp_size(const num *a, const num *b)
{
        num x = *a, y = *b;
        x.negative = y.negative = false;
        return where_num_cmp(&x, &y);
}

/* ---- addition */

/* |a| + |b|, or |a| - |b| when |a| is not less. */
static bool add_sizes(struct where_ctx *c, const num *a, const num *b, bool subtract, bool negative,
                      struct where_value *out)
{
        int64_t low = lowest_place(a) < lowest_place(b) ? lowest_place(a) : lowest_place(b);
        int64_t high = max64(a->point, b->point) + 1; /* a carry */
        if (low > 0)
                low = 0;
        if (high < 1)
                high = 1;
        int64_t n = high - low;
        uint8_t *digits = where_alloc(c->scratch, (size_t)n);
        int carry = 0;
        for (int64_t place = low; place < high; place++) {
                int d = subtract ? digit_at(a, place) - digit_at(b, place) - carry
                                 : digit_at(a, place) + digit_at(b, place) + carry;
                carry = subtract ? d < 0 : d > 9;
                digits[high - 1 - place] = (uint8_t)(d < 0 ? d + 10 : d > 9 ? d - 10 : d);
        }
        return put_digits(c, negative, digits, n, high, max64(a->dscale, b->dscale), out);
}

static bool is_infinite(const num *v)
{
        return v->kind == NUM_PINF || v->kind == NUM_NINF;
}

static bool add(struct where_ctx *c, const num *a, const num *b, struct where_value *out)
{
        if (a->kind == NUM_NAN || b->kind == NUM_NAN)
                return put_kind(c, NUM_NAN, out);
        if (is_infinite(a))
                return put_kind(c, is_infinite(b) && a->kind != b->kind ? NUM_NAN : a->kind, out);
        if (is_infinite(b))
                return put_kind(c, b->kind, out);
        if (a->negative == b->negative)
                return add_sizes(c, a, b, false, a->negative, out);
        if (cmp_size(a, b) >= 0)
                return add_sizes(c, a, b, true, a->negative, out);
        return add_sizes(c, b, a, true, b->negative, out);
}

static num negated(const num *v)
{
        num r = *v;
        if (v->kind == NUM_FINITE)
                r.negative = v->n > 0 && !v->negative;
        else if (is_infinite(v))
                r.kind = v->kind == NUM_PINF ? NUM_NINF : NUM_PINF;
        return r;
}

bool where_num_add(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return add(c, a[0].n, a[1].n, out);
}

bool where_num_sub(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        num b = negated(a[1].n);
        return add(c, a[0].n, &b, out);
}

bool where_num_neg(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return put(c, negated(a[0].n), out);
}

bool where_num_abs(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        num r = *a[0].n;
        r.negative = false;
        if (is_infinite(&r))
                r.kind = NUM_PINF;
        return put(c, r, out);
}

/* ---- multiplication and division */

/* -1, 0, 1; infinite numbers as well. */
static int sign(const num *v)
{
        if (v->kind == NUM_FINITE)
                return v->n == 0 ? 0 : v->negative ? -1 : 1;
        return v->kind == NUM_NINF ? -1 : 1;
}

/* Infinity with the sign of a × b; NaN for 0 × Infinity. */
static bool put_infinite(struct where_ctx *c, const num *a, const num *b, struct where_value *out)
{
        int s = sign(a) * sign(b);
        return put_kind(c, s == 0 ? NUM_NAN : s > 0 ? NUM_PINF : NUM_NINF, out);
}

bool where_num_mul(struct where_ctx *c, const struct where_value *args, struct where_value *out)
{
        const num *a = args[0].n, *b = args[1].n;
        if (a->kind == NUM_NAN || b->kind == NUM_NAN)
                return put_kind(c, NUM_NAN, out);
        if (is_infinite(a) || is_infinite(b))
                return put_infinite(c, a, b, out);
        if (!where_work(c, (uint64_t)a->n * b->n))
                return false;
        int64_t n = (int64_t)a->n + b->n;
        uint8_t *digits = where_alloc(c->scratch, (size_t)n + 1);
        memset(digits, 0, (size_t)n + 1);
        for (int64_t i = (int64_t)a->n - 1; i >= 0; i--) {
                unsigned carry = 0;
                for (int64_t k = (int64_t)b->n - 1; k >= 0; k--) {
                        unsigned d =
                                digits[i + k + 1] + (unsigned)a->digits[i] * b->digits[k] + carry;
                        digits[i + k + 1] = (uint8_t)(d % 10);
                        carry = d / 10;
                }
                digits[i] = (uint8_t)carry;
        }
        return put_digits(c, a->negative != b->negative, digits, n, (int64_t)a->point + b->point,
                          (int64_t)a->dscale + b->dscale, out);
}

/* Postgres counts in groups of four digits: the place of the first group and its value. */
static void first_group(const num *v, int64_t *weight, int *group)
{
        *weight = 0;
        *group = 0;
        if (v->n == 0)
                return;
        int64_t place = v->point - 1;
        *weight = place >= 0 ? place / GROUP_DIGITS : -((GROUP_DIGITS - 1 - place) / GROUP_DIGITS);
        for (int64_t i = GROUP_DIGITS - 1; i >= 0; i--)
                *group = *group * 10 + digit_at(v, *weight * GROUP_DIGITS + i);
}

static int64_t division_scale(const num *a, const num *b)
{
        int64_t weight_a, weight_b;
        int group_a, group_b;
        first_group(a, &weight_a, &group_a);
        first_group(b, &weight_b, &group_b);
        int64_t weight = weight_a - weight_b - (group_a <= group_b);
        int64_t scale = MIN_SIGNIFICANT - weight * GROUP_DIGITS;
        scale = max64(scale, max64(a->dscale, b->dscale));
        scale = max64(scale, 0);
        return scale < MAX_DIV_SCALE ? scale : MAX_DIV_SCALE;
}

static void increment(uint8_t *digits, int64_t n)
{
        for (int64_t i = n - 1; i >= 0; i--) {
                if (digits[i]++ < 9)
                        return;
                digits[i] = 0;
        }
}

/* Long division to `scale` digits after the point, and one more to round by. */
static bool divide(struct where_ctx *c, const num *a, const num *b, int64_t scale,
                   struct where_value *out)
{
        /* a / b = 0.aaa × 10^pa / 0.bbb × 10^pb: digit i of the quotient is of place
         * pa - pb - i */
        int64_t first = (int64_t)a->point - b->point;
        int64_t n = first + scale + 2;
        if (n < 1) /* below half of the last digit */
                return put(c, (num){.dscale = (int32_t)scale}, out);
        if (!where_work(c, (uint64_t)n * b->n))
                return false;
        uint8_t *digits = where_alloc(c->scratch, (size_t)n + 1);
        uint8_t *rest = where_alloc(c->scratch, (size_t)b->n + 1);
        memset(rest, 0, (size_t)b->n + 1);
        int64_t length = b->n;
        /* The first b->n - 1 digits of the dividend go in before a digit of the quotient comes. */
        for (int64_t i = 0; i < length - 1; i++)
                rest[2 + i] = i < a->n ? a->digits[i] : 0;
        digits[0] = 0; /* for a carry of the rounding */
        for (int64_t i = 0; i < n; i++) {
                int64_t next = length - 1 + i;
                memmove(rest, rest + 1, (size_t)length);
                rest[length] = next < a->n ? a->digits[next] : 0;
                digits[1 + i] = where_take_often(rest, b->digits, length);
        }
        /* The last digit is at place -(scale + 1). */
        if (digits[n] >= 5)
                increment(digits, n);
        return put_digits(c, a->negative != b->negative, digits, n, n - scale, scale, out);
}

bool where_num_div(struct where_ctx *c, const struct where_value *args, struct where_value *out)
{
        const num *a = args[0].n, *b = args[1].n;
        if (a->kind == NUM_NAN || b->kind == NUM_NAN)
                return put_kind(c, NUM_NAN, out);
        if (is_infinite(a) && is_infinite(b))
                return put_kind(c, NUM_NAN, out);
        if (b->kind == NUM_FINITE && b->n == 0)
                return where_fail(c, "division by zero");
        if (is_infinite(a))
                return put_infinite(c, a, b, out);
        if (is_infinite(b))
                return put(c, (num){0}, out);
        int64_t scale = division_scale(a, b);
        if (a->n == 0)
                return put(c, (num){.dscale = (int32_t)scale}, out);
        return divide(c, a, b, scale, out);
}
