/* Types, as Postgres' parse_expr.c and parse_coerce.c give them: constants take the type of what
 * they meet, operators are chosen by their operands, parameters take the type of their first use.
 */
#include "services/router/where_node.h"

#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where_array.h"
#include "services/router/where_list.h"
#include "services/router/where_time_fn.h"

typedef struct where_node node;

static node *check(struct where_check *c, const struct where_parsed *p);

static node *refuse(struct where_check *c, int location, const char *what)
{
        where_why(c->why, location, "%s", what);
        return NULL;
}

/* NULL when the tree would be too large to evaluate. */
static node *make(struct where_check *c, enum where_kind kind, enum where_type type, int location,
                  uint32_t n, node *const *args)
{
        node *made = where_alloc(c->arena, sizeof(*made));
        *made = (node){.kind = kind, .type = type, .location = location, .n = n, .weight = 1};
        made->args = where_alloc(c->arena, (n + 1) * sizeof(*made->args));
        made->c_collation = type == WT_NAME;
        made->has_columns = kind == ND_COLUMN;
        for (uint32_t i = 0; i < n; i++) {
                made->args[i] = args[i];
                made->weight += args[i]->weight;
                made->has_columns |= args[i]->has_columns;
                made->c_collation |= args[i]->c_collation && where_type_is_string(type);
                if (made->weight > WHERE_MAX_WEIGHT)
                        return refuse(c, location, "the clause is too large");
        }
        return made;
}

static node *make_const(struct where_check *c, enum where_type type, int location)
{
        return make(c, ND_CONST, type, location, 0, NULL);
}

static node *make_text(struct where_check *c, struct slice text, int location)
{
        node *n = make_const(c, WT_UNKNOWN, location);
        n->value.s = text;
        return n;
}

/* Is the value settled before any row is seen? Postgres simplifies so, too, and an error in what it
 * does not evaluate is none: strict operators with a NULL constant, and AND or OR with a deciding
 * one. */
static bool is_settled(const node *n, const node **value)
{
        bool strict = n->kind == ND_COMPARE || n->kind == ND_CALL, constant = true;
        bool logic = n->kind == ND_AND || n->kind == ND_OR;
        for (uint32_t i = 0; i < n->n; i++) {
                const node *arg = n->args[i];
                constant &= arg->kind == ND_CONST;
                if (arg->kind != ND_CONST)
                        continue;
                if ((strict && arg->value.null) ||
                    (logic && !arg->value.null && arg->value.b == (n->kind == ND_OR))) {
                        *value = arg;
                        return true;
                }
        }
        return constant;
}

/* COALESCE, when what comes before its first constant that is not NULL is NULL. */
static bool is_settled_coalesce(const node *n, const node **value)
{
        for (uint32_t i = 0; i < n->n; i++) {
                if (n->args[i]->kind != ND_CONST)
                        return false;
                *value = n->args[i];
                if (!n->args[i]->value.null)
                        return true;
        }
        return true;
}

/* The node's value, when it is settled. An error in it would be one for every row. */
static node *fold(struct where_check *c, node *n)
{
        struct where_ctx ctx = {.scratch = c->arena};
        const node *decisive = NULL;
        if (!n)
                return NULL;
        if (n->kind == ND_COALESCE ? !is_settled_coalesce(n, &decisive) : !is_settled(n, &decisive))
                return n;
        node *value = make_const(c, n->type, n->location);
        value->c_collation = n->c_collation;
        value->has_columns = n->has_columns;
        if (decisive)
                value->value = decisive->value;
        else if (!where_node_eval(&ctx, n, (struct row){0}, &value->value))
                return refuse(c, n->location, ctx.error);
        return value;
}

/* ---- coercion */

/* What the protocol does not take for a literal, though Postgres would (§13.1 item 10): without a
 * cast a name has none, and a bool is a way to write true or false. */
static bool is_literal_of(enum where_type to, struct slice text)
{
        if (to == WT_NAME)
                return false;
        return to != WT_BOOL || (text.len && strchr("tTfF", text.p[0]));
}

static node *refuse_text(struct where_check *c, const node *n, enum where_type to, bool explicit)
{
        struct slice name = to == WT_NAME ? SLICE_LIT("char[]") : where_type_name(to);
        struct slice text = n->value.s;
        if (explicit)
                where_why(c->why, n->location, "could not cast value \"%.*s\" from text to %.*s",
                          SLICE_FMT(text), SLICE_FMT(name));
        else
                where_why(c->why, n->location, "invalid syntax for type %.*s: %.*s",
                          SLICE_FMT(name), SLICE_FMT(text));
        return NULL;
}

static node *coerce_unknown(struct where_check *c, node *n, enum where_type to, bool explicit)
{
        if (n->param)
                c->param_types[n->param - 1] = to;
        node *typed = make_const(c, to, n->location);
        typed->value.null = n->value.null;
        if (n->value.null)
                return typed;
        if ((!explicit && !is_literal_of(to, n->value.s)) ||
            where_value_read(to, n->value.s, c->arena, &typed->value) != 0)
                return refuse_text(c, n, to, explicit);
        return typed;
}

/* A parameter whose type another place has settled meanwhile. */
static node *settle(struct where_check *c, node *n)
{
        if (n->type != WT_UNKNOWN || !n->param || c->param_types[n->param - 1] == WT_UNKNOWN)
                return n;
        return coerce_unknown(c, n, c->param_types[n->param - 1], false);
}

static node *refuse_cast(struct where_check *c, const node *n, enum where_type to, int location)
{
        where_why(c->why, location, "unknown cast from type %.*s to type %.*s",
                  SLICE_FMT(where_type_name(n->type)), SLICE_FMT(where_type_name(to)));
        return NULL;
}

static node *coerce(struct where_check *c, node *n, enum where_type to)
{
        if (n->type == to)
                return n;
        if (n->type == WT_UNKNOWN)
                return coerce_unknown(c, n, to, false);
        if (where_cast_kind(n->type, to) != CAST_IMPLICIT)
                return refuse_cast(c, n, to, n->location);
        return fold(c, make(c, ND_CAST, to, n->location, 1, &n));
}

/* An explicit cast. */
static node *cast_to(struct where_check *c, node *n, enum where_type to, int location)
{
        if (n->type == to)
                return n;
        if (n->type == WT_UNKNOWN)
                return coerce_unknown(c, n, to, true);
        if (where_cast_kind(n->type, to) == CAST_NONE ||
            (where_cast_is_partial(n->type, to) && n->kind != ND_CONST))
                return refuse_cast(c, n, to, location);
        return fold(c, make(c, ND_CAST, to, location, 1, &n));
}

static node *coerce_bool(struct where_check *c, node *n)
{
        if (n->type == WT_BOOL || n->type == WT_UNKNOWN)
                return coerce(c, n, WT_BOOL);
        struct slice type = where_type_name(n->type);
        if (n->kind == ND_COLUMN)
                where_why(c->why, n->location,
                          "reference %.*s of type %.*s is not castable to bool",
                          SLICE_FMT(c->table->columns[n->column].name), SLICE_FMT(type));
        else
                where_why(c->why, n->location, "expression of type %.*s is not castable to bool",
                          SLICE_FMT(type));
        return NULL;
}

static bool check_bools(struct where_check *c, const struct where_parsed *p, node **args)
{
        for (uint32_t i = 0; i < p->n; i++) {
                node *n = check(c, p->args[i]);
                args[i] = n ? coerce_bool(c, n) : NULL;
                if (!args[i])
                        return false;
        }
        return true;
}

/* ---- leaves */

static node *check_column(struct where_check *c, const struct where_parsed *p)
{
        int i = table_find_column(c->table, p->text);
        if (i < 0 || (c->usable && !c->usable[i])) {
                where_why(c->why, p->location, "unknown reference %.*s", SLICE_FMT(p->text));
                return NULL;
        }
        const struct table_column *column = &c->table->columns[i];
        enum where_type type = where_type_of_oid(column->type_oid);
        if (type == WT_OTHER && column->is_enum)
                type = WT_ENUM;
        node *n = make(c, ND_COLUMN, type, p->location, 0, NULL);
        n->column = (uint32_t)i;
        return n;
}

/* Integers take the smallest of int4, int8 and numeric that holds them. */
static node *check_number(struct where_check *c, const struct where_parsed *p)
{
        static const enum where_type types[] = {WT_INT4, WT_INT8, WT_NUMERIC};
        node *n = make_const(c, WT_NUMERIC, p->location);
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
                n->type = types[i];
                if (where_value_read(types[i], p->text, c->arena, &n->value) == 0)
                        return n;
        }
        where_why(c->why, p->location, "number out of range: %.*s", SLICE_FMT(p->text));
        return NULL;
}

static node *check_param(struct where_check *c, const struct where_parsed *p)
{
        if (p->number < 1 || (uint32_t)p->number > c->n_params) {
                where_why(c->why, p->location, "parameter $%d was not provided", p->number);
                return NULL;
        }
        node *n = make_text(c, c->params[p->number - 1], p->location);
        n->param = p->number;
        enum where_type type = c->param_types[p->number - 1];
        return type == WT_UNKNOWN ? n : coerce_unknown(c, n, type, false);
}

static node *check_bool_const(struct where_check *c, const struct where_parsed *p)
{
        node *n = make_const(c, WT_BOOL, p->location);
        n->value.b = p->number != 0;
        return n;
}

static node *check_null(struct where_check *c, const struct where_parsed *p)
{
        node *n = make_text(c, SLICE_EMPTY, p->location);
        n->value.null = true;
        return n;
}

/* ---- operators */

static node *refuse_operator(struct where_check *c, struct slice name, bool prefix,
                             enum where_select_result r, int location)
{
        if (r == SELECT_NO_OVERLOAD)
                return refuse(c, location, "Could not select an operator overload");
        where_why(c->why, location, "unknown %s operator \"%.*s\"", prefix ? "unary" : "binary",
                  SLICE_FMT(name));
        return NULL;
}

/* An enum has no literals (§13.1 item 10): its labels are not known here. */
static bool is_enum_literal(struct where_check *c, const node *l, const node *r)
{
        if (!l || l->kind != ND_COLUMN || l->type != WT_ENUM || r->type != WT_UNKNOWN ||
            r->value.null)
                return false;
        where_why(c->why, r->location, "invalid syntax for type enum %.*s: %.*s",
                  SLICE_FMT(c->table->columns[l->column].type_name), SLICE_FMT(r->value.s));
        return true;
}

/* The operands brought to what the chosen operator takes. */
static const struct where_operator *choose(struct where_check *c, struct slice name, node **l,
                                           node **r, int location)
{
        const struct where_operator *op;
        if ((*l && !(*l = settle(c, *l))) || !(*r = settle(c, *r)))
                return NULL;
        if (is_enum_literal(c, *l, *r) || (*l && is_enum_literal(c, *r, *l)))
                return NULL;
        enum where_select_result result =
                where_select_operator(name, *l ? (*l)->type : WT_COUNT, (*r)->type, &op);
        if (result != SELECT_FOUND) {
                refuse_operator(c, name, !*l, result, location);
                return NULL;
        }
        if (*l && !(*l = coerce(c, *l, op->left)))
                return NULL;
        return (*r = coerce(c, *r, op->right)) ? op : NULL;
}

/* Under the collation C, which a name brings along, case is that of ASCII alone. */
static bool maps_c_collation(const struct where_operator *op, node *const *args, uint32_t n)
{
        for (uint32_t i = 0; op->cases && i < n; i++)
                if (args[i]->c_collation)
                        return true;
        return false;
}

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

/* Both operands are of one type of array: Postgres casts no arrays for these. */
static node *make_array_operator(struct where_check *c, struct slice name, node *l, node *r,
                                 int location)
{
        enum where_type type = where_type_is_array(l->type) ? l->type : r->type;
        size_t i = 0, n_operators = sizeof(array_operators) / sizeof(array_operators[0]);
        if ((l->type != type && l->type != WT_UNKNOWN) ||
            (r->type != type && r->type != WT_UNKNOWN))
                return refuse_operator(c, name, false, SELECT_NO_OVERLOAD, location);
        while (i < n_operators && !slice_eq(slice_cstr(array_operators[i].name), name))
                i++;
        if (i == n_operators)
                return refuse_operator(c, name, false, SELECT_NO_OVERLOAD, location);
        node *args[2];
        if (!(args[0] = coerce(c, l, type)) || !(args[1] = coerce(c, r, type)))
                return NULL;
        bool is_compare = array_operators[i].is_compare;
        node *n = make(c, is_compare ? ND_COMPARE : ND_CALL, WT_BOOL, location, 2, args);
        if (!n)
                return NULL;
        n->compare = array_operators[i].compare;
        n->cmp = is_compare ? where_type_cmp(type) : NULL;
        n->fn = array_operators[i].fn;
        n->name = array_operators[i].name;
        return fold(c, n);
}

static node *make_operator(struct where_check *c, struct slice name, node *l, node *r, int location)
{
        if (l && (where_type_is_array(l->type) || where_type_is_array(r->type)))
                return make_array_operator(c, name, l, r, location);
        const struct where_operator *op = choose(c, name, &l, &r, location);
        if (!op)
                return NULL;
        node *args[] = {l, r};
        if (maps_c_collation(op, l ? args : args + 1, l ? 2 : 1))
                return refuse_operator(c, name, !l, SELECT_NO_OVERLOAD, location);
        node *n = make(c, op->is_compare ? ND_COMPARE : ND_CALL, op->result, location, l ? 2 : 1,
                       l ? args : args + 1);
        if (!n)
                return NULL;
        n->compare = op->compare;
        n->cmp = op->is_compare ? where_cmp_of(op->left, op->right) : NULL;
        n->fn = op->fn;
        n->name = op->name;
        n->cases = op->cases;
        return fold(c, n);
}

static node *check_operator(struct where_check *c, const struct where_parsed *p)
{
        node *l = NULL;
        if (p->n == 2 && !(l = check(c, p->args[0])))
                return NULL;
        node *r = check(c, p->args[p->n - 1]);
        return r ? make_operator(c, p->text, l, r, p->location) : NULL;
}

static node *make_null_test(struct where_check *c, node *arg, bool negated, int location)
{
        node *n = make(c, ND_NULLTEST, WT_BOOL, location, 1, &arg);
        if (n)
                n->negated = negated;
        return fold(c, n);
}

static bool is_null_const(const node *n)
{
        return n->kind == ND_CONST && n->type == WT_UNKNOWN && n->value.null;
}

static node *check_distinct(struct where_check *c, const struct where_parsed *p)
{
        node *l = check(c, p->args[0]);
        node *r = l ? check(c, p->args[1]) : NULL;
        if (!r)
                return NULL;
        if (is_null_const(r))
                return make_null_test(c, l, !p->negated, p->location);
        if (is_null_const(l))
                return make_null_test(c, r, !p->negated, p->location);
        const struct where_operator *op = choose(c, SLICE_LIT("="), &l, &r, p->location);
        if (!op)
                return NULL;
        node *args[] = {l, r};
        node *n = make(c, ND_DISTINCT, WT_BOOL, p->location, 2, args);
        if (!n)
                return NULL;
        n->cmp = where_cmp_of(op->left, op->right);
        n->negated = p->negated;
        return fold(c, n);
}

/* ---- logic */

/* AND of ANDs is one AND, whatever parentheses the clause has. */
static node *make_junction(struct where_check *c, enum where_kind kind, node *const *args,
                           uint32_t n, int location)
{
        uint32_t total = 0;
        for (uint32_t i = 0; i < n; i++)
                total += args[i]->kind == kind ? args[i]->n : 1;
        if (total == 1)
                return args[0];
        node **flat = where_alloc(c->arena, (total + 1) * sizeof(node *));
        uint32_t k = 0;
        for (uint32_t i = 0; i < n; i++) {
                if (args[i]->kind != kind) {
                        flat[k++] = args[i];
                        continue;
                }
                memcpy(flat + k, args[i]->args, args[i]->n * sizeof(node *));
                k += args[i]->n;
        }
        return fold(c, make(c, kind, WT_BOOL, location, total, flat));
}

static node *check_logic(struct where_check *c, const struct where_parsed *p)
{
        node **args = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        if (!check_bools(c, p, args))
                return NULL;
        if (p->kind == PN_NOT)
                return fold(c, make(c, ND_NOT, WT_BOOL, p->location, 1, args));
        return make_junction(c, p->kind == PN_AND ? ND_AND : ND_OR, args, p->n, p->location);
}

static node *make_logic(struct where_check *c, enum where_kind kind, node *l, node *r, int location)
{
        node *args[] = {l, r};
        return l && r ? make_junction(c, kind, args, 2, location) : NULL;
}

/* A row is NULL when all its fields are, and not NULL when none is. */
static node *check_row_null_test(struct where_check *c, const struct where_parsed *p)
{
        const struct where_parsed *row = p->args[0];
        node **args = where_alloc(c->arena, (row->n + 1) * sizeof(node *));
        for (uint32_t i = 0; i < row->n; i++) {
                node *field = check(c, row->args[i]);
                args[i] = field ? make_null_test(c, field, p->negated, p->location) : NULL;
                if (!args[i])
                        return NULL;
        }
        return make_junction(c, ND_AND, args, row->n, p->location);
}

static node *check_null_test(struct where_check *c, const struct where_parsed *p)
{
        if (p->args[0]->kind == PN_ROW)
                return check_row_null_test(c, p);
        node *n = check(c, p->args[0]);
        return n ? make_null_test(c, n, p->negated, p->location) : NULL;
}

static node *check_bool_test(struct where_check *c, const struct where_parsed *p)
{
        node *arg;
        if (!check_bools(c, p, &arg))
                return NULL;
        node *n = make(c, ND_BOOLTEST, WT_BOOL, p->location, 1, &arg);
        if (!n)
                return NULL;
        n->test = p->test;
        n->negated = p->negated;
        return fold(c, n);
}

/* ---- BETWEEN, as Postgres rewrites it */

static node *make_range(struct where_check *c, const struct where_parsed *p, node *x, node *low,
                        node *high)
{
        struct slice first = p->negated ? SLICE_LIT("<") : SLICE_LIT(">=");
        struct slice second = p->negated ? SLICE_LIT(">") : SLICE_LIT("<=");
        node *l = make_operator(c, first, x, low, p->location);
        node *r = l ? make_operator(c, second, x, high, p->location) : NULL;
        return make_logic(c, p->negated ? ND_OR : ND_AND, l, r, p->location);
}

static node *check_between(struct where_check *c, const struct where_parsed *p)
{
        node *x[3];
        for (int i = 0; i < 3; i++)
                if (!(x[i] = check(c, p->args[i])))
                        return NULL;
        node *n = make_range(c, p, x[0], x[1], x[2]);
        if (!n || !p->symmetric)
                return n;
        node *other = make_range(c, p, x[0], x[2], x[1]);
        return make_logic(c, p->negated ? ND_AND : ND_OR, n, other, p->location);
}

/* ---- IN */

/* The constants, all of one type, against the left side. */
static node *make_in(struct where_check *c, const struct where_parsed *p, node *l, node **consts,
                     uint32_t n)
{
        enum where_type *types = where_alloc(c->arena, (n + 1) * sizeof(*types));
        types[0] = l->type;
        for (uint32_t i = 0; i < n; i++)
                types[i + 1] = consts[i]->type;
        enum where_type common = where_select_common(types, n + 1);
        if (common == WT_COUNT || common == WT_OTHER || common == WT_ENUM)
                return refuse(c, p->location, "Could not select an operator overload");
        node model = {.kind = ND_COLUMN, .type = common}; /* for the choice */
        node *m = &model;
        struct slice name = p->negated ? SLICE_LIT("<>") : SLICE_LIT("=");
        const struct where_operator *op;
        enum where_select_result result = where_select_operator(name, l->type, m->type, &op);
        if (result != SELECT_FOUND)
                return refuse_operator(c, name, false, result, p->location);
        if (!(l = coerce(c, l, op->left)))
                return NULL;
        for (uint32_t i = 0; i < n; i++) {
                if (!(consts[i] = coerce(c, consts[i], common)) ||
                    !(consts[i] = coerce(c, consts[i], op->right)))
                        return NULL;
        }
        node *in = make(c, ND_IN, WT_BOOL, p->location, 1, &l);
        if (!in)
                return NULL;
        in->negated = p->negated;
        in->cmp = where_cmp_of(op->right, op->left);
        in->list = where_list_new(op->right, consts, n, c->arena);
        if (in->list->n == 1 && !in->list->has_null)
                return make_operator(c, name, l, consts[0], p->location);
        return fold(c, in);
}

static bool is_list_item(const node *n)
{
        return n->kind == ND_CONST && !n->has_columns;
}

/* The constants together, then what has columns one by one, in Postgres' order. */
static node *check_in(struct where_check *c, const struct where_parsed *p)
{
        struct slice name = p->negated ? SLICE_LIT("<>") : SLICE_LIT("=");
        node *l = check(c, p->args[0]);
        node **items = where_alloc(c->arena, p->n * sizeof(node *));
        node **consts = where_alloc(c->arena, p->n * sizeof(node *));
        node **tests = where_alloc(c->arena, p->n * sizeof(node *));
        uint32_t n_consts = 0, n_tests = 0;
        if (!l)
                return NULL;
        for (uint32_t i = 1; i < p->n; i++) {
                if (!(items[i] = check(c, p->args[i])))
                        return NULL;
                if (is_list_item(items[i]))
                        consts[n_consts++] = items[i];
        }
        if (n_consts > 1 && !(tests[n_tests++] = make_in(c, p, l, consts, n_consts)))
                return NULL;
        for (uint32_t i = 1; i < p->n; i++) {
                if (n_consts > 1 && is_list_item(items[i]))
                        continue;
                if (!(tests[n_tests++] = make_operator(c, name, l, items[i], p->location)))
                        return NULL;
        }
        return make_junction(c, p->negated ? ND_AND : ND_OR, tests, n_tests, p->location);
}

/* ---- arrays */

/* `x = ANY ('{1,2}')` is `x IN (1, 2)`: that is faster, and an index may use it. */
static node *any_as_list(struct where_check *c, node *n)
{
        const node *array = n->args[1];
        bool is_in = n->cmp && n->compare == (n->negated ? CMP_NE : CMP_EQ);
        if (!is_in || array->kind != ND_CONST || array->value.null || array->value.array->n == 0)
                return n;
        const struct where_array *a = array->value.array;
        node **consts = where_alloc(c->arena, (a->n + 1) * sizeof(node *));
        for (uint32_t i = 0; i < a->n; i++) {
                consts[i] = make_const(c, a->element, n->location);
                consts[i]->value = a->values[i];
        }
        node *in = make(c, ND_IN, WT_BOOL, n->location, 1, n->args);
        if (!in)
                return NULL;
        in->negated = n->negated;
        in->cmp = where_cmp_of(a->element, n->args[0]->type);
        in->list = where_list_new(a->element, consts, a->n, c->arena);
        if (in->list->n == 1 && !in->list->has_null)
                return make_operator(c, n->negated ? SLICE_LIT("<>") : SLICE_LIT("="), n->args[0],
                                     consts[0], n->location);
        return in;
}

static node *check_any(struct where_check *c, const struct where_parsed *p)
{
        node *l = check(c, p->args[0]);
        node *array = l ? check(c, p->args[1]) : NULL;
        if (!array || !(l = settle(c, l)) || !(array = settle(c, array)))
                return NULL;
        if ((array->type != WT_UNKNOWN && !where_type_is_array(array->type)) ||
            where_type_is_array(l->type))
                return refuse(c, p->location, "op ANY/ALL (array) requires array on right side");
        const struct where_operator *op;
        enum where_type element =
                array->type == WT_UNKNOWN ? WT_UNKNOWN : where_type_element(array->type);
        enum where_select_result result = where_select_operator(p->text, l->type, element, &op);
        if (result != SELECT_FOUND || op->result != WT_BOOL)
                return refuse_operator(c, p->text, false, result, p->location);
        node *args[2];
        if (!(args[0] = coerce(c, l, op->left)) ||
            !(args[1] = coerce(c, array, where_type_array_of(op->right))))
                return NULL;
        if (maps_c_collation(op, args, 2))
                return refuse_operator(c, p->text, false, SELECT_NO_OVERLOAD, p->location);
        node *n = make(c, ND_ANY, WT_BOOL, p->location, 2, args);
        if (!n)
                return NULL;
        n->negated = p->negated;
        n->compare = op->compare;
        n->cmp = op->is_compare ? where_cmp_of(op->left, op->right) : NULL;
        n->fn = op->fn;
        n->name = op->name;
        n->cases = op->cases;
        return fold(c, any_as_list(c, n));
}

/* ARRAY[…]::type[] casts the elements; WT_COUNT: no cast says what they are. */
static node *check_array(struct where_check *c, const struct where_parsed *p, enum where_type to)
{
        node **args = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        enum where_type *types = where_alloc(c->arena, (p->n + 1) * sizeof(*types));
        for (uint32_t i = 0; i < p->n; i++) {
                if (!(args[i] = check(c, p->args[i])))
                        return NULL;
                types[i] = args[i]->type;
        }
        if (to == WT_COUNT && p->n)
                to = where_select_common(types, p->n);
        if (to == WT_COUNT || to == WT_OTHER || to == WT_ENUM || where_type_is_array(to))
                return refuse(c, p->location, "ARRAY of these elements is not supported");
        for (uint32_t i = 0; i < p->n; i++)
                if (where_type_is_array(types[i]) ||
                    !(args[i] = cast_to(c, args[i], to, p->location)))
                        return args[i] ? refuse(c, p->location, "ARRAY of arrays is not supported")
                                       : NULL;
        return fold(c, make(c, ND_ARRAY, where_type_array_of(to), p->location, p->n, args));
}

static node *check_subscript(struct where_check *c, const struct where_parsed *p)
{
        node **args = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        if (p->n - 1 > ARRAY_MAX_DIMS)
                return refuse(c, p->location, "too many subscripts");
        for (uint32_t i = 0; i < p->n; i++)
                if (!(args[i] = check(c, p->args[i])) ||
                    (i > 0 && !(args[i] = coerce(c, args[i], WT_INT4))))
                        return NULL;
        if (!where_type_is_array(args[0]->type))
                return refuse(c, p->location, "what is subscripted is no array");
        return fold(c, make(c, ND_SUBSCRIPT, where_type_element(args[0]->type), p->location, p->n,
                            args));
}

/* ---- functions */

static node **check_args(struct where_check *c, const struct where_parsed *p)
{
        node **args = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        for (uint32_t i = 0; i < p->n; i++)
                if (!(args[i] = check(c, p->args[i])))
                        return NULL;
        return args;
}

static node *refuse_overload(struct where_check *c, const struct where_parsed *p, const char *name,
                             node *const *args)
{
        where_why(c->why, p->location, "Could not select a function overload for %s(", name);
        for (uint32_t i = 0; i < p->n; i++)
                buf_printf(c->why, "%s%.*s", i ? ", " : "",
                           SLICE_FMT(where_type_name(args[i]->type)));
        buf_putc(c->why, ')');
        return NULL;
}

/* Every argument as its output function prints it, NULL apart. */
static node *check_concat(struct where_check *c, const struct where_parsed *p, node **args)
{
        for (uint32_t i = 0; i < p->n; i++) {
                if (args[i]->type == WT_OTHER)
                        return refuse_overload(c, p, "concat", args);
                if (args[i]->type == WT_UNKNOWN && !(args[i] = coerce(c, args[i], WT_TEXT)))
                        return NULL;
        }
        return fold(c, make(c, ND_CONCAT, WT_TEXT, p->location, p->n, args));
}

static node *refuse_function(struct where_check *c, const struct where_parsed *p)
{
        where_why(c->why, p->location, "unknown or unsupported function %.*s/%u",
                  SLICE_FMT(p->text), p->n);
        return NULL;
}

/* Zones are tables that the database has and we have not: but for UTC. */
static bool is_utc(const node *zone)
{
        static const char *const names[] = {"UTC", "GMT", "Etc/UTC", "Z", "Zulu"};
        if (zone->kind != ND_CONST || zone->value.null)
                return false;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (zone->value.s.len == strlen(names[i]) &&
                    strncasecmp(zone->value.s.p, names[i], zone->value.s.len) == 0)
                        return true;
        return false;
}

static node *check_function(struct where_check *c, const struct where_parsed *p)
{
        const struct where_operator *f = NULL;
        bool is_concat = slice_eq(p->text, SLICE_LIT("concat")) && p->n > 0;
        if (!is_concat && !where_function_exists(p->text, p->n))
                return refuse_function(c, p);
        node **args = check_args(c, p);
        if (!args)
                return NULL;
        if (is_concat)
                return check_concat(c, p, args);
        node *last = args[p->n - 1];
        if (where_select_function(p->text, p->n == 2 ? args[0]->type : WT_COUNT, last->type, &f) !=
            SELECT_FOUND) {
                char name[64];
                snprintf(name, sizeof(name), "%.*s", SLICE_FMT(p->text));
                return refuse_overload(c, p, name, args);
        }
        for (uint32_t i = 0; i < p->n; i++)
                if (!(args[i] = coerce(c, args[i], i + 1 == p->n ? f->right : f->left)))
                        return NULL;
        if (f->fn == where_zone_utc && !is_utc(args[0]))
                return refuse(c, args[0]->location, "time zones other than UTC are not supported");
        if (maps_c_collation(f, args, p->n))
                return refuse_overload(c, p, f->name, args);
        node *n = make(c, ND_CALL, f->result, p->location, p->n, args);
        if (!n)
                return NULL;
        n->fn = f->fn;
        n->name = f->name;
        n->is_function = true;
        n->cases = f->cases;
        return fold(c, n);
}

/* COALESCE, GREATEST, LEAST: the arguments are brought to one type. */
static node *check_common(struct where_check *c, const struct where_parsed *p, enum where_kind kind,
                          const char *name)
{
        node **args = check_args(c, p);
        enum where_type *types = where_alloc(c->arena, (p->n + 1) * sizeof(*types));
        if (!args)
                return NULL;
        for (uint32_t i = 0; i < p->n; i++)
                types[i] = args[i]->type;
        enum where_type common = where_select_common(types, p->n);
        if (common == WT_COUNT || common == WT_OTHER || common == WT_ENUM)
                return refuse_overload(c, p, name, args);
        for (uint32_t i = 0; i < p->n; i++) {
                if (where_cast_kind(args[i]->type, common) != CAST_IMPLICIT)
                        return refuse_overload(c, p, name, args);
                if (!(args[i] = coerce(c, args[i], common)))
                        return NULL;
        }
        node *n = make(c, kind, common, p->location, p->n, args);
        if (!n)
                return NULL;
        n->cmp = where_type_cmp(common);
        n->name = name;
        return fold(c, n);
}

/* ---- casts */

static node *check_cast(struct where_check *c, const struct where_parsed *p)
{
        enum where_type to = where_type_of_name(p->text);
        if (to == WT_COUNT) {
                where_why(c->why, p->number, "unsupported type %.*s%s", SLICE_FMT(p->text),
                          p->is_array ? "[]" : "");
                return NULL;
        }
        if (p->is_array && p->args[0]->kind == PN_ARRAY)
                return check_array(c, p->args[0], to);
        node *n = check(c, p->args[0]);
        return n ? cast_to(c, n, p->is_array ? where_type_array_of(to) : to, p->location) : NULL;
}

static node *check(struct where_check *c, const struct where_parsed *p)
{
        switch (p->kind) {
        case PN_COLUMN:
                return check_column(c, p);
        case PN_INT:
        case PN_DECIMAL:
                return check_number(c, p);
        case PN_STRING:
                return make_text(c, p->text, p->location);
        case PN_BOOL:
                return check_bool_const(c, p);
        case PN_NULL:
                return check_null(c, p);
        case PN_PARAM:
                return check_param(c, p);
        case PN_CAST:
                return check_cast(c, p);
        case PN_AND:
        case PN_OR:
        case PN_NOT:
                return check_logic(c, p);
        case PN_NULLTEST:
                return check_null_test(c, p);
        case PN_BOOLTEST:
                return check_bool_test(c, p);
        case PN_OP:
                return check_operator(c, p);
        case PN_DISTINCT:
                return check_distinct(c, p);
        case PN_IN:
                return check_in(c, p);
        case PN_BETWEEN:
                return check_between(c, p);
        case PN_ANY:
                return check_any(c, p);
        case PN_ARRAY:
                return check_array(c, p, WT_COUNT);
        case PN_SUBSCRIPT:
                return check_subscript(c, p);
        case PN_FUNCTION:
                return check_function(c, p);
        case PN_COALESCE:
                return check_common(c, p, ND_COALESCE, "coalesce");
        case PN_GREATEST:
                return check_common(c, p, ND_GREATEST, "greatest");
        case PN_LEAST:
                return check_common(c, p, ND_LEAST, "least");
        case PN_ROW:
        default:
                return refuse(c, p->location, "RowExpr is not supported in this context");
        }
}

struct where_node *where_check_clause(struct where_check *c, const struct where_parsed *p)
{
        node *n = check(c, p);
        if (!n)
                return NULL;
        if (n->type != WT_BOOL && n->type != WT_UNKNOWN) {
                buf_puts(c->why, "WHERE clause must return a boolean");
                return NULL;
        }
        return coerce(c, n, WT_BOOL);
}
