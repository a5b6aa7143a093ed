/* Functions that make arrays, as in Postgres' array_userfuncs.c and arrayfuncs.c. */
#include "services/router/where_array.h"

#include "common/base/assert.h"

typedef struct where_array array;

#define MISMATCH "cannot concatenate incompatible arrays"

static array *new_array(struct where_ctx *c, const array *model, uint32_t n,
                        struct where_value **values)
{
        array *a = where_alloc(c->scratch, sizeof(*a));
        *values = where_alloc(c->scratch, ((size_t)n + 1) * sizeof(**values));
        *a = *model;
        a->n = n;
        a->values = *values;
        return a;
}

static bool put(const array *a, struct where_value *out)
{
        out->null = false;
        out->array = a;
        return true;
}

static void copy_values(struct where_value *to, const array *from)
{
        if (from->n)
                memcpy(to, from->values, from->n * sizeof(*to));
}

bool where_array_fits(struct where_ctx *c, const array *a)
{
        for (int i = 0; i < a->n_dims; i++) {
                int32_t end;
                if (__builtin_add_overflow(a->lower[i], a->dims[i], &end))
                        return where_fail(c, "array lower bound is too large");
        }
        return true;
}

/* ---- || of two arrays */

/* Of the dimensions of `a` from `from_a` on, and of `b` from `from_b` on: the same? */
static bool agree(const array *a, int from_a, const array *b, int from_b)
{
        for (int i = 0; from_a + i < a->n_dims; i++)
                if (a->dims[from_a + i] != b->dims[from_b + i] ||
                    a->lower[from_a + i] != b->lower[from_b + i])
                        return false;
        return true;
}

/* Elements of both behind one another; the outermost dimension has `more` than the model's. */
static bool join(struct where_ctx *c, const array *a, const array *b, const array *model,
                 int32_t more, struct where_value *out)
{
        struct where_value *values;
        array *both = new_array(c, model, a->n + b->n, &values);
        both->dims[0] += more;
        copy_values(values, a);
        copy_values(values + a->n, b);
        return where_array_fits(c, both) && put(both, out);
}

static bool cat(struct where_ctx *c, const array *a, const array *b, struct where_value *out)
{
        if (!where_work(c, (uint64_t)a->n + b->n))
                return false;
        if (a->n_dims == 0 && b->n_dims > 0)
                return put(b, out);
        if (b->n_dims == 0)
                return put(a, out);
        if (a->n_dims == b->n_dims && agree(a, 1, b, 1))
                return join(c, a, b, a, b->dims[0], out);
        if (a->n_dims == b->n_dims - 1 && agree(a, 0, b, 1))
                return join(c, a, b, b, 1, out);
        if (a->n_dims == b->n_dims + 1 && agree(b, 0, a, 1))
                return join(c, a, b, a, 1, out);
        return where_fail(c, MISMATCH);
}

bool where_array_cat(struct where_ctx *c, const struct where_value *v, struct where_value *out)
{
        if (v[0].null || v[1].null) {
                *out = v[0].null ? v[1] : v[0];
                return true;
        }
        return cat(c, v[0].array, v[1].array, out);
}

/* ---- one element more */

static bool insert(struct where_ctx *c, const struct where_value *v, const struct where_value *one,
                   bool in_front, struct where_value *out)
{
        const array empty = {.element = where_type_element(c->result)};
        const array *a = v->null ? &empty : v->array;
        struct where_value *values;
        int32_t place;
        if (a->n_dims > 1)
                return where_fail(c, "argument must be empty or one-dimensional array");
        if (!where_work(c, a->n))
                return false;
        bool bad = a->n_dims == 1 &&
                   (in_front ? __builtin_sub_overflow(a->lower[0], 1, &place)
                             : __builtin_add_overflow(a->lower[0], a->dims[0], &place));
        if (bad)
                return where_fail(c, "integer out of range");
        array *more = new_array(c, a, a->n + 1, &values);
        more->lower[0] = a->n_dims ? a->lower[0] : 1;
        more->dims[0] = (int32_t)a->n + 1;
        more->n_dims = 1;
        values[in_front ? 0 : a->n] = *one;
        copy_values(values + in_front, a);
        /* before Postgres moves what it has put in front to where the array began */
        return where_array_fits(c, in_front ? a : more) && put(more, out);
}

bool where_array_append(struct where_ctx *c, const struct where_value *v, struct where_value *out)
{
        return insert(c, &v[0], &v[1], false, out);
}

bool where_array_prepend(struct where_ctx *c, const struct where_value *v, struct where_value *out)
{
        return insert(c, &v[1], &v[0], true, out);
}

bool where_array_ndims(struct where_ctx *c, const struct where_value *v, struct where_value *out)
{
        int n_dims = v[0].array->n_dims;
        (void)c;
        out->null = n_dims == 0;
        out->i = n_dims;
        return true;
}

/* ---- slices */

static void copy_slice(const array *a, const int32_t *from, const int32_t *to, int level, size_t at,
                       struct where_value **next)
{
        if (level == a->n_dims) {
                *(*next)++ = a->values[at];
                return;
        }
        for (int32_t i = from[level]; i <= to[level]; i++)
                copy_slice(a, from, to, level + 1, at * (size_t)a->dims[level] + (size_t)i, next);
}

static bool put_empty(struct where_ctx *c, enum where_type element, struct where_value *out)
{
        array *a = where_alloc(c->scratch, sizeof(*a));
        where_array_of(element, NULL, 0, a);
        return put(a, out);
}

bool where_array_slice(struct where_ctx *c, const array *a, const struct where_bounds *bounds,
                       int n_bounds, struct where_value *out)
{
        int32_t from[ARRAY_MAX_DIMS], to[ARRAY_MAX_DIMS];
        array model = {.element = a->element, .n_dims = a->n_dims};
        struct where_value *values;
        uint32_t n = 1;
        if (a->n_dims == 0 || a->n_dims < n_bounds)
                return put_empty(c, a->element, out);
        for (int i = 0; i < a->n_dims; i++) {
                int64_t low = 0, high = a->dims[i] - 1;
                if (i < n_bounds && bounds[i].has_low && bounds[i].low > a->lower[i])
                        low = bounds[i].low - a->lower[i];
                if (i < n_bounds && bounds[i].has_high && bounds[i].high - a->lower[i] < high)
                        high = bounds[i].high - a->lower[i];
                if (low > high)
                        return put_empty(c, a->element, out);
                from[i] = (int32_t)low;
                to[i] = (int32_t)high;
                model.dims[i] = (int32_t)(high - low + 1);
                model.lower[i] = 1;
                n *= (uint32_t)model.dims[i];
        }
        if (!where_work(c, n))
                return false;
        array *part = new_array(c, &model, n, &values);
        copy_slice(a, from, to, 0, 0, &values);
        return put(part, out);
}

/* ---- ARRAY[…] of arrays */

bool where_array_nest(struct where_ctx *c, enum where_type element,
                      const struct where_value *arrays, uint32_t n, struct where_value *out)
{
        const array *first = NULL;
        struct where_value *values;
        uint64_t total = 0;
        uint32_t n_empty = 0;
        for (uint32_t i = 0; i < n; i++) {
                if (arrays[i].null || arrays[i].array->n_dims == 0) {
                        n_empty++;
                        continue;
                }
                if (!first)
                        first = arrays[i].array;
                total += arrays[i].array->n;
        }
        if (!first)
                return put_empty(c, element, out);
        if (first->n_dims == ARRAY_MAX_DIMS)
                return where_fail(c, "number of array dimensions exceeds the maximum allowed");
        bool fits = n_empty == 0;
        for (uint32_t i = 0; fits && i < n; i++)
                fits = arrays[i].array->n_dims == first->n_dims &&
                       agree(first, 0, arrays[i].array, 0);
        if (!fits)
                return where_fail(c, "multidimensional arrays must have array expressions with "
                                     "matching dimensions");
        if (!where_work(c, total))
                return false;
        array model = {.element = element, .n_dims = first->n_dims + 1};
        model.dims[0] = (int32_t)n;
        model.lower[0] = 1;
        memcpy(model.dims + 1, first->dims, sizeof(first->dims) - sizeof(first->dims[0]));
        memcpy(model.lower + 1, first->lower, sizeof(first->lower) - sizeof(first->lower[0]));
        array *nested = new_array(c, &model, (uint32_t)total, &values);
        for (uint32_t i = 0; i < n; i++) {
                copy_values(values, arrays[i].array);
                values += arrays[i].array->n;
        }
        return where_array_fits(c, nested) && put(nested, out);
}
