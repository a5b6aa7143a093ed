/* Numbers of groups of four digits, as Postgres' numeric.c computes with them: where its functions
 * round, and which digits they leave out, shows in the last digit of a power. */
#ifndef SERVICES_ROUTER_WHERE_NUMVAR_H
#define SERVICES_ROUTER_WHERE_NUMVAR_H

#include "services/router/where_type.h"

enum { NUMVAR_BASE = 10000, NUMVAR_DIGITS = 4 };

/* (-1)^negative × Σ digits[i] × 10000^(weight - i). No zeros at either end, n == 0: zero. */
struct numvar {
        int n, weight;
        bool negative;
        int dscale;
        int16_t *digits; /* in the evaluation's scratch, never changed */
};

/* False is an error, in c->error; `out` may be one of the operands. Results are rounded half away
 * from zero, to `rscale` digits after the point (which may be negative). */
struct numvar numvar_of(struct where_ctx *c, const struct where_num *n);
struct numvar numvar_of_int(struct where_ctx *c, int v);
bool numvar_put(struct where_ctx *c, const struct numvar *v, struct where_num *out);
double numvar_to_double(const struct numvar *v);
int numvar_cmp(const struct numvar *a, const struct numvar *b);
struct numvar numvar_round(struct where_ctx *c, struct numvar v, int rscale);
struct numvar numvar_add(struct where_ctx *c, const struct numvar *a, const struct numvar *b);
struct numvar numvar_sub(struct where_ctx *c, const struct numvar *a, const struct numvar *b);
/* Leaves out what cannot reach the last digit but by many carries. */
bool numvar_mul(struct where_ctx *c, const struct numvar *a, const struct numvar *b, int rscale,
                struct numvar *out);
bool numvar_div(struct where_ctx *c, const struct numvar *a, const struct numvar *b, int rscale,
                struct numvar *out);
struct numvar numvar_div_int(struct where_ctx *c, const struct numvar *a, int b, int rscale);
/* From a root that has been cut off at a whole group. */
bool numvar_sqrt(struct where_ctx *c, const struct numvar *a, int rscale, struct numvar *out);

/* Of decimal digits: rest (n + 1 of them) -= part (n), as long as it goes. How often? */
uint8_t where_take_often(uint8_t *rest, const uint8_t *part, int64_t n);

#endif
