/* Arithmetic on integers and floats: what overflows is an error, as in Postgres' int.c, int8.c and
 * float.c. */
#include "services/router/where_fn.h"

#include <errno.h>
#include <math.h>

#define BY_ZERO   "division by zero"
#define OVERFLOW  "value out of range: overflow"
#define UNDERFLOW "value out of range: underflow"

/* ---- integers; an operator's type is the wider one of its operands' */

static bool fits(struct where_ctx *c, bool overflow, int64_t v, int64_t min, int64_t max,
                 const char *error, struct where_value *out)
{
        if (overflow || v < min || v > max)
                return where_fail(c, error);
        out->i = v;
        return true;
}

static bool divide(struct where_ctx *c, int64_t a, int64_t b, int64_t min, int64_t max,
                   const char *error, struct where_value *out)
{
        if (b == 0)
                return where_fail(c, BY_ZERO);
        if (b == -1) /* INT64_MIN / -1 is a trap */
                return fits(c, a == INT64_MIN, a == INT64_MIN ? 0 : -a, min, max, error, out);
        out->i = a / b;
        return true;
}

#define INT_FUNCTIONS(name, min, max, error)                                                       \
        bool where_##name##_add(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                int64_t v;                                                                         \
                bool over = __builtin_add_overflow(a[0].i, a[1].i, &v);                            \
                return fits(c, over, v, min, max, error, out);                                     \
        }                                                                                          \
        bool where_##name##_sub(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                int64_t v;                                                                         \
                bool over = __builtin_sub_overflow(a[0].i, a[1].i, &v);                            \
                return fits(c, over, v, min, max, error, out);                                     \
        }                                                                                          \
        bool where_##name##_mul(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                int64_t v;                                                                         \
                bool over = __builtin_mul_overflow(a[0].i, a[1].i, &v);                            \
                return fits(c, over, v, min, max, error, out);                                     \
        }                                                                                          \
        bool where_##name##_div(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                return divide(c, a[0].i, a[1].i, min, max, error, out);                            \
        }                                                                                          \
        bool where_##name##_neg(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                int64_t v;                                                                         \
                bool over = __builtin_sub_overflow((int64_t)0, a[0].i, &v);                        \
                return fits(c, over, v, min, max, error, out);                                     \
        }                                                                                          \
        bool where_##name##_abs(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                if (a[0].i < 0)                                                                    \
                        return where_##name##_neg(c, a, out);                                      \
                out->i = a[0].i;                                                                   \
                return true;                                                                       \
        }

INT_FUNCTIONS(int2, INT16_MIN, INT16_MAX, "smallint out of range")
INT_FUNCTIONS(int4, INT32_MIN, INT32_MAX, "integer out of range")
INT_FUNCTIONS(int8, INT64_MIN, INT64_MAX, "bigint out of range")

/* Sign extension makes these right for every width. */
bool where_int_and(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->i = a[0].i & a[1].i;
        return true;
}

bool where_int_or(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->i = a[0].i | a[1].i;
        return true;
}

bool where_int_xor(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->i = a[0].i ^ a[1].i;
        return true;
}

bool where_int_not(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->i = ~a[0].i;
        return true;
}

bool where_same(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        *out = a[0];
        return true;
}

/* ---- floats */

/* `finite`: no operand was infinite; `nonzero`: a result of zero would be an underflow. */
static bool check_float(struct where_ctx *c, double v, bool finite, bool nonzero,
                        struct where_value *out)
{
        if (isinf(v) && finite)
                return where_fail(c, OVERFLOW);
        if (v == 0 && nonzero)
                return where_fail(c, UNDERFLOW);
        out->d = v;
        return true;
}

#define FLOAT_FUNCTIONS(name, type)                                                                \
        bool where_##name##_add(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                type x = (type)a[0].d, y = (type)a[1].d;                                           \
                return check_float(c, (double)(type)(x + y), !isinf(x) && !isinf(y), false, out);  \
        }                                                                                          \
        bool where_##name##_sub(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                type x = (type)a[0].d, y = (type)a[1].d;                                           \
                return check_float(c, (double)(type)(x - y), !isinf(x) && !isinf(y), false, out);  \
        }                                                                                          \
        bool where_##name##_mul(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                type x = (type)a[0].d, y = (type)a[1].d;                                           \
                return check_float(c, (double)(type)(x * y), !isinf(x) && !isinf(y),               \
                                   x != 0 && y != 0, out);                                         \
        }                                                                                          \
        bool where_##name##_div(struct where_ctx *c, const struct where_value *a,                  \
                                struct where_value *out)                                           \
        {                                                                                          \
                type x = (type)a[0].d, y = (type)a[1].d;                                           \
                if (y == 0 && !isnan(x))                                                           \
                        return where_fail(c, BY_ZERO);                                             \
                return check_float(c, (double)(type)(x / y), !isinf(x), x != 0 && !isinf(y), out); \
        }

FLOAT_FUNCTIONS(float4, float)
FLOAT_FUNCTIONS(float8, double)

bool where_float_neg(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->d = -a[0].d;
        return true;
}

bool where_float_abs(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        (void)c;
        out->d = fabs(a[0].d);
        return true;
}

static bool is_odd(double y)
{
        return y / 2 != floor(y / 2);
}

/* x or y infinite, neither of them NaN. */
static double pow_infinite(double x, double y)
{
        double size = fabs(x);
        if (isinf(y)) {
                if (size == 1)
                        return 1;
                return (size > 1) == (y > 0) ? (double)INFINITY : 0;
        }
        if (y == 0)
                return 1;
        if (x > 0)
                return y > 0 ? x : 0;
        if (y > 0)
                return is_odd(y) ? x : -x;
        return is_odd(y) ? -0.0 : 0;
}

bool where_float8_pow(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        double x = a[0].d, y = a[1].d;
        if (isnan(x) || isnan(y)) {
                out->d = (isnan(x) && y == 0) || (isnan(y) && x == 1) ? 1 : (double)NAN;
                return true;
        }
        if (x == 0 && y < 0)
                return where_fail(c, "zero raised to a negative power is undefined");
        if (x < 0 && floor(y) != y)
                return where_fail(c, "a negative number raised to a non-integer power yields a "
                                     "complex result");
        if (isinf(x) || isinf(y)) {
                out->d = pow_infinite(x, y);
                return true;
        }
        return check_float(c, pow(x, y), true, x != 0, out);
}

bool where_float8_sqrt(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        if (a[0].d < 0)
                return where_fail(c, "cannot take square root of a negative number");
        return check_float(c, sqrt(a[0].d), !isinf(a[0].d), a[0].d != 0, out);
}
