/* numeric ^ numeric: the steps of Postgres' numeric.c, with its scales and spare digits. Version 16
 * chooses the scale of an integer power by the size of the result, older ones do not. */
#include "services/router/where_fn.h"

#include <limits.h>
#include <math.h>

#include "services/router/where_numvar.h"
#include "services/router/where_power.h"

typedef struct where_num num;
typedef struct numvar var;

enum {
        MIN_SIGNIFICANT = 16,
        MAX_DISPLAY_SCALE = 1000,
        MAX_RESULT_SCALE = 2000,
        MAX_WEIGHT = 32767,
        SPARE = 8
};
#define LOG10_2 0.301029995663981
#define LOG10_E 0.434294481903252
#define LN_10   2.302585092994046

static int max_of(int a, int b)
{
        return a > b ? a : b;
}

static int display_scale(int rscale)
{
        rscale = max_of(rscale, 0);
        return rscale < MAX_DISPLAY_SCALE ? rscale : MAX_DISPLAY_SCALE;
}

static bool overflows(struct where_ctx *c)
{
        return where_fail(c, "value overflows numeric format");
}

static var zero_of(int dscale)
{
        static int16_t none;
        return (var){.dscale = dscale, .digits = &none};
}

static var decimal_of(struct where_ctx *c, int whole, int tenths)
{
        int16_t *digits = where_alloc(c->scratch, 2 * sizeof(*digits));
        digits[0] = (int16_t)(whole ? whole : tenths * 1000);
        digits[1] = (int16_t)(tenths * 1000);
        return (var){.n = whole && tenths ? 2 : 1,
                     .weight = whole ? 0 : -1,
                     .dscale = 1,
                     .digits = digits};
}

/* ---- e^x */

static bool taylor(struct where_ctx *c, const var *x, int rscale, var *out)
{
        var one = numvar_of_int(c, 1), term;
        *out = numvar_add(c, &one, x);
        if (!numvar_mul(c, x, x, rscale, &term))
                return false;
        term = numvar_div_int(c, &term, 2, rscale);
        for (int i = 3; term.n; i++) {
                *out = numvar_add(c, out, &term);
                if (!numvar_mul(c, &term, x, rscale, &term))
                        return false;
                term = numvar_div_int(c, &term, i, rscale);
        }
        return true;
}

static bool exponential(struct where_ctx *c, var x, int rscale, var *out)
{
        double val = numvar_to_double(&x);
        int halvings = 0;
        if (fabs(val) >= MAX_RESULT_SCALE * 3) {
                *out = zero_of(rscale);
                return val <= 0 || overflows(c);
        }
        int weight = (int)(val * LOG10_E);
        for (; fabs(val) > 0.01; val /= 2)
                halvings++;
        if (halvings)
                x = numvar_div_int(c, &x, 1 << halvings, x.dscale + halvings);
        int significant = max_of(1 + weight + rscale + (int)(halvings * LOG10_2), 0) + SPARE;
        if (!taylor(c, &x, significant - 1, out))
                return false;
        while (halvings-- > 0) {
                int scale = max_of(significant - out->weight * 2 * NUMVAR_DIGITS, 0);
                if (!numvar_mul(c, out, out, scale, out))
                        return false;
        }
        *out = numvar_round(c, *out, rscale);
        return true;
}

/* ---- ln x */

/* Of the first digit of ln x, about: how many digits are before it, negative: behind the point. */
static int ln_weight(struct where_ctx *c, const var *x)
{
        var low = decimal_of(c, 0, 9), high = decimal_of(c, 1, 1), one = numvar_of_int(c, 1);
        if (numvar_cmp(x, &low) >= 0 && numvar_cmp(x, &high) <= 0) {
                var d = numvar_sub(c, x, &one);
                return d.n ? d.weight * NUMVAR_DIGITS + (int)log10(d.digits[0]) : 0;
        }
        int digits = x->digits[0], weight = x->weight * NUMVAR_DIGITS;
        if (x->n > 1) {
                digits = digits * NUMVAR_BASE + x->digits[1];
                weight -= NUMVAR_DIGITS;
        }
        return (int)log10(fabs(log(digits) + weight * LN_10));
}

/* Roots until it is between 0.9 and 1.1; false: an error. */
static bool reduce(struct where_ctx *c, var *x, int rscale, int *roots)
{
        var low = decimal_of(c, 0, 9), high = decimal_of(c, 1, 1);
        for (*roots = 0; numvar_cmp(x, &low) <= 0 || numvar_cmp(x, &high) >= 0; (*roots)++) {
                int scale = rscale - x->weight * NUMVAR_DIGITS / 2 + SPARE;
                if (!numvar_sqrt(c, x, scale, x))
                        return false;
        }
        return true;
}

static bool logarithm(struct where_ctx *c, var x, int rscale, var *out)
{
        int roots;
        if (!reduce(c, &x, rscale, &roots))
                return false;
        int scale = rscale + (int)((roots + 1) * LOG10_2) + SPARE;
        var one = numvar_of_int(c, 1), below = numvar_sub(c, &x, &one),
            above = numvar_add(c, &x, &one), z, square;
        if (!numvar_div(c, &below, &above, scale, &z) || !numvar_mul(c, &z, &z, scale, &square))
                return false;
        *out = z;
        for (int i = 3;; i += 2) {
                if (!numvar_mul(c, &z, &square, scale, &z))
                        return false;
                var term = numvar_div_int(c, &z, i, scale);
                if (term.n == 0)
                        break;
                *out = numvar_add(c, out, &term);
                if (term.weight < out->weight - scale * 2 / NUMVAR_DIGITS)
                        break;
        }
        var two = numvar_of_int(c, 2), factor = two;
        for (int i = 0; i < roots; i++)
                if (!numvar_mul(c, &factor, &two, 0, &factor))
                        return false;
        return numvar_mul(c, out, &factor, rscale, out);
}

/* ---- powers */

/* About log10 of |base|^exp. */
static double weight_of_power(const var *base, int exp)
{
        double f = base->digits[0];
        int p = base->weight * NUMVAR_DIGITS;
        for (int i = 1; i < base->n && i * NUMVAR_DIGITS < 16; i++) {
                f = f * NUMVAR_BASE + base->digits[i];
                p -= NUMVAR_DIGITS;
        }
        return exp * (log10(f) + p);
}

static bool square_and_multiply(struct where_ctx *c, const var *base, int exp, int significant,
                                int rscale, var *out)
{
        unsigned mask = exp < 0 ? 0 - (unsigned)exp : (unsigned)exp;
        var product = *base, one = numvar_of_int(c, 1);
        *out = mask & 1 ? *base : one;
        while ((mask >>= 1) > 0) {
                int scale = significant - 2 * product.weight * NUMVAR_DIGITS;
                scale = scale < 2 * product.dscale ? scale : 2 * product.dscale;
                if (!numvar_mul(c, &product, &product, max_of(scale, 0), &product))
                        return false;
                if (mask & 1) {
                        scale = significant - (product.weight + out->weight) * NUMVAR_DIGITS;
                        int both = product.dscale + out->dscale;
                        scale = scale < both ? scale : both;
                        if (!numvar_mul(c, &product, out, max_of(scale, 0), out))
                                return false;
                }
                if (product.weight > MAX_WEIGHT || out->weight > MAX_WEIGHT) {
                        *out = zero_of(rscale);
                        return exp < 0 || overflows(c);
                }
        }
        if (exp < 0)
                return numvar_div(c, &one, out, rscale, out);
        *out = numvar_round(c, *out, rscale);
        return true;
}

static bool is_too_large(double f, enum where_power_rules rules)
{
        return rules == POWER_BY_WEIGHT ? f > (MAX_WEIGHT + 1.0) * NUMVAR_DIGITS
                                        : f > 3.0 * SHRT_MAX * NUMVAR_DIGITS;
}

static bool is_too_small(double f, int rscale, enum where_power_rules rules)
{
        return f + 1 < -MAX_DISPLAY_SCALE || (rules == POWER_BY_SCALE && f + 1 < -rscale);
}

static bool integer_power(struct where_ctx *c, const var *base, int exp, int exp_scale,
                          enum where_power_rules rules, var *out)
{
        double f = base->n ? weight_of_power(base, exp) : 0;
        bool by_weight = rules == POWER_BY_WEIGHT;
        if (by_weight && is_too_large(f, rules))
                return overflows(c);
        if (by_weight && is_too_small(f, 0, rules)) {
                *out = zero_of(MAX_DISPLAY_SCALE);
                return true;
        }
        int rscale = by_weight ? max_of(MIN_SIGNIFICANT - (int)f, exp_scale) : MIN_SIGNIFICANT;
        rscale = display_scale(max_of(rscale, base->dscale));
        var one = numvar_of_int(c, 1);
        *out = one;
        out->dscale = rscale;
        if (exp == 0)
                return true;
        if (exp == 1) {
                *out = numvar_round(c, *base, rscale);
                return true;
        }
        if (exp == -1)
                return numvar_div(c, &one, base, rscale, out);
        if (exp == 2)
                return numvar_mul(c, base, base, rscale, out);
        *out = zero_of(rscale);
        if (base->n == 0)
                return true;
        if (!by_weight && is_too_large(f, rules))
                return overflows(c);
        if (!by_weight && is_too_small(f, rscale, rules))
                return true;
        int significant = 1 + rscale + (int)f + (int)log(fabs((double)exp)) + SPARE;
        return square_and_multiply(c, base, exp, significant, rscale, out);
}

/* e^(exp × ln base), of a base that is not negative. */
static bool real_power(struct where_ctx *c, const var *base, const var *exp, var *out)
{
        int weight = ln_weight(c, base), scale = max_of(SPARE - weight, 0);
        var ln, product;
        if (!logarithm(c, *base, scale, &ln) || !numvar_mul(c, &ln, exp, scale, &product))
                return false;
        double val = numvar_to_double(&product);
        if (fabs(val) > MAX_RESULT_SCALE * 3.01) {
                *out = zero_of(MAX_DISPLAY_SCALE);
                return val <= 0 || overflows(c);
        }
        val *= LOG10_E;
        int rscale = max_of(MIN_SIGNIFICANT - (int)val, max_of(base->dscale, exp->dscale));
        rscale = display_scale(rscale);
        scale = max_of(max_of(rscale + (int)val, 0) - weight + SPARE, 0);
        return logarithm(c, *base, scale, &ln) && numvar_mul(c, &ln, exp, scale, &product) &&
               exponential(c, product, rscale, out);
}

static bool is_integer(const num *v)
{
        return v->kind != NUM_FINITE || (int64_t)v->n <= (v->point > 0 ? v->point : 0);
}

static bool is_odd(const num *v)
{
        return v->kind == NUM_FINITE && v->n > 0 && is_integer(v) && v->n == (uint32_t)v->point &&
               v->digits[v->n - 1] % 2 == 1;
}

static bool finite_power(struct where_ctx *c, const num *a, const num *b,
                         enum where_power_rules rules, num *out)
{
        var base = numvar_of(c, a), exp = numvar_of(c, b), r;
        int64_t whole;
        if (is_integer(b) && where_num_to_int(b, &whole) == 0 && whole >= INT_MIN &&
            whole <= INT_MAX)
                return integer_power(c, &base, (int)whole, b->dscale, rules, &r) &&
                       numvar_put(c, &r, out);
        if (base.n == 0) {
                r = zero_of(MIN_SIGNIFICANT);
                return numvar_put(c, &r, out);
        }
        base.negative = false;
        if (!real_power(c, &base, &exp, &r))
                return false;
        r.negative = a->negative && is_odd(b) && r.n > 0;
        return numvar_put(c, &r, out);
}

/* ---- what is not finite, as POSIX has it for pow() */

static int sign(const num *v)
{
        if (v->kind == NUM_FINITE)
                return v->n == 0 ? 0 : v->negative ? -1 : 1;
        return v->kind == NUM_NINF ? -1 : 1;
}

/* |v| against 1; an infinite one is larger. */
static int against_one(const num *v)
{
        static const uint8_t digit = 1;
        const num one = {.point = 1, .n = 1, .digits = &digit};
        num size = *v;
        size.negative = false;
        return v->kind == NUM_FINITE ? where_num_cmp(&size, &one) : 1;
}

static bool is_one(const num *v)
{
        return v->kind == NUM_FINITE && !v->negative && against_one(v) == 0;
}

static num special_power(const num *a, const num *b)
{
        static const uint8_t digit = 1;
        const num one = {.point = 1, .n = 1, .digits = &digit}, zero = {0};
        const num infinite = {.kind = NUM_PINF};
        if (is_one(a) || (b->kind == NUM_FINITE && sign(b) == 0))
                return one;
        if (a->kind == NUM_NAN || b->kind == NUM_NAN)
                return (num){.kind = NUM_NAN};
        if (sign(a) == 0)
                return zero;
        if (b->kind != NUM_FINITE) {
                if (against_one(a) == 0) /* -1 */
                        return one;
                return (against_one(a) > 0) == (sign(b) > 0) ? infinite : zero;
        }
        if (sign(b) < 0)
                return zero;
        return a->kind == NUM_NINF && is_odd(b) ? (num){.kind = NUM_NINF} : infinite;
}

bool where_num_power(struct where_ctx *c, const struct where_value *args, struct where_value *out)
{
        const num *a = args[0].n, *b = args[1].n;
        num *r = where_alloc(c->scratch, sizeof(*r));
        out->n = r;
        bool nan = a->kind == NUM_NAN || b->kind == NUM_NAN;
        if (!nan && sign(a) == 0 && sign(b) < 0)
                return where_fail(c, "zero raised to a negative power is undefined");
        if (!nan && sign(a) < 0 && !is_integer(b))
                return where_fail(c, "a negative number raised to a non-integer power yields a "
                                     "complex result");
        if (a->kind == NUM_FINITE && b->kind == NUM_FINITE)
                return finite_power(c, a, b, c->power, r);
        *r = special_power(a, b);
        return true;
}
