#include "services/router/where_parse_tree.h"

#include <stdio.h>

/* Every reader: one node of libpg_query to one of ours, NULL when it is refused. */

static int at(const struct where_reader *r, int location)
{
        return location > r->before ? location - r->before : 0;
}

static struct slice keep(struct where_reader *r, const char *text)
{
        size_t len = strlen(text);
        char *copy = where_alloc(r->arena, len + 1);
        memcpy(copy, text, len + 1);
        return slice_of(copy, len);
}

static struct where_parsed *make(struct where_reader *r, enum where_parse_kind kind, int location,
                                 size_t n)
{
        struct where_parsed *p = where_alloc(r->arena, sizeof(*p));
        *p = (struct where_parsed){.kind = kind, .location = at(r, location), .n = (uint32_t)n};
        p->args = where_alloc(r->arena, (n + 1) * sizeof(*p->args));
        return p;
}

static struct where_parsed *refuse(struct where_reader *r, int location, const char *what)
{
        where_why(r->why, at(r, location), "%s", what);
        return NULL;
}

/* For nodes without a rule: "CaseExpr is not supported in this context". */
static struct where_parsed *refuse_node(struct where_reader *r, const PgQuery__Node *node,
                                        int location)
{
        const ProtobufCMessageDescriptor *d = node->base.descriptor;
        const ProtobufCFieldDescriptor *f =
                protobuf_c_message_descriptor_get_field(d, (unsigned)node->node_case);
        const ProtobufCMessageDescriptor *m = f ? f->descriptor : NULL;
        where_why(r->why, at(r, location), "%s is not supported in this context",
                  m ? m->short_name : "this");
        return NULL;
}

/* One list of nodes into p->args from `from`. */
static bool read_args(struct where_reader *r, struct where_parsed *p, uint32_t from,
                      PgQuery__Node **nodes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                p->args[from + i] = where_read_node(r, nodes[i]);
                if (!p->args[from + i])
                        return false;
        }
        return true;
}

/* The text of a String node, NULL for any other. */
static const char *string_of(const PgQuery__Node *node)
{
        return node->node_case == PG_QUERY__NODE__NODE_STRING ? node->string->sval : NULL;
}

static struct where_parsed *read_column(struct where_reader *r, const PgQuery__ColumnRef *c)
{
        struct buf name;
        buf_init(&name, 4096);
        for (size_t i = 0; i < c->n_fields; i++) {
                const char *part = string_of(c->fields[i]);
                buf_printf(&name, "%s%s", i ? "." : "", part ? part : "*");
        }
        const char *first = string_of(c->fields[0]);
        struct where_parsed *p = NULL;
        if (c->n_fields == 1 && first) {
                p = make(r, PN_COLUMN, c->location, 0);
                p->text = keep(r, first);
        } else {
                where_why(r->why, at(r, c->location), "unknown reference %s", buf_cstr(&name));
        }
        buf_fini(&name);
        return p;
}

static struct where_parsed *read_const(struct where_reader *r, const PgQuery__AConst *c)
{
        char number[16];
        struct where_parsed *p = make(r, PN_NULL, c->location, 0);
        if (c->isnull)
                return p;
        switch (c->val_case) {
        case PG_QUERY__A__CONST__VAL_IVAL:
                p->kind = PN_INT;
                snprintf(number, sizeof(number), "%d", c->ival->ival);
                p->text = keep(r, number);
                return p;
        case PG_QUERY__A__CONST__VAL_FVAL:
                p->kind = PN_DECIMAL;
                p->text = keep(r, c->fval->fval);
                return p;
        case PG_QUERY__A__CONST__VAL_BOOLVAL:
                p->kind = PN_BOOL;
                p->number = c->boolval->boolval;
                return p;
        case PG_QUERY__A__CONST__VAL_SVAL:
                p->kind = PN_STRING;
                p->text = keep(r, c->sval->sval);
                return p;
        case PG_QUERY__A__CONST__VAL_BSVAL:
                return refuse(r, c->location, "BitString values are not supported");
        case PG_QUERY__A__CONST__VAL__NOT_SET:
        case _PG_QUERY__A__CONST__VAL__CASE_IS_INT_SIZE:
        default:
                return refuse(r, c->location, "malformed constant");
        }
}

static bool read_modifiers(const PgQuery__TypeName *t, struct where_parsed *p)
{
        if (t->n_typmods > WHERE_MAX_MODIFIERS)
                return false;
        for (size_t i = 0; i < t->n_typmods; i++) {
                const PgQuery__Node *n = t->typmods[i];
                if (n->node_case != PG_QUERY__NODE__NODE_A_CONST || n->a_const->isnull ||
                    n->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
                        return false;
                p->modifiers[i] = n->a_const->ival->ival;
        }
        p->n_modifiers = (int)t->n_typmods;
        return true;
}

/* `int`, `pg_catalog.int4`, `int4[]`, `numeric(10, 2)`. */
static struct where_parsed *read_cast(struct where_reader *r, const PgQuery__TypeCast *c)
{
        const PgQuery__TypeName *t = c->type_name;
        struct where_parsed *p = make(r, PN_CAST, c->location, 1);
        const char *schema = t->n_names == 2 ? string_of(t->names[0]) : "";
        const char *name = t->n_names ? string_of(t->names[t->n_names - 1]) : NULL;
        if (!name || !schema || t->n_names > 2 || t->setof || t->pct_type ||
            !read_modifiers(t, p)) {
                where_why(r->why, at(r, t->location), "unsupported type %s%s", name ? name : "?",
                          t->n_typmods ? " with a modifier" : "");
                return NULL;
        }
        if (c->location < 0) /* type 'literal' */
                p->location = at(r, t->location);
        p->schema = keep(r, schema);
        p->text = keep(r, name);
        p->number = at(r, t->location);
        p->is_array = t->n_array_bounds > 0;
        return read_args(r, p, 0, (PgQuery__Node **)&c->arg, 1) ? p : NULL;
}

static struct where_parsed *read_bool_expr(struct where_reader *r, const PgQuery__BoolExpr *b)
{
        enum where_parse_kind kind = b->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR  ? PN_AND
                                     : b->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR ? PN_OR
                                                                                      : PN_NOT;
        struct where_parsed *p = make(r, kind, b->location, b->n_args);
        return read_args(r, p, 0, b->args, b->n_args) ? p : NULL;
}

static struct where_parsed *read_row(struct where_reader *r, const PgQuery__RowExpr *row)
{
        struct where_parsed *p = make(r, PN_ROW, row->location, row->n_args);
        return read_args(r, p, 0, row->args, row->n_args) ? p : NULL;
}

static struct where_parsed *read_null_test(struct where_reader *r, const PgQuery__NullTest *t)
{
        struct where_parsed *p = make(r, PN_NULLTEST, t->location, 1);
        p->negated = t->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NOT_NULL;
        if (t->arg->node_case == PG_QUERY__NODE__NODE_ROW_EXPR)
                p->args[0] = read_row(r, t->arg->row_expr);
        else
                p->args[0] = where_read_node(r, t->arg);
        return p->args[0] ? p : NULL;
}

static struct where_parsed *read_bool_test(struct where_reader *r, const PgQuery__BooleanTest *t)
{
        struct where_parsed *p = make(r, PN_BOOLTEST, t->location, 1);
        PgQuery__BoolTestType type = t->booltesttype;
        p->negated = type == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE ||
                     type == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE ||
                     type == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_UNKNOWN;
        if (type == PG_QUERY__BOOL_TEST_TYPE__IS_TRUE ||
            type == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE)
                p->test = TRUTH_TRUE;
        else if (type == PG_QUERY__BOOL_TEST_TYPE__IS_FALSE ||
                 type == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE)
                p->test = TRUTH_FALSE;
        else
                p->test = TRUTH_UNKNOWN;
        p->args[0] = where_read_node(r, t->arg);
        return p->args[0] ? p : NULL;
}

/* ---- operators */

static const char *operator_name(const PgQuery__AExpr *e)
{
        const char *schema = e->n_name == 2 ? string_of(e->name[0]) : "pg_catalog";
        if (e->n_name < 1 || e->n_name > 2 || !schema || strcmp(schema, "pg_catalog") != 0)
                return NULL;
        return string_of(e->name[e->n_name - 1]);
}

static struct where_parsed *read_binary(struct where_reader *r, enum where_parse_kind kind,
                                        const PgQuery__AExpr *e)
{
        struct where_parsed *p = make(r, kind, e->location, e->lexpr ? 2 : 1);
        const char *name = operator_name(e);
        if (!name || !e->rexpr)
                return refuse(r, e->location, "unknown operator");
        p->text = keep(r, name);
        if (e->lexpr && !read_args(r, p, 0, (PgQuery__Node **)&e->lexpr, 1))
                return NULL;
        return read_args(r, p, e->lexpr ? 1 : 0, (PgQuery__Node **)&e->rexpr, 1) ? p : NULL;
}

/* The left side, then the list on the right. */
static struct where_parsed *read_listed(struct where_reader *r, enum where_parse_kind kind,
                                        const PgQuery__AExpr *e)
{
        if (!e->lexpr || e->rexpr->node_case != PG_QUERY__NODE__NODE_LIST)
                return refuse(r, e->location, "malformed list");
        const PgQuery__List *list = e->rexpr->list;
        struct where_parsed *p = make(r, kind, e->location, list->n_items + 1);
        const char *name = operator_name(e);
        p->negated = kind == PN_IN && name && strcmp(name, "<>") == 0;
        if (!read_args(r, p, 0, (PgQuery__Node **)&e->lexpr, 1))
                return NULL;
        return read_args(r, p, 1, list->items, list->n_items) ? p : NULL;
}

static struct where_parsed *read_between(struct where_reader *r, const PgQuery__AExpr *e,
                                         bool negated, bool symmetric)
{
        struct where_parsed *p = read_listed(r, PN_BETWEEN, e);
        if (!p)
                return NULL;
        p->negated = negated;
        p->symmetric = symmetric;
        return p->n == 3 ? p : refuse(r, e->location, "malformed list");
}

static struct where_parsed *read_distinct(struct where_reader *r, const PgQuery__AExpr *e,
                                          bool negated)
{
        struct where_parsed *p = read_binary(r, PN_DISTINCT, e);
        if (p)
                p->negated = negated;
        return p;
}

static struct where_parsed *read_any_all(struct where_reader *r, const PgQuery__AExpr *e)
{
        struct where_parsed *p = read_binary(r, PN_ANY, e);
        if (p && p->n != 2)
                return refuse(r, e->location, "malformed list");
        if (p)
                p->negated = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL;
        return p;
}

static struct where_parsed *read_array(struct where_reader *r, const PgQuery__AArrayExpr *e)
{
        struct where_parsed *p = make(r, PN_ARRAY, e->location, e->n_elements);
        return read_args(r, p, 0, e->elements, e->n_elements) ? p : NULL;
}

/* Among slices an index stands for a slice from 1 on. */
static bool read_bounds(struct where_reader *r, const PgQuery__AIndices *index,
                        struct where_parsed **low, struct where_parsed **high)
{
        *low = *high = NULL;
        if (!index->is_slice) {
                *low = make(r, PN_INT, 0, 0);
                (*low)->text = SLICE_LIT("1");
        }
        if (index->lidx && !(*low = where_read_node(r, index->lidx)))
                return false;
        return !index->uidx || (*high = where_read_node(r, index->uidx));
}

/* a[1][2], a[1:2]; no fields. */
static struct where_parsed *read_subscript(struct where_reader *r, const PgQuery__AIndirection *e)
{
        bool slice = false;
        struct where_parsed *array = where_read_node(r, e->arg);
        if (!array)
                return NULL;
        for (size_t i = 0; i < e->n_indirection; i++) {
                const PgQuery__Node *node = e->indirection[i];
                if (node->node_case != PG_QUERY__NODE__NODE_A_INDICES)
                        return refuse_node(r, node, array->location + r->before);
                slice |= node->a_indices->is_slice;
        }
        size_t n = e->n_indirection * (slice ? 2 : 1) + 1;
        struct where_parsed *p = make(r, slice ? PN_SLICE : PN_SUBSCRIPT, 0, n);
        p->location = array->location;
        p->args[0] = array;
        for (size_t i = 0; i < e->n_indirection; i++) {
                const PgQuery__AIndices *index = e->indirection[i]->a_indices;
                bool ok =
                        slice ? read_bounds(r, index, &p->args[2 * i + 1], &p->args[2 * i + 2])
                              : read_args(r, p, (uint32_t)i + 1, (PgQuery__Node **)&index->uidx, 1);
                if (!ok)
                        return NULL;
        }
        return p;
}

static struct where_parsed *read_operator(struct where_reader *r, const PgQuery__Node *node)
{
        const PgQuery__AExpr *e = node->a_expr;
        switch (e->kind) {
        case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
        case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE: /* the name is ~~ and the like */
        case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
                return read_binary(r, PN_OP, e);
        case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
                return read_distinct(r, e, false);
        case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
                return read_distinct(r, e, true);
        case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
                return read_listed(r, PN_IN, e);
        case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
                return read_between(r, e, false, false);
        case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
                return read_between(r, e, true, false);
        case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
                return read_between(r, e, false, true);
        case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
                return read_between(r, e, true, true);
        case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
        case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
                return read_any_all(r, e);
        case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR: /* the checker knows no such function */
                return where_read_node(r, e->rexpr);
        case PG_QUERY__A__EXPR__KIND__A_EXPR_KIND_UNDEFINED:
        case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        case _PG_QUERY__A__EXPR__KIND_IS_INT_SIZE:
        default:
                return refuse_node(r, node, e->location);
        }
}

static struct where_parsed *read_function(struct where_reader *r, const PgQuery__FuncCall *f)
{
        const char *name = f->n_funcname ? string_of(f->funcname[f->n_funcname - 1]) : NULL;
        if (f->agg_star || f->agg_distinct || f->agg_filter || f->n_agg_order ||
            f->agg_within_group)
                return refuse(r, f->location, "aggregation is not supported in this context");
        if (f->over)
                return refuse(r, f->location, "window functions are not supported in this context");
        const char *schema = f->n_funcname == 2 ? string_of(f->funcname[0]) : "pg_catalog";
        if (!name || f->n_funcname > 2 || !schema || strcmp(schema, "pg_catalog") != 0 ||
            f->func_variadic) {
                where_why(r->why, at(r, f->location), "unknown or unsupported function %s/%zu",
                          name ? name : "?", f->n_args);
                return NULL;
        }
        struct where_parsed *p = make(r, PN_FUNCTION, f->location, f->n_args);
        p->text = keep(r, name);
        return read_args(r, p, 0, f->args, f->n_args) ? p : NULL;
}

static struct where_parsed *read_coalesce(struct where_reader *r, const PgQuery__CoalesceExpr *e)
{
        struct where_parsed *p = make(r, PN_COALESCE, e->location, e->n_args);
        return read_args(r, p, 0, e->args, e->n_args) ? p : NULL;
}

static struct where_parsed *read_min_max(struct where_reader *r, const PgQuery__MinMaxExpr *e)
{
        bool greatest = e->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
        struct where_parsed *p = make(r, greatest ? PN_GREATEST : PN_LEAST, e->location, e->n_args);
        return read_args(r, p, 0, e->args, e->n_args) ? p : NULL;
}

static struct where_parsed *read_param(struct where_reader *r, const PgQuery__ParamRef *param)
{
        struct where_parsed *p = make(r, PN_PARAM, param->location, 0);
        p->number = param->number;
        return p;
}

/* The one place that knows which nodes there are: enums of that size are better listed by what is
 * allowed. */
static struct where_parsed *read_any(struct where_reader *r, const PgQuery__Node *node)
{
        switch ((int)node->node_case) {
        case PG_QUERY__NODE__NODE_COLUMN_REF:
                return read_column(r, node->column_ref);
        case PG_QUERY__NODE__NODE_A_CONST:
                return read_const(r, node->a_const);
        case PG_QUERY__NODE__NODE_PARAM_REF:
                return read_param(r, node->param_ref);
        case PG_QUERY__NODE__NODE_TYPE_CAST:
                return read_cast(r, node->type_cast);
        case PG_QUERY__NODE__NODE_BOOL_EXPR:
                return read_bool_expr(r, node->bool_expr);
        case PG_QUERY__NODE__NODE_NULL_TEST:
                return read_null_test(r, node->null_test);
        case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
                return read_bool_test(r, node->boolean_test);
        case PG_QUERY__NODE__NODE_A_EXPR:
                return read_operator(r, node);
        case PG_QUERY__NODE__NODE_FUNC_CALL:
                return read_function(r, node->func_call);
        case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
                return read_array(r, node->a_array_expr);
        case PG_QUERY__NODE__NODE_A_INDIRECTION:
                return read_subscript(r, node->a_indirection);
        case PG_QUERY__NODE__NODE_COALESCE_EXPR:
                return read_coalesce(r, node->coalesce_expr);
        case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
                return read_min_max(r, node->min_max_expr);
        case PG_QUERY__NODE__NODE_SUB_LINK:
                return refuse(r, node->sub_link->location, "Subqueries are not supported yet");
        case PG_QUERY__NODE__NODE_CASE_EXPR:
                return refuse_node(r, node, node->case_expr->location);
        case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
                return refuse_node(r, node, node->sqlvalue_function->location);
        case PG_QUERY__NODE__NODE_ROW_EXPR:
                return refuse_node(r, node, node->row_expr->location);
        case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
                return refuse_node(r, node, node->collate_clause->location);
        default:
                return refuse_node(r, node, 0);
        }
}

struct where_parsed *where_read_node(struct where_reader *r, const PgQuery__Node *node)
{
        if (!node)
                return refuse(r, 0, "malformed query");
        if (r->depth == WHERE_MAX_DEPTH)
                return refuse(r, 0, "the clause is nested too deeply");
        r->depth++;
        struct where_parsed *p = read_any(r, node);
        r->depth--;
        return p;
}
