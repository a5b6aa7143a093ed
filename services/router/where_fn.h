/* The functions behind operators and function calls, and the tables of both. */
#ifndef SERVICES_ROUTER_WHERE_FN_H
#define SERVICES_ROUTER_WHERE_FN_H

#include "services/router/where_node.h"

extern const struct where_operator where_operators[];
extern const uint32_t where_n_operators;
/* Functions of one (left: WT_COUNT) or two arguments. */
extern const struct where_operator where_functions[];
extern const uint32_t where_n_functions;

/* where_math.c */
where_fn where_int2_add, where_int2_sub, where_int2_mul, where_int2_div, where_int2_neg,
        where_int2_abs;
where_fn where_int4_add, where_int4_sub, where_int4_mul, where_int4_div, where_int4_neg,
        where_int4_abs;
where_fn where_int8_add, where_int8_sub, where_int8_mul, where_int8_div, where_int8_neg,
        where_int8_abs;
where_fn where_int_and, where_int_or, where_int_xor, where_int_not, where_same;
where_fn where_float4_add, where_float4_sub, where_float4_mul, where_float4_div;
where_fn where_float8_add, where_float8_sub, where_float8_mul, where_float8_div;
where_fn where_float_neg, where_float_abs, where_float8_pow, where_float8_sqrt;

/* where_num_math.c */
where_fn where_num_add, where_num_sub, where_num_mul, where_num_div, where_num_neg, where_num_abs;

/* where_num_power.c; by the rules of ctx->power. */
where_fn where_num_power;

/* where_string.c */
where_fn where_text_cat, where_text_lower, where_text_upper, where_text_like_escape;
where_fn where_text_like, where_text_not_like, where_text_ilike, where_text_not_ilike;
/* The same function under the collation C, where case is that of ASCII alone. */
where_fn *where_text_c_cases(where_fn *fn);

#endif
