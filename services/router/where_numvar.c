#include "services/router/where_numvar.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/err.h"

enum { MUL_GUARD = 2, MAX_DIGITS_BEFORE = 131072, MAX_DIGITS_AFTER = 16383 };

static int16_t *digits_of(struct where_ctx *c, int n)
{
        size_t bytes = (size_t)(n > 0 ? n : 1) * sizeof(int16_t);
        return memset(where_alloc(c->scratch, bytes), 0, bytes);
}

static struct numvar stripped(struct numvar v)
{
        while (v.n > 0 && v.digits[0] == 0) {
                v.digits++;
                v.n--;
                v.weight--;
        }
        while (v.n > 0 && v.digits[v.n - 1] == 0)
                v.n--;
        if (v.n == 0) {
                v.weight = 0;
                v.negative = false;
        }
        return v;
}

static int64_t floor_div(int64_t a, int64_t b)
{
        return a / b - (a % b != 0 && a < 0);
}

struct numvar numvar_of(struct where_ctx *c, const struct where_num *v)
{
        if (v->n == 0)
                return (struct numvar){.dscale = v->dscale, .digits = digits_of(c, 1)};
        int weight = (int)floor_div((int64_t)v->point - 1, NUMVAR_DIGITS);
        int last = (int)floor_div((int64_t)v->point - v->n, NUMVAR_DIGITS);
        struct numvar r = {.n = weight - last + 1,
                           .weight = weight,
                           .negative = v->negative,
                           .dscale = v->dscale,
                           .digits = digits_of(c, weight - last + 1)};
        for (uint32_t i = 0; i < v->n; i++) {
                static const int16_t powers[] = {1, 10, 100, 1000};
                int64_t place = (int64_t)v->point - 1 - i, group = floor_div(place, NUMVAR_DIGITS);
                int16_t unit = powers[place - group * NUMVAR_DIGITS];
                int16_t *d = &r.digits[weight - group];
                *d = (int16_t)(*d + v->digits[i] * unit);
        }
        return stripped(r);
}

struct numvar numvar_of_int(struct where_ctx *c, int v)
{
        SLUICE_ASSERT(v >= 0 && v < NUMVAR_BASE);
        struct numvar r = {.n = 1, .digits = digits_of(c, 1)};
        r.digits[0] = (int16_t)v;
        return stripped(r);
}

/* The decimal digit i of the groups, from the left. */
static int decimal(const struct numvar *v, int i)
{
        static const int units[] = {1000, 100, 10, 1};
        int group = i / NUMVAR_DIGITS;
        return i >= 0 && group < v->n ? v->digits[group] / units[i % NUMVAR_DIGITS] % 10 : 0;
}

bool numvar_put(struct where_ctx *c, const struct numvar *v, struct where_num *out)
{
        int n = v->n * NUMVAR_DIGITS, from = 0;
        uint8_t *digits = where_alloc(c->scratch, (size_t)n + 1);
        while (from < n && decimal(v, from) == 0)
                from++;
        for (int i = from; i < n; i++)
                digits[i - from] = (uint8_t)decimal(v, i);
        n -= from;
        while (n > 0 && digits[n - 1] == 0)
                n--;
        int64_t point = n ? (INT64_C(1) * v->weight + 1) * NUMVAR_DIGITS - from : 0;
        if (point > MAX_DIGITS_BEFORE || v->dscale > MAX_DIGITS_AFTER)
                return where_fail(c, "value overflows numeric format");
        *out = (struct where_num){.negative = v->negative && n > 0,
                                  .point = (int32_t)point,
                                  .dscale = v->dscale,
                                  .n = (uint32_t)n,
                                  .digits = digits};
        return true;
}

double numvar_to_double(const struct numvar *v)
{
        struct buf text;
        buf_init(&text, SIZE_MAX / 2);
        buf_puts(&text, v->negative ? "-." : ".");
        for (int i = 0; i < v->n * NUMVAR_DIGITS; i++)
                buf_putc(&text, (char)('0' + decimal(v, i)));
        buf_printf(&text, "0e%d", (v->weight + 1) * NUMVAR_DIGITS);
        double d = strtod(buf_cstr(&text), NULL);
        buf_fini(&text);
        return d;
}

static int cmp_sizes(const struct numvar *a, const struct numvar *b)
{
        if (a->n == 0 || b->n == 0)
                return (a->n > 0) - (b->n > 0);
        if (a->weight != b->weight)
                return a->weight < b->weight ? -1 : 1;
        for (int i = 0; i < a->n && i < b->n; i++)
                if (a->digits[i] != b->digits[i])
                        return a->digits[i] < b->digits[i] ? -1 : 1;
        return (a->n > b->n) - (a->n < b->n);
}

int numvar_cmp(const struct numvar *a, const struct numvar *b)
{
        if (a->negative != b->negative)
                return a->negative ? -1 : 1;
        return a->negative ? cmp_sizes(b, a) : cmp_sizes(a, b);
}

struct numvar numvar_round(struct where_ctx *c, struct numvar v, int rscale)
{
        static const int16_t powers[] = {1, 10, 100, 1000};
        int keep = (v.weight + 1) * NUMVAR_DIGITS + rscale; /* decimal digits of the groups */
        struct numvar r = v;
        r.dscale = rscale;
        if (keep < 0 || v.n == 0)
                return (struct numvar){.dscale = rscale, .digits = v.digits};
        if (keep >= v.n * NUMVAR_DIGITS)
                return r;
        int groups = (keep + NUMVAR_DIGITS - 1) / NUMVAR_DIGITS,
            rest = groups * NUMVAR_DIGITS - keep;
        int up = decimal(&v, keep) >= 5 ? powers[rest] : 0;
        r.digits = digits_of(c, groups + 1);
        r.n = groups + 1;
        r.weight = v.weight + 1;
        memcpy(r.digits + 1, v.digits, (size_t)groups * sizeof(int16_t));
        if (rest)
                r.digits[groups] = (int16_t)(r.digits[groups] - r.digits[groups] % powers[rest]);
        for (int i = groups; up; i--) {
                int d = r.digits[i] + up;
                up = d >= NUMVAR_BASE;
                r.digits[i] = (int16_t)(up ? d - NUMVAR_BASE : d);
        }
        return stripped(r);
}

/* The group that counts 10000^place. */
static int group_at(const struct numvar *v, int place)
{
        int i = v->weight - place;
        return i >= 0 && i < v->n ? v->digits[i] : 0;
}

static int lowest(const struct numvar *v)
{
        return v->weight - v->n + 1;
}

/* |a| + |b|, or |a| - |b| when |a| is not less. */
static struct numvar add_sizes(struct where_ctx *c, const struct numvar *a, const struct numvar *b,
                               bool subtract, bool negative)
{
        int high = (a->weight > b->weight ? a->weight : b->weight) + 1;
        int low = lowest(a) < lowest(b) ? lowest(a) : lowest(b);
        struct numvar r = {.n = high - low + 1,
                           .weight = high,
                           .negative = negative,
                           .dscale = a->dscale > b->dscale ? a->dscale : b->dscale,
                           .digits = digits_of(c, high - low + 1)};
        int carry = 0;
        for (int place = low; place <= high; place++) {
                int d = subtract ? group_at(a, place) - group_at(b, place) - carry
                                 : group_at(a, place) + group_at(b, place) + carry;
                carry = d < 0 || d >= NUMVAR_BASE;
                r.digits[high - place] = (int16_t)(d < 0 ? d + NUMVAR_BASE : d % NUMVAR_BASE);
        }
        return stripped(r);
}

struct numvar numvar_add(struct where_ctx *c, const struct numvar *a, const struct numvar *b)
{
        if (a->negative == b->negative)
                return add_sizes(c, a, b, false, a->negative);
        return cmp_sizes(a, b) >= 0 ? add_sizes(c, a, b, true, a->negative)
                                    : add_sizes(c, b, a, true, b->negative);
}

struct numvar numvar_sub(struct where_ctx *c, const struct numvar *a, const struct numvar *b)
{
        struct numvar minus = *b;
        minus.negative = b->n > 0 && !b->negative;
        return numvar_add(c, a, &minus);
}

/* Groups of the product from the left, at most `n`: those of the operands that would be added
 * behind are not looked at. */
static void multiply(const struct numvar *a, const struct numvar *b, int n, int64_t *sums)
{
        for (int i = a->n - 1 < n - 3 ? a->n - 1 : n - 3; i >= 0; i--)
                for (int k = 0; k < b->n && i + k + 2 < n; k++)
                        sums[i + k + 2] += (int64_t)a->digits[i] * b->digits[k];
}

bool numvar_mul(struct where_ctx *c, const struct numvar *a, const struct numvar *b, int rscale,
                struct numvar *out)
{
        int weight = a->weight + b->weight + 2;
        int n = a->n + b->n + 1;
        int most = weight + 1 + (rscale + NUMVAR_DIGITS - 1) / NUMVAR_DIGITS + MUL_GUARD;
        n = n < most ? n : most;
        if (a->n == 0 || b->n == 0 || n < 3) {
                *out = (struct numvar){.dscale = rscale, .digits = a->digits};
                return true;
        }
        if (!where_work(c, (uint64_t)a->n * (uint64_t)b->n))
                return false;
        struct numvar r = {.n = n,
                           .weight = weight,
                           .negative = a->negative != b->negative,
                           .digits = digits_of(c, n)};
        size_t bytes = (size_t)n * sizeof(int64_t);
        int64_t *sums = memset(where_alloc(c->scratch, bytes), 0, bytes), carry = 0;
        if (a->n <= b->n)
                multiply(a, b, n, sums);
        else
                multiply(b, a, n, sums);
        for (int i = n - 1; i >= 0; i--) {
                int64_t d = sums[i] + carry;
                carry = d / NUMVAR_BASE;
                r.digits[i] = (int16_t)(d % NUMVAR_BASE);
        }
        SLUICE_ASSERT(carry == 0);
        *out = stripped(numvar_round(c, stripped(r), rscale));
        return true;
}

/* With a group more than is kept. */
struct numvar numvar_div_int(struct where_ctx *c, const struct numvar *a, int b, int rscale)
{
        int n = a->weight + 2 + (rscale + NUMVAR_DIGITS - 1) / NUMVAR_DIGITS;
        if (a->n == 0 || n < 1)
                return (struct numvar){.dscale = rscale, .digits = a->digits};
        struct numvar r = {
                .n = n, .weight = a->weight, .negative = a->negative, .digits = digits_of(c, n)};
        int64_t rest = 0;
        for (int i = 0; i < n; i++) {
                rest = rest * NUMVAR_BASE + (i < a->n ? a->digits[i] : 0);
                r.digits[i] = (int16_t)(rest / b);
                rest %= b;
        }
        return numvar_round(c, stripped(r), rscale);
}

/* ---- by decimal digits */

uint8_t where_take_often(uint8_t *rest, const uint8_t *part, int64_t n)
{
        for (uint8_t times = 0;; times++) {
                if (rest[0] == 0 && memcmp(rest + 1, part, (size_t)n) < 0)
                        return times;
                int borrow = 0;
                for (int64_t i = n; i >= 1; i--) {
                        int d = rest[i] - part[i - 1] - borrow;
                        borrow = d < 0;
                        rest[i] = (uint8_t)(d < 0 ? d + 10 : d);
                }
                rest[0] = (uint8_t)(rest[0] - borrow);
        }
}

static void put_decimal(struct numvar *v, int i, int digit)
{
        static const int units[] = {1000, 100, 10, 1};
        v->digits[i / NUMVAR_DIGITS] =
                (int16_t)(v->digits[i / NUMVAR_DIGITS] + digit * units[i % NUMVAR_DIGITS]);
}

bool numvar_div(struct where_ctx *c, const struct numvar *a, const struct numvar *b, int rscale,
                struct numvar *out)
{
        /* The first group of the quotient may be zero; one more is to round by. */
        int weight = a->weight - b->weight;
        int n = weight + 2 + (rscale + NUMVAR_DIGITS - 1) / NUMVAR_DIGITS;
        if (a->n == 0 || n < 1) {
                *out = (struct numvar){.dscale = rscale, .digits = a->digits};
                return true;
        }
        int length = b->n * NUMVAR_DIGITS;
        if (!where_work(c, (uint64_t)n * NUMVAR_DIGITS * (uint64_t)length))
                return false;
        struct numvar r = {.n = n,
                           .weight = weight,
                           .negative = a->negative != b->negative,
                           .digits = digits_of(c, n)};
        uint8_t *part = where_alloc(c->scratch, (size_t)length);
        uint8_t *rest = memset(where_alloc(c->scratch, (size_t)length + 1), 0, (size_t)length + 1);
        for (int i = 0; i < length; i++)
                part[i] = (uint8_t)decimal(b, i);
        for (int i = 0; i < length - NUMVAR_DIGITS; i++)
                rest[1 + NUMVAR_DIGITS + i] = (uint8_t)decimal(a, i);
        for (int i = 0; i < n * NUMVAR_DIGITS; i++) {
                memmove(rest, rest + 1, (size_t)length);
                rest[length] = (uint8_t)decimal(a, length - NUMVAR_DIGITS + i);
                put_decimal(&r, i, where_take_often(rest, part, length));
        }
        *out = numvar_round(c, stripped(r), rscale);
        return true;
}

/* One digit more of the root, by hand: rest -= (20 × root + d) × d, for the largest d. `root` has i
 * digits; all numbers end at the same place of `rest`. */
static int root_digit(uint8_t *rest, uint8_t *twice, int n)
{
        for (int d = 0;; d++) {
                /* twice is 20 × root + 2 × d; the odd number that goes off is one more */
                twice[n - 1]++;
                if (memcmp(rest, twice, (size_t)n) < 0) {
                        twice[n - 1]--;
                        return d;
                }
                int borrow = 0;
                for (int i = n - 1; i >= 0; i--) {
                        int x = rest[i] - twice[i] - borrow;
                        borrow = x < 0;
                        rest[i] = (uint8_t)(x < 0 ? x + 10 : x);
                }
                twice[n - 1]++;
                for (int i = n - 1; i > 0 && twice[i] >= 10; i--) {
                        twice[i] = (uint8_t)(twice[i] - 10);
                        twice[i - 1]++;
                }
        }
}

bool numvar_sqrt(struct where_ctx *c, const struct numvar *a, int rscale, struct numvar *out)
{
        int weight = (int)floor_div(a->weight, 2);
        int n = rscale + 1 >= 0 ? weight + 1 + (rscale + NUMVAR_DIGITS) / NUMVAR_DIGITS
                                : weight + 1 - (-rscale - 1) / NUMVAR_DIGITS;
        n = n < 1 ? 1 : n;
        int digits = n * NUMVAR_DIGITS, room = digits + 3;
        if (!where_work(c, (uint64_t)digits * (uint64_t)room * 4))
                return false;
        struct numvar r = {.n = n, .weight = weight, .digits = digits_of(c, n)};
        uint8_t *rest = memset(where_alloc(c->scratch, (size_t)room), 0, (size_t)room);
        uint8_t *twice = memset(where_alloc(c->scratch, (size_t)room), 0, (size_t)room);
        /* Of the two groups for each of the root's first the left one may not be there. */
        int skipped = a->weight == weight * 2 ? NUMVAR_DIGITS : 0;
        for (int i = 0; i < digits; i++) {
                memmove(rest, rest + 2, (size_t)room - 2);
                rest[room - 2] = (uint8_t)decimal(a, 2 * i - skipped);
                rest[room - 1] = (uint8_t)decimal(a, 2 * i + 1 - skipped);
                memmove(twice, twice + 1, (size_t)room - 1);
                twice[room - 1] = 0;
                put_decimal(&r, i, root_digit(rest, twice, room));
        }
        *out = stripped(numvar_round(c, stripped(r), rscale));
        return true;
}
