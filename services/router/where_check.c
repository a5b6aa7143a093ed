/* Types, as Postgres' parse_expr.c gives them: operators are chosen by their operands, parameters
 * take the type of their first use. */
#include "services/router/where_check.h"

static bool check_bools(struct where_check *c, const struct where_parsed *p, node **args)
{
        for (uint32_t i = 0; i < p->n; i++) {
                node *n = ck_check(c, p->args[i]);
                args[i] = n ? ck_coerce_bool(c, n) : NULL;
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
        if (type == WT_OTHER && column->enum_oid)
                type = column->dims ? where_type_array_of(WT_ENUM) : WT_ENUM;
        node *n = ck_make(c, ND_COLUMN, type, p->location, 0, NULL);
        n->column = (uint32_t)i;
        return n;
}

/* Integers take the smallest of int4, int8 and numeric that holds them. */
static node *check_number(struct where_check *c, const struct where_parsed *p)
{
        static const enum where_type types[] = {WT_INT4, WT_INT8, WT_NUMERIC};
        node *n = ck_make_const(c, WT_NUMERIC, p->location);
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
        node *n = ck_make_text(c, c->params[p->number - 1], p->location);
        n->param = p->number;
        return ck_settle(c, n);
}

static node *check_bool_const(struct where_check *c, const struct where_parsed *p)
{
        node *n = ck_make_const(c, WT_BOOL, p->location);
        n->value.b = p->number != 0;
        return n;
}

static node *check_null(struct where_check *c, const struct where_parsed *p)
{
        node *n = ck_make_text(c, SLICE_EMPTY, p->location);
        n->value.null = true;
        return n;
}

static node *check_operator(struct where_check *c, const struct where_parsed *p)
{
        node *l = NULL;
        if (p->n == 2 && !(l = ck_check(c, p->args[0])))
                return NULL;
        node *r = ck_check(c, p->args[p->n - 1]);
        return r ? ck_make_operator(c, p->text, l, r, p->location) : NULL;
}

static node *make_null_test(struct where_check *c, node *arg, bool negated, int location)
{
        node *n = ck_make(c, ND_NULLTEST, WT_BOOL, location, 1, &arg);
        if (n)
                n->negated = negated;
        return ck_fold(c, n);
}

static bool is_null_const(const node *n)
{
        return n->kind == ND_CONST && n->type == WT_UNKNOWN && n->value.null;
}

static bool choose_equality(struct where_check *c, node **l, node **r, int location)
{
        size_t before = c->why->len;
        if (!where_type_is_array((*l)->type) && !where_type_is_array((*r)->type))
                return ck_choose(c, SLICE_LIT("="), l, r, location) != NULL;
        if (ck_match_arrays(c, l, r))
                return true;
        if (c->why->len == before)
                ck_refuse_operator(c, SLICE_LIT("="), false, SELECT_NO_OVERLOAD, location);
        return false;
}

static node *check_distinct(struct where_check *c, const struct where_parsed *p)
{
        node *l = ck_check(c, p->args[0]);
        node *r = l ? ck_check(c, p->args[1]) : NULL;
        if (!r)
                return NULL;
        if (is_null_const(r))
                return make_null_test(c, l, !p->negated, p->location);
        if (is_null_const(l))
                return make_null_test(c, r, !p->negated, p->location);
        if (!choose_equality(c, &l, &r, p->location))
                return NULL;
        node *args[] = {l, r};
        node *n = ck_make(c, ND_DISTINCT, WT_BOOL, p->location, 2, args);
        if (!n)
                return NULL;
        n->cmp = where_cmp_of(l->type, r->type);
        n->negated = p->negated;
        return ck_fold(c, n);
}

/* ---- logic */

static node *check_logic(struct where_check *c, const struct where_parsed *p)
{
        node **args = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        if (!check_bools(c, p, args))
                return NULL;
        if (p->kind == PN_NOT)
                return ck_fold(c, ck_make(c, ND_NOT, WT_BOOL, p->location, 1, args));
        return ck_make_junction(c, p->kind == PN_AND ? ND_AND : ND_OR, args, p->n, p->location);
}

static node *make_logic(struct where_check *c, enum where_kind kind, node *l, node *r, int location)
{
        node *args[] = {l, r};
        return l && r ? ck_make_junction(c, kind, args, 2, location) : NULL;
}

/* A row is NULL when all its fields are, and not NULL when none is. */
static node *check_row_null_test(struct where_check *c, const struct where_parsed *p)
{
        const struct where_parsed *row = p->args[0];
        node **args = where_alloc(c->arena, (row->n + 1) * sizeof(node *));
        for (uint32_t i = 0; i < row->n; i++) {
                node *field = ck_check(c, row->args[i]);
                args[i] = field ? make_null_test(c, field, p->negated, p->location) : NULL;
                if (!args[i])
                        return NULL;
        }
        return ck_make_junction(c, ND_AND, args, row->n, p->location);
}

static node *check_null_test(struct where_check *c, const struct where_parsed *p)
{
        if (p->args[0]->kind == PN_ROW)
                return check_row_null_test(c, p);
        node *n = ck_check(c, p->args[0]);
        return n ? make_null_test(c, n, p->negated, p->location) : NULL;
}

static node *check_bool_test(struct where_check *c, const struct where_parsed *p)
{
        node *arg;
        if (!check_bools(c, p, &arg))
                return NULL;
        node *n = ck_make(c, ND_BOOLTEST, WT_BOOL, p->location, 1, &arg);
        if (!n)
                return NULL;
        n->test = p->test;
        n->negated = p->negated;
        return ck_fold(c, n);
}

/* ---- BETWEEN, as Postgres rewrites it */

static node *make_range(struct where_check *c, const struct where_parsed *p, node *x, node *low,
                        node *high)
{
        struct slice first = p->negated ? SLICE_LIT("<") : SLICE_LIT(">=");
        struct slice second = p->negated ? SLICE_LIT(">") : SLICE_LIT("<=");
        node *l = ck_make_operator(c, first, x, low, p->location);
        node *r = l ? ck_make_operator(c, second, x, high, p->location) : NULL;
        return make_logic(c, p->negated ? ND_OR : ND_AND, l, r, p->location);
}

static node *check_between(struct where_check *c, const struct where_parsed *p)
{
        node *x[3];
        for (int i = 0; i < 3; i++)
                if (!(x[i] = ck_check(c, p->args[i])))
                        return NULL;
        node *n = make_range(c, p, x[0], x[1], x[2]);
        if (!n || !p->symmetric)
                return n;
        node *other = make_range(c, p, x[0], x[2], x[1]);
        return make_logic(c, p->negated ? ND_AND : ND_OR, n, other, p->location);
}

/* ---- casts */

static bool find_type(struct where_check *c, const struct where_parsed *p, struct ck_cast *to)
{
        bool may_be_ours = p->schema.len == 0 || slice_eq(p->schema, SLICE_LIT("pg_catalog"));
        to->type = may_be_ours ? where_type_of_name(p->text) : WT_COUNT;
        if (to->type == WT_COUNT && ck_find_enum(c, p->schema, p->text, &to->enum_column))
                to->type = WT_ENUM;
        return to->type != WT_COUNT;
}

static node *check_cast(struct where_check *c, const struct where_parsed *p)
{
        struct ck_cast to = {.is_modified = p->n_modifiers > 0};
        if (!find_type(c, p, &to)) {
                where_why(c->why, p->number, "unsupported type %.*s%s", SLICE_FMT(p->text),
                          p->is_array ? "[]" : "");
                return NULL;
        }
        if (to.is_modified &&
            !where_modifier_read(to.type, p->modifiers, p->n_modifiers, &to.modifier)) {
                where_why(c->why, p->number, "unsupported modifier of type %.*s",
                          SLICE_FMT(p->text));
                return NULL;
        }
        if (p->is_array && p->args[0]->kind == PN_ARRAY)
                return ck_check_array(c, p->args[0], &to);
        node *n = ck_check(c, p->args[0]);
        c->enum_column = to.enum_column;
        if (n)
                n = ck_cast_to(c, n, p->is_array ? where_type_array_of(to.type) : to.type,
                               p->location);
        return n ? ck_modify(c, n, &to) : NULL;
}

node *ck_check(struct where_check *c, const struct where_parsed *p)
{
        switch (p->kind) {
        case PN_COLUMN:
                return check_column(c, p);
        case PN_INT:
        case PN_DECIMAL:
                return check_number(c, p);
        case PN_STRING:
                return ck_make_text(c, p->text, p->location);
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
                return ck_check_in(c, p);
        case PN_BETWEEN:
                return check_between(c, p);
        case PN_ANY:
                return ck_check_any(c, p);
        case PN_ARRAY:
                return ck_check_array(c, p, NULL);
        case PN_SUBSCRIPT:
                return ck_check_subscript(c, p);
        case PN_SLICE:
                return ck_check_slice(c, p);
        case PN_FUNCTION:
                return ck_check_function(c, p);
        case PN_COALESCE:
                return ck_check_common(c, p, ND_COALESCE, "coalesce");
        case PN_GREATEST:
                return ck_check_common(c, p, ND_GREATEST, "greatest");
        case PN_LEAST:
                return ck_check_common(c, p, ND_LEAST, "least");
        case PN_ROW:
        default:
                return ck_refuse(c, p->location, "RowExpr is not supported in this context");
        }
}

struct where_node *where_check_clause(struct where_check *c, const struct where_parsed *p)
{
        node *n = ck_check(c, p);
        if (!n)
                return NULL;
        if (n->type != WT_BOOL && n->type != WT_UNKNOWN) {
                buf_puts(c->why, "WHERE clause must return a boolean");
                return NULL;
        }
        return ck_coerce(c, n, WT_BOOL);
}
