#include "services/router/where_node.h"

#include "common/base/assert.h"
#include "services/router/where_array.h"
#include "services/router/where_list.h"

typedef struct where_node node;
typedef struct where_value value;

enum truth { IS_FALSE, IS_TRUE, IS_NULL };

static bool eval(struct where_ctx *c, const node *n, const struct row *row, value *out);

static const struct change_value *column_of(const node *n, const struct row *row)
{
        SLUICE_ASSERT(n->column < row->n);
        const struct change_value *v = &row->values[n->column];
        SLUICE_ASSERT(v->kind != VALUE_SAME);
        return v;
}

static bool eval_column(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        const struct change_value *v = column_of(n, row);
        out->null = v->kind == VALUE_NULL;
        if (out->null)
                return true;
        if (where_value_read(n->type, v->text, c->scratch, out) != 0)
                return where_fail(c, "a value of the row is not of its column's type");
        return true;
}

static bool put_truth(enum truth t, value *out)
{
        out->null = t == IS_NULL;
        out->b = t == IS_TRUE;
        return true;
}

static enum truth truth_of(const value *v)
{
        return v->null ? IS_NULL : v->b ? IS_TRUE : IS_FALSE;
}

/* From left to right; what decides ends it, as in Postgres. */
static bool eval_logic(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        enum truth decides = n->kind == ND_AND ? IS_FALSE : IS_TRUE;
        enum truth result = n->kind == ND_AND ? IS_TRUE : IS_FALSE;
        for (uint32_t i = 0; i < n->n; i++) {
                value v;
                if (!eval(c, n->args[i], row, &v))
                        return false;
                enum truth t = truth_of(&v);
                if (t == decides)
                        return put_truth(decides, out);
                if (t == IS_NULL)
                        result = IS_NULL;
        }
        return put_truth(result, out);
}

static bool eval_not(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        if (!eval(c, n->args[0], row, out))
                return false;
        if (!out->null)
                out->b = !out->b;
        return true;
}

static bool eval_null_test(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        value v;
        if (n->args[0]->kind == ND_COLUMN)
                v.null = column_of(n->args[0], row)->kind == VALUE_NULL;
        else if (!eval(c, n->args[0], row, &v))
                return false;
        return put_truth(v.null != n->negated ? IS_TRUE : IS_FALSE, out);
}

static bool eval_bool_test(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        static const enum truth wanted[] = {
                [TRUTH_TRUE] = IS_TRUE, [TRUTH_FALSE] = IS_FALSE, [TRUTH_UNKNOWN] = IS_NULL};
        value v;
        if (!eval(c, n->args[0], row, &v))
                return false;
        bool is = truth_of(&v) == wanted[n->test];
        return put_truth(is != n->negated ? IS_TRUE : IS_FALSE, out);
}

static bool compare_is(enum where_compare compare, int c)
{
        switch (compare) {
        case CMP_EQ:
                return c == 0;
        case CMP_NE:
                return c != 0;
        case CMP_LT:
                return c < 0;
        case CMP_LE:
                return c <= 0;
        case CMP_GT:
                return c > 0;
        case CMP_GE:
        default:
                return c >= 0;
        }
}

static bool eval_compare(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        value l, r;
        if (!eval(c, n->args[0], row, &l) || !eval(c, n->args[1], row, &r))
                return false;
        out->null = l.null || r.null;
        if (!out->null)
                out->b = compare_is(n->compare, n->cmp(&l, &r));
        return true;
}

static bool eval_same(const node *n, const struct row *row, value *out)
{
        const struct change_value *v = column_of(n, row);
        out->null = v->kind == VALUE_NULL;
        if (!out->null)
                out->b = slice_eq(v->text, n->text) == (n->compare == CMP_EQ);
        return true;
}

static bool eval_distinct(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        value l, r;
        if (!eval(c, n->args[0], row, &l) || !eval(c, n->args[1], row, &r))
                return false;
        bool distinct = l.null || r.null ? l.null != r.null : n->cmp(&l, &r) != 0;
        return put_truth(distinct != n->negated ? IS_TRUE : IS_FALSE, out);
}

static bool put_in(const node *n, bool found, value *out)
{
        if (!found && n->list->has_null)
                return put_truth(IS_NULL, out);
        return put_truth(found != n->negated ? IS_TRUE : IS_FALSE, out);
}

static bool eval_in(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        value v;
        if (n->text.p) { /* by text */
                const struct change_value *text = column_of(n, row);
                if (text->kind == VALUE_NULL)
                        return put_truth(IS_NULL, out);
                return put_in(n, where_list_has_text(n->list, text->text), out);
        }
        if (!eval(c, n->args[0], row, &v))
                return false;
        if (v.null)
                return put_truth(IS_NULL, out);
        return put_in(n, where_list_has(n->list, n->cmp, &v), out);
}

static bool eval_cast(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        value v;
        if (!eval(c, n->args[0], row, &v))
                return false;
        return where_cast_apply(c, n->args[0]->type, n->type, &v, out);
}

static bool eval_modify(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        value v;
        return eval(c, n->args[0], row, &v) &&
               where_modifier_apply(c, n->type, n->modifier, &v, out);
}

/* All arguments are evaluated; one NULL makes the result NULL, but for functions that take it. */
static bool eval_call(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        enum { MAX_ARGS = 4 };
        value args[MAX_ARGS];
        bool null = false;
        SLUICE_ASSERT(n->n <= MAX_ARGS);
        for (uint32_t i = 0; i < n->n; i++) {
                if (!eval(c, n->args[i], row, &args[i]))
                        return false;
                null |= args[i].null;
        }
        out->null = null && !n->takes_null;
        c->result = n->type;
        c->zone = n->zone;
        return out->null || n->fn(c, args, out);
}

static void put_text(enum where_type type, const value *v, struct buf *out)
{
        if (!v->null)
                where_value_print(type, v, out);
}

static bool eval_concat(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        struct buf text;
        buf_init(&text, WHERE_TEXT_MAX);
        bool ok = true;
        for (uint32_t i = 0; ok && i < n->n; i++) {
                value v;
                ok = eval(c, n->args[i], row, &v);
                if (ok)
                        put_text(n->args[i]->type, &v, &text);
        }
        out->null = false;
        ok = ok && where_keep_text(c, &text, &out->s);
        buf_fini(&text);
        return ok;
}

static bool eval_coalesce(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        for (uint32_t i = 0; i < n->n; i++) {
                if (!eval(c, n->args[i], row, out))
                        return false;
                if (!out->null)
                        return true;
        }
        return true;
}

/* NULL arguments count as absent. */
static bool eval_min_max(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        int wanted = n->kind == ND_GREATEST ? 1 : -1;
        out->null = true;
        for (uint32_t i = 0; i < n->n; i++) {
                value v;
                if (!eval(c, n->args[i], row, &v))
                        return false;
                if (!v.null && (out->null || n->cmp(&v, out) * wanted > 0))
                        *out = v;
        }
        return true;
}

/* Does the operator hold between the value and an element? */
static bool holds(struct where_ctx *c, const node *n, const value *l, const value *element,
                  enum truth *out)
{
        value args[2] = {*l, *element}, result = {0};
        if (element->null) {
                *out = IS_NULL;
                return true;
        }
        if (n->cmp)
                result.b = compare_is(n->compare, n->cmp(l, element));
        else if (!n->fn(c, args, &result))
                return false;
        *out = truth_of(&result);
        return true;
}

/* An empty array decides even for NULL, as in Postgres. */
static bool eval_any(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        enum truth decides = n->negated ? IS_FALSE : IS_TRUE;
        enum truth result = n->negated ? IS_TRUE : IS_FALSE;
        value l, array;
        if (!eval(c, n->args[0], row, &l) || !eval(c, n->args[1], row, &array))
                return false;
        if (array.null)
                return put_truth(IS_NULL, out);
        if (l.null)
                return put_truth(array.array->n ? IS_NULL : result, out);
        for (uint32_t i = 0; i < array.array->n; i++) {
                enum truth t;
                if (!holds(c, n, &l, &array.array->values[i], &t))
                        return false;
                if (t == decides)
                        return put_truth(decides, out);
                if (t == IS_NULL)
                        result = IS_NULL;
        }
        return put_truth(result, out);
}

static bool eval_array(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        value *values = where_alloc(c->scratch, (n->n + 1) * sizeof(*values));
        struct where_array *a = where_alloc(c->scratch, sizeof(*a));
        for (uint32_t i = 0; i < n->n; i++)
                if (!eval(c, n->args[i], row, &values[i]))
                        return false;
        if (n->nested)
                return where_array_nest(c, where_type_element(n->type), values, n->n, out);
        where_array_of(where_type_element(n->type), values, n->n, a);
        out->null = false;
        out->array = a;
        return true;
}

/* The array and the subscripts, all of which Postgres evaluates unless the array is NULL; *null:
 * one of them all is. */
static bool eval_subscripts(struct where_ctx *c, const node *n, const struct row *row,
                            const struct where_array **array, int64_t *index, bool *null)
{
        value v;
        if (!eval(c, n->args[0], row, &v))
                return false;
        bool no_array = v.null;
        *null = no_array;
        *array = v.array;
        for (uint32_t i = 1; !no_array && i < n->n; i++) {
                if (!eval(c, n->args[i], row, &v))
                        return false;
                *null |= v.null;
                index[i - 1] = v.i;
        }
        return true;
}

/* NULL outside of the array, and for another number of subscripts than it has dimensions. */
static bool eval_subscript(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        const struct where_array *a;
        int64_t index[ARRAY_MAX_DIMS], at = 0;
        bool null;
        if (!eval_subscripts(c, n, row, &a, index, &null))
                return false;
        null = null || a->n_dims != (int)n->n - 1;
        for (int i = 0; !null && i < a->n_dims; i++) {
                int64_t place = index[i] - a->lower[i];
                null = place < 0 || place >= a->dims[i];
                at = at * a->dims[i] + place;
        }
        if (null)
                return put_truth(IS_NULL, out);
        *out = a->values[at];
        return true;
}

static bool eval_slice(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        const struct where_array *a;
        struct where_bounds bounds[ARRAY_MAX_DIMS];
        int64_t index[2 * ARRAY_MAX_DIMS];
        int n_bounds = (int)(n->n - 1) / 2;
        bool null;
        if (!eval_subscripts(c, n, row, &a, index, &null))
                return false;
        if (null)
                return put_truth(IS_NULL, out);
        for (int i = 0; i < n_bounds; i++)
                bounds[i] = (struct where_bounds){.has_low = !(n->left_out >> (2 * i + 1) & 1),
                                                  .has_high = !(n->left_out >> (2 * i + 2) & 1),
                                                  .low = index[2 * i],
                                                  .high = index[2 * i + 1]};
        return where_array_slice(c, a, bounds, n_bounds, out);
}

static bool eval(struct where_ctx *c, const node *n, const struct row *row, value *out)
{
        switch (n->kind) {
        case ND_CONST:
                *out = n->value;
                return true;
        case ND_COLUMN:
                return eval_column(c, n, row, out);
        case ND_AND:
        case ND_OR:
                return eval_logic(c, n, row, out);
        case ND_NOT:
                return eval_not(c, n, row, out);
        case ND_NULLTEST:
                return eval_null_test(c, n, row, out);
        case ND_BOOLTEST:
                return eval_bool_test(c, n, row, out);
        case ND_DISTINCT:
                return eval_distinct(c, n, row, out);
        case ND_COMPARE:
                return eval_compare(c, n, row, out);
        case ND_SAME:
                return eval_same(n, row, out);
        case ND_CAST:
                return eval_cast(c, n, row, out);
        case ND_MODIFY:
                return eval_modify(c, n, row, out);
        case ND_CALL:
                return eval_call(c, n, row, out);
        case ND_ANY:
                return eval_any(c, n, row, out);
        case ND_ARRAY:
                return eval_array(c, n, row, out);
        case ND_SUBSCRIPT:
                return eval_subscript(c, n, row, out);
        case ND_SLICE:
                return eval_slice(c, n, row, out);
        case ND_CONCAT:
                return eval_concat(c, n, row, out);
        case ND_COALESCE:
                return eval_coalesce(c, n, row, out);
        case ND_GREATEST:
        case ND_LEAST:
                return eval_min_max(c, n, row, out);
        case ND_IN:
                return eval_in(c, n, row, out);
        default:
                SLUICE_ASSERT(!"a kind of node");
        }
        return false;
}

bool where_node_eval(struct where_ctx *c, const struct where_node *n, struct row row,
                     struct where_value *out)
{
        return eval(c, n, &row, out);
}
