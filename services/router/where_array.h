/* Array values: their text, their order, what they contain. */
#ifndef SERVICES_ROUTER_WHERE_ARRAY_H
#define SERVICES_ROUTER_WHERE_ARRAY_H

#include "services/router/where_type.h"

enum { ARRAY_MAX_DIMS = 6 /* Postgres' own */ };

struct where_array {
        enum where_type element;
        int n_dims; /* 0: empty */
        int32_t dims[ARRAY_MAX_DIMS], lower[ARRAY_MAX_DIMS];
        uint32_t n;
        const struct where_value *values; /* row-major */
};

int where_array_read(enum where_type element, struct slice text, struct where_scratch *s,
                     struct where_array *out);
void where_array_print(const struct where_array *a, struct buf *out);
int where_array_cmp(const struct where_array *a, const struct where_array *b);
/* One dimension from 1; none when n is 0. */
void where_array_of(enum where_type element, const struct where_value *values, uint32_t n,
                    struct where_array *out);

/* On two arrays of one type, neither NULL: a NULL element is in nothing. */
where_fn where_array_contains, where_array_is_contained, where_array_overlaps;
/* These take NULL: an array that is NULL counts as an empty one, but NULL || NULL is NULL. */
where_fn where_array_cat, where_array_append, where_array_prepend;
where_fn where_array_ndims; /* NULL for an empty one */

/* As Postgres' ArrayCheckBounds: no index may be the greatest int4. (array_prepend alone makes
 * arrays that do not fit; their text is none.) False: an error. */
bool where_array_fits(struct where_ctx *c, const struct where_array *a);

/* [low:high], of which either may be left out. */
struct where_bounds {
        bool has_low, has_high;
        int64_t low, high;
};
bool where_array_slice(struct where_ctx *c, const struct where_array *a,
                       const struct where_bounds *bounds, int n_bounds, struct where_value *out);
/* ARRAY[…] of arrays, each of which is NULL or an array of the element type. */
bool where_array_nest(struct where_ctx *c, enum where_type element,
                      const struct where_value *arrays, uint32_t n, struct where_value *out);
/* Elements cast one by one. */
bool where_array_cast(struct where_ctx *c, enum where_type to, const struct where_array *in,
                      struct where_value *out);

#endif
