/* The operators and functions of the language: rows of pg_operator and pg_proc. A row without a
 * function is one that Postgres would choose and that we do not have: it keeps the choice honest.
 */
#include "services/router/where_fn.h"
#include "services/router/where_time_fn.h"

#define CMP(name, l, r, compare)                                                                   \
        {                                                                                          \
                name, WT_##l, WT_##r, WT_BOOL, true, CMP_##compare, NULL, false                    \
        }
#define COMPARISONS(l, r)                                                                          \
        CMP("=", l, r, EQ), CMP("<>", l, r, NE), CMP("<", l, r, LT), CMP("<=", l, r, LE),          \
                CMP(">", l, r, GT), CMP(">=", l, r, GE)

#define NO_COMPARISONS(t)                                                                          \
        OP("=", t, t, BOOL, NULL), OP("<>", t, t, BOOL, NULL), OP("<", t, t, BOOL, NULL),          \
                OP("<=", t, t, BOOL, NULL), OP(">", t, t, BOOL, NULL), OP(">=", t, t, BOOL, NULL)

#define OP(name, l, r, result, fn)                                                                 \
        {                                                                                          \
                name, WT_##l, WT_##r, WT_##result, false, CMP_EQ, fn, false                        \
        }
#define PREFIX(name, r, result, fn)                                                                \
        {                                                                                          \
                name, WT_COUNT, WT_##r, WT_##result, false, CMP_EQ, fn, false                      \
        }
#define CASES(name, l, r, result, fn)                                                              \
        {                                                                                          \
                name, l, WT_##r, WT_##result, false, CMP_EQ, fn, true                              \
        }

/* + - * / of a pair of types */
#define ARITHMETIC(l, r, result, prefix)                                                           \
        OP("+", l, r, result, prefix##_add), OP("-", l, r, result, prefix##_sub),                  \
                OP("*", l, r, result, prefix##_mul), OP("/", l, r, result, prefix##_div)
#define INT_BITS(t)                                                                                \
        OP("&", t, t, t, where_int_and), OP("|", t, t, t, where_int_or),                           \
                OP("#", t, t, t, where_int_xor), PREFIX("~", t, t, where_int_not)
#define SIGNS(t, neg, abs)                                                                         \
        PREFIX("+", t, t, where_same), PREFIX("-", t, t, neg), PREFIX("@", t, t, abs)

#define LIKES(t)                                                                                   \
        OP("~~", t, TEXT, BOOL, where_text_like), OP("!~~", t, TEXT, BOOL, where_text_not_like),   \
                CASES("~~*", WT_##t, TEXT, BOOL, where_text_ilike),                                \
                CASES("!~~*", WT_##t, TEXT, BOOL, where_text_not_ilike)

const struct where_operator where_operators[] = {
        COMPARISONS(BOOL, BOOL),
        COMPARISONS(INT2, INT2),
        COMPARISONS(INT2, INT4),
        COMPARISONS(INT2, INT8),
        COMPARISONS(INT4, INT2),
        COMPARISONS(INT4, INT4),
        COMPARISONS(INT4, INT8),
        COMPARISONS(INT8, INT2),
        COMPARISONS(INT8, INT4),
        COMPARISONS(INT8, INT8),
        COMPARISONS(FLOAT4, FLOAT4),
        COMPARISONS(FLOAT4, FLOAT8),
        COMPARISONS(FLOAT8, FLOAT4),
        COMPARISONS(FLOAT8, FLOAT8),
        COMPARISONS(NUMERIC, NUMERIC),
        COMPARISONS(TEXT, TEXT),
        COMPARISONS(BPCHAR, BPCHAR),
        COMPARISONS(NAME, NAME),
        COMPARISONS(NAME, TEXT),
        COMPARISONS(TEXT, NAME),
        COMPARISONS(UUID, UUID),
        COMPARISONS(DATE, DATE),
        COMPARISONS(DATE, TIMESTAMP),
        COMPARISONS(DATE, TIMESTAMPTZ),
        COMPARISONS(TIMESTAMP, DATE),
        COMPARISONS(TIMESTAMP, TIMESTAMP),
        COMPARISONS(TIMESTAMP, TIMESTAMPTZ),
        COMPARISONS(TIMESTAMPTZ, DATE),
        COMPARISONS(TIMESTAMPTZ, TIMESTAMP),
        COMPARISONS(TIMESTAMPTZ, TIMESTAMPTZ),
        COMPARISONS(TIME, TIME),
        COMPARISONS(INTERVAL, INTERVAL),
        CMP("=", ENUM, ENUM, EQ), /* of one enum: the checker sees to it */
        CMP("<>", ENUM, ENUM, NE),
        COMPARISONS(BYTEA, BYTEA),
        CMP("=", JSONB, JSONB, EQ),
        CMP("<>", JSONB, JSONB, NE),
        OP("<", JSONB, JSONB, BOOL, NULL),
        OP("<=", JSONB, JSONB, BOOL, NULL),
        OP(">", JSONB, JSONB, BOOL, NULL),
        OP(">=", JSONB, JSONB, BOOL, NULL),
        OP("@>", JSONB, JSONB, BOOL, NULL),
        OP("<@", JSONB, JSONB, BOOL, NULL),
        NO_COMPARISONS(TIMETZ),
        ARITHMETIC(INT2, INT2, INT2, where_int2),
        ARITHMETIC(INT2, INT4, INT4, where_int4),
        ARITHMETIC(INT2, INT8, INT8, where_int8),
        ARITHMETIC(INT4, INT2, INT4, where_int4),
        ARITHMETIC(INT4, INT4, INT4, where_int4),
        ARITHMETIC(INT4, INT8, INT8, where_int8),
        ARITHMETIC(INT8, INT2, INT8, where_int8),
        ARITHMETIC(INT8, INT4, INT8, where_int8),
        ARITHMETIC(INT8, INT8, INT8, where_int8),
        ARITHMETIC(FLOAT4, FLOAT4, FLOAT4, where_float4),
        ARITHMETIC(FLOAT4, FLOAT8, FLOAT8, where_float8),
        ARITHMETIC(FLOAT8, FLOAT4, FLOAT8, where_float8),
        ARITHMETIC(FLOAT8, FLOAT8, FLOAT8, where_float8),
        ARITHMETIC(NUMERIC, NUMERIC, NUMERIC, where_num),
        INT_BITS(INT2),
        INT_BITS(INT4),
        INT_BITS(INT8),
        SIGNS(INT2, where_int2_neg, where_int2_abs),
        SIGNS(INT4, where_int4_neg, where_int4_abs),
        SIGNS(INT8, where_int8_neg, where_int8_abs),
        SIGNS(FLOAT4, where_float_neg, where_float_abs),
        SIGNS(FLOAT8, where_float_neg, where_float_abs),
        SIGNS(NUMERIC, where_num_neg, where_num_abs),
        OP("^", FLOAT8, FLOAT8, FLOAT8, where_float8_pow),
        OP("^", NUMERIC, NUMERIC, NUMERIC, where_num_power),
        PREFIX("|/", FLOAT8, FLOAT8, where_float8_sqrt),
        OP("||", TEXT, TEXT, TEXT, where_text_cat),
        OP("||", BYTEA, BYTEA, BYTEA, where_text_cat),
        OP("||", JSONB, JSONB, JSONB, NULL),
        OP("-", JSONB, TEXT, JSONB, NULL),
        OP("-", JSONB, INT4, JSONB, NULL),
        OP("~~", BYTEA, BYTEA, BOOL, NULL),
        OP("!~~", BYTEA, BYTEA, BOOL, NULL),
        LIKES(TEXT),
        LIKES(BPCHAR),
        LIKES(NAME),
        OP("+", DATE, INT4, DATE, where_date_add_int),
        OP("+", INT4, DATE, DATE, where_int_add_date),
        OP("-", DATE, INT4, DATE, where_date_sub_int),
        OP("-", DATE, DATE, INT4, where_date_sub),
        OP("+", DATE, TIME, TIMESTAMP, where_date_add_time),
        OP("+", TIME, DATE, TIMESTAMP, where_time_add_date),
        OP("+", DATE, INTERVAL, TIMESTAMP, where_date_add_interval),
        OP("+", INTERVAL, DATE, TIMESTAMP, where_interval_add_date),
        OP("-", DATE, INTERVAL, TIMESTAMP, where_date_sub_interval),
        OP("+", TIMESTAMP, INTERVAL, TIMESTAMP, where_stamp_add_interval),
        OP("+", INTERVAL, TIMESTAMP, TIMESTAMP, where_interval_add_stamp),
        OP("-", TIMESTAMP, INTERVAL, TIMESTAMP, where_stamp_sub_interval),
        OP("-", TIMESTAMP, TIMESTAMP, INTERVAL, where_stamp_sub),
        OP("+", TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, where_stamp_add_interval),
        OP("+", INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ, where_interval_add_stamp),
        OP("-", TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, where_stamp_sub_interval),
        OP("-", TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL, where_stamp_sub),
        OP("+", TIME, INTERVAL, TIME, where_time_add_interval),
        OP("+", INTERVAL, TIME, TIME, where_interval_add_time),
        OP("-", TIME, INTERVAL, TIME, where_time_sub_interval),
        OP("-", TIME, TIME, INTERVAL, where_time_sub),
        OP("+", INTERVAL, INTERVAL, INTERVAL, where_interval_add),
        OP("-", INTERVAL, INTERVAL, INTERVAL, where_interval_sub),
        OP("*", INTERVAL, FLOAT8, INTERVAL, where_interval_mul),
        OP("*", FLOAT8, INTERVAL, INTERVAL, where_interval_mul_left),
        OP("/", INTERVAL, FLOAT8, INTERVAL, NULL),
        PREFIX("-", INTERVAL, INTERVAL, where_interval_neg),
        OP("+", DATE, TIMETZ, TIMESTAMPTZ, NULL),
        OP("+", TIMETZ, DATE, TIMESTAMPTZ, NULL),
        OP("+", TIMETZ, INTERVAL, TIMETZ, NULL),
        OP("+", INTERVAL, TIMETZ, TIMETZ, NULL),
        OP("-", TIMETZ, INTERVAL, TIMETZ, NULL),
};
const uint32_t where_n_operators = sizeof(where_operators) / sizeof(where_operators[0]);

const struct where_operator where_functions[] = {
        CASES("lower", WT_COUNT, TEXT, TEXT, where_text_lower),
        CASES("upper", WT_COUNT, TEXT, TEXT, where_text_upper),
        OP("like", TEXT, TEXT, BOOL, where_text_like),
        OP("like", NAME, TEXT, BOOL, where_text_like),
        OP("like", BYTEA, BYTEA, BOOL, NULL),
        CASES("ilike", WT_TEXT, TEXT, BOOL, where_text_ilike),
        OP("like_escape", TEXT, TEXT, TEXT, where_text_like_escape),
        OP("like_escape", BYTEA, BYTEA, BYTEA, NULL),
        OP("notlike", BYTEA, BYTEA, BOOL, NULL),
        OP("notlike", TEXT, TEXT, BOOL, where_text_not_like),
        OP("notlike", NAME, TEXT, BOOL, where_text_not_like),
        PREFIX("justify_days", INTERVAL, INTERVAL, where_justify_days),
        PREFIX("justify_hours", INTERVAL, INTERVAL, where_justify_hours),
        PREFIX("justify_interval", INTERVAL, INTERVAL, where_justify_interval),
        OP("timezone", TEXT, TIMESTAMP, TIMESTAMPTZ, where_from_zone),
        OP("timezone", TEXT, TIMESTAMPTZ, TIMESTAMP, where_to_zone),
        OP("timezone", INTERVAL, TIMESTAMP, TIMESTAMPTZ, where_from_offset),
        OP("timezone", INTERVAL, TIMESTAMPTZ, TIMESTAMP, where_to_offset),
        OP("timezone", TEXT, TIMETZ, TIMETZ, NULL),
        OP("timezone", INTERVAL, TIMETZ, TIMETZ, NULL),
};
const uint32_t where_n_functions = sizeof(where_functions) / sizeof(where_functions[0]);
