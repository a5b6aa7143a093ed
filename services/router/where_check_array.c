/* What makes arrays and takes them apart, and their operators. */
#include "services/router/where_check.h"

#include "common/base/assert.h"
#include "services/router/where_array.h"

/* ---- ARRAY[…] */

static bool can_be_element(enum where_type t)
{
        return t != WT_COUNT && t != WT_OTHER;
}

/* The items; those that are ARRAY[…] themselves learn what type a cast says. */
static bool check_items(struct where_check *c, const struct where_parsed *p,
                        const struct ck_cast *to, node **items, bool *nested)
{
        for (uint32_t i = 0; i < p->n; i++) {
                bool is_array = p->args[i]->kind == PN_ARRAY;
                items[i] = is_array ? ck_check_array(c, p->args[i], to) : ck_check(c, p->args[i]);
                if (!items[i])
                        return false;
                *nested |= is_array || where_type_is_array(items[i]->type);
        }
        return true;
}

static bool cast_items(struct where_check *c, const struct where_parsed *p,
                       const struct ck_cast *to, enum where_type type, node **items)
{
        for (uint32_t i = 0; i < p->n; i++) {
                if (!to && where_cast_kind(items[i]->type, type) != CAST_IMPLICIT)
                        return ck_refuse(c, p->location,
                                         "ARRAY of these elements is not supported");
                items[i] = ck_cast_to(c, items[i], type, p->location);
                if (to && items[i])
                        items[i] = ck_modify(c, items[i], to);
                if (!items[i])
                        return false;
        }
        return true;
}

/* ARRAY[…]::type[] casts the elements; `to` NULL: no cast says what they are. */
node *ck_check_array(struct where_check *c, const struct where_parsed *p, const struct ck_cast *to)
{
        node **items = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        enum where_type *types = where_alloc(c->arena, (p->n + 1) * sizeof(*types));
        bool nested = false;
        if (!check_items(c, p, to, items, &nested))
                return NULL;
        for (uint32_t i = 0; i < p->n; i++)
                types[i] = items[i]->type;
        enum where_type type = to     ? nested ? where_type_array_of(to->type) : to->type
                               : p->n ? where_select_common(types, p->n)
                                      : WT_COUNT;
        if (type == WT_COUNT || !can_be_element(where_type_element(type)) ||
            where_type_is_array(type) != nested)
                return ck_refuse(c, p->location, "ARRAY of these elements is not supported");
        if (to)
                c->enum_column = to->enum_column;
        else if (!ck_meet_enums(c, items, p->n))
                return ck_refuse(c, p->location, "ARRAY of these elements is not supported");
        if (!cast_items(c, p, to, type, items))
                return NULL;
        node *n = ck_make(c, ND_ARRAY, where_type_array_of(where_type_element(type)), p->location,
                          p->n, items);
        if (!n)
                return NULL;
        n->nested = nested;
        n->column = c->enum_column;
        return ck_fold(c, n);
}

/* ---- subscripts and slices */

static node *check_index(struct where_check *c, const struct where_parsed *p)
{
        node *n = ck_check(c, p);
        if (!n)
                return NULL;
        enum where_cast_kind kind = where_cast_kind(n->type, WT_INT4);
        if (kind != CAST_IMPLICIT && kind != CAST_ASSIGNMENT)
                return ck_refuse(c, n->location, "array subscript must have type integer");
        return n->type == WT_UNKNOWN ? ck_coerce(c, n, WT_INT4)
                                     : ck_cast_to(c, n, WT_INT4, n->location);
}

/* Subscripts that are left out are NULL in `p` and a constant here. */
static node **check_subscripts(struct where_check *c, const struct where_parsed *p)
{
        node **args = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        uint32_t most = p->kind == PN_SLICE ? 2 * ARRAY_MAX_DIMS : ARRAY_MAX_DIMS;
        if (p->n - 1 > most) {
                ck_refuse(c, p->location, "too many subscripts");
                return NULL;
        }
        if (!(args[0] = ck_check(c, p->args[0])))
                return NULL;
        if (!where_type_is_array(args[0]->type)) {
                ck_refuse(c, p->location, "what is subscripted is no array");
                return NULL;
        }
        for (uint32_t i = 1; i < p->n; i++) {
                args[i] = p->args[i] ? check_index(c, p->args[i])
                                     : ck_make_const(c, WT_INT4, p->location);
                if (!args[i])
                        return NULL;
        }
        return args;
}

node *ck_check_subscript(struct where_check *c, const struct where_parsed *p)
{
        node **args = check_subscripts(c, p);
        if (!args)
                return NULL;
        return ck_fold(c, ck_make(c, ND_SUBSCRIPT, where_type_element(args[0]->type), p->location,
                                  p->n, args));
}

node *ck_check_slice(struct where_check *c, const struct where_parsed *p)
{
        node **args = check_subscripts(c, p);
        node *n = args ? ck_make(c, ND_SLICE, args[0]->type, p->location, p->n, args) : NULL;
        if (!n)
                return NULL;
        for (uint32_t i = 1; i < p->n; i++)
                if (!p->args[i])
                        n->left_out |= (uint32_t)1 << i;
        return ck_fold(c, n);
}

/* ---- operators */

static const struct {
        const char *name;
        bool is_compare;
        enum where_compare compare;
        where_fn *fn;
} array_operators[] = {
        {"=", true, CMP_EQ, NULL},
        {"<>", true, CMP_NE, NULL},
        {"<", true, CMP_LT, NULL},
        {"<=", true, CMP_LE, NULL},
        {">", true, CMP_GT, NULL},
        {">=", true, CMP_GE, NULL},
        {"@>", false, CMP_EQ, where_array_contains},
        {"<@", false, CMP_EQ, where_array_is_contained},
        {"&&", false, CMP_EQ, where_array_overlaps},
};
enum { N_ARRAY_OPERATORS = sizeof(array_operators) / sizeof(array_operators[0]) };

static node *make_call(struct where_check *c, enum where_type type, const char *name, where_fn *fn,
                       int location, node *const *args)
{
        node *n = ck_make(c, ND_CALL, type, location, 2, args);
        if (!n)
                return NULL;
        n->fn = fn;
        n->name = name;
        n->is_function = !slice_eq(slice_cstr(name), SLICE_LIT("||"));
        n->takes_null = true;
        return ck_fold(c, n);
}

/* Postgres' anycompatiblearray and anycompatible: arrays and elements are brought to one type of
 * element, for which their order counts. WT_COUNT: there is none. */
static enum where_type common_element(enum where_type left, enum where_type right)
{
        enum where_type types[] = {where_type_element(left), where_type_element(right)};
        enum where_type common = where_select_common(types, 2);
        if (!can_be_element(common) || where_cast_kind(types[0], common) != CAST_IMPLICIT ||
            where_cast_kind(types[1], common) != CAST_IMPLICIT)
                return WT_COUNT;
        return common;
}

enum joining { JOIN_ARRAYS, JOIN_APPEND, JOIN_PREPEND };

static const struct {
        const char *name;
        where_fn *fn;
        bool array[2];
} joinings[] = {
        [JOIN_ARRAYS] = {"array_cat", where_array_cat, {true, true}},
        [JOIN_APPEND] = {"array_append", where_array_append, {true, false}},
        [JOIN_PREPEND] = {"array_prepend", where_array_prepend, {false, true}},
};

/* NULL without a reason in `why`: the types do not go together. */
static node *join(struct where_check *c, enum joining how, const char *name, node *l, node *r,
                  int location, bool *refused)
{
        node *args[] = {l, r};
        enum where_type common = common_element(l->type, r->type);
        *refused = common == WT_COUNT || !ck_meet_enums(c, args, 2);
        for (int i = 0; !*refused && i < 2; i++) {
                bool is_array = where_type_is_array(args[i]->type);
                *refused = args[i]->type != WT_UNKNOWN && is_array != joinings[how].array[i];
        }
        for (int i = 0; !*refused && i < 2; i++) {
                enum where_type to = joinings[how].array[i] ? where_type_array_of(common) : common;
                if (!(args[i] = ck_coerce(c, args[i], to)))
                        return NULL;
        }
        if (*refused)
                return NULL;
        return make_call(c, where_type_array_of(common), name, joinings[how].fn, location, args);
}

/* An unknown side is an array, too. */
static node *make_concat(struct where_check *c, node *l, node *r, int location)
{
        bool left = where_type_is_array(l->type) || l->type == WT_UNKNOWN;
        bool right = where_type_is_array(r->type) || r->type == WT_UNKNOWN;
        bool refused;
        node *n = join(c,
                       left && right ? JOIN_ARRAYS
                       : left        ? JOIN_APPEND
                                     : JOIN_PREPEND,
                       "||", l, r, location, &refused);
        if (!refused)
                return n;
        return ck_refuse_operator(c, SLICE_LIT("||"), false, SELECT_NO_OVERLOAD, location);
}

/* Both operands are of one type of array: Postgres casts no arrays for these. */
bool ck_match_arrays(struct where_check *c, node **l, node **r)
{
        enum where_type type = where_type_is_array((*l)->type) ? (*l)->type : (*r)->type;
        if (((*l)->type != type && (*l)->type != WT_UNKNOWN) ||
            ((*r)->type != type && (*r)->type != WT_UNKNOWN) ||
            !ck_meet_enums(c, (node *[]){*l, *r}, 2))
                return false;
        return (*l = ck_coerce(c, *l, type)) && (*r = ck_coerce(c, *r, type));
}

static bool is_order(int i)
{
        return array_operators[i].is_compare && array_operators[i].compare != CMP_EQ &&
               array_operators[i].compare != CMP_NE;
}

node *ck_make_array_operator(struct where_check *c, struct slice name, node *l, node *r,
                             int location)
{
        int i = 0;
        if (slice_eq(name, SLICE_LIT("||")))
                return make_concat(c, l, r, location);
        while (i < N_ARRAY_OPERATORS && !slice_eq(slice_cstr(array_operators[i].name), name))
                i++;
        size_t before = c->why->len;
        if (i == N_ARRAY_OPERATORS || !ck_match_arrays(c, &l, &r) ||
            (is_order(i) && !where_type_has_order(l->type)))
                return c->why->len > before
                               ? NULL
                               : ck_refuse_operator(c, name, false, SELECT_NO_OVERLOAD, location);
        node *args[] = {l, r};
        bool is_compare = array_operators[i].is_compare;
        node *n = ck_make(c, is_compare ? ND_COMPARE : ND_CALL, WT_BOOL, location, 2, args);
        if (!n)
                return NULL;
        n->compare = array_operators[i].compare;
        n->cmp = is_compare ? where_type_cmp(l->type) : NULL;
        n->fn = array_operators[i].fn;
        n->name = array_operators[i].name;
        return ck_fold(c, n);
}

/* ---- functions */

const char *ck_array_name(bool is_function, uint32_t i)
{
        if (!is_function)
                return i < N_ARRAY_OPERATORS    ? array_operators[i].name
                       : i == N_ARRAY_OPERATORS ? "||"
                                                : NULL;
        return i <= JOIN_PREPEND ? joinings[i].name : i == JOIN_PREPEND + 1 ? "array_ndims" : NULL;
}

bool ck_is_array_function(struct slice name, uint32_t n_args)
{
        if (slice_eq(name, SLICE_LIT("array_ndims")))
                return n_args == 1;
        for (int i = JOIN_ARRAYS; i <= JOIN_PREPEND; i++)
                if (slice_eq(name, slice_cstr(joinings[i].name)))
                        return n_args == 2;
        return false;
}

static node *check_ndims(struct where_check *c, const struct where_parsed *p, node **args)
{
        if (!where_type_is_array(args[0]->type))
                return ck_refuse_overload(c, p, "array_ndims", args);
        node *n = ck_make(c, ND_CALL, WT_INT4, p->location, 1, args);
        if (!n)
                return NULL;
        n->fn = where_array_ndims;
        n->name = "array_ndims";
        n->is_function = true;
        return ck_fold(c, n);
}

node *ck_check_array_function(struct where_check *c, const struct where_parsed *p, node **args)
{
        if (p->n == 1)
                return check_ndims(c, p, args);
        enum joining how = JOIN_ARRAYS;
        while (!slice_eq(p->text, slice_cstr(joinings[how].name)))
                how++;
        bool refused = !(args[0] = ck_settle(c, args[0])) || !(args[1] = ck_settle(c, args[1]));
        if (refused)
                return NULL;
        node *n = NULL;
        refused = !where_type_is_array(args[joinings[how].array[0] ? 0 : 1]->type) &&
                  !where_type_is_array(args[joinings[how].array[1] ? 1 : 0]->type);
        if (!refused)
                n = join(c, how, joinings[how].name, args[0], args[1], p->location, &refused);
        if (refused)
                return ck_refuse_overload(c, p, joinings[how].name, args);
        return n;
}
