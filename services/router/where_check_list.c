/* IN lists, ANY and ALL. */
#include "services/router/where_check.h"

#include "services/router/where_array.h"
#include "services/router/where_list.h"

/* ---- IN */

/* The constants, all of one type, against the left side. */
static node *make_in(struct where_check *c, const struct where_parsed *p, node *l, node **consts,
                     uint32_t n)
{
        enum where_type *types = where_alloc(c->arena, (n + 1) * sizeof(*types));
        node **all = where_alloc(c->arena, (n + 1) * sizeof(*all));
        all[0] = l;
        memcpy(all + 1, consts, n * sizeof(*all));
        for (uint32_t i = 0; i <= n; i++)
                types[i] = all[i]->type;
        enum where_type common = where_select_common(types, n + 1);
        if (common == WT_COUNT || common == WT_OTHER || !ck_meet_enums(c, all, n + 1))
                return ck_refuse(c, p->location, "Could not select an operator overload");
        node model = {.kind = ND_COLUMN, .type = common}; /* for the choice */
        node *m = &model;
        struct slice name = p->negated ? SLICE_LIT("<>") : SLICE_LIT("=");
        const struct where_operator *op;
        enum where_select_result result = where_select_operator(name, l->type, m->type, &op);
        if (result != SELECT_FOUND)
                return ck_refuse_operator(c, name, false, result, p->location);
        if (!(l = ck_coerce(c, l, op->left)))
                return NULL;
        for (uint32_t i = 0; i < n; i++) {
                if (!(consts[i] = ck_coerce(c, consts[i], common)) ||
                    !(consts[i] = ck_coerce(c, consts[i], op->right)))
                        return NULL;
        }
        node *in = ck_make(c, ND_IN, WT_BOOL, p->location, 1, &l);
        if (!in)
                return NULL;
        in->negated = p->negated;
        in->cmp = where_cmp_of(op->right, op->left);
        in->list = where_list_new(op->right, consts, n, c->arena);
        if (in->list->n == 1 && !in->list->has_null)
                return ck_make_operator(c, name, l, consts[0], p->location);
        return ck_fold(c, in);
}

static bool is_list_item(const node *n)
{
        return n->kind == ND_CONST && !n->has_columns;
}

/* The constants together, then what has columns one by one, in Postgres' order. */
node *ck_check_in(struct where_check *c, const struct where_parsed *p)
{
        struct slice name = p->negated ? SLICE_LIT("<>") : SLICE_LIT("=");
        node *l = ck_check(c, p->args[0]);
        node **items = where_alloc(c->arena, p->n * sizeof(node *));
        node **consts = where_alloc(c->arena, p->n * sizeof(node *));
        node **tests = where_alloc(c->arena, p->n * sizeof(node *));
        uint32_t n_consts = 0, n_tests = 0;
        if (!l)
                return NULL;
        for (uint32_t i = 1; i < p->n; i++) {
                if (!(items[i] = ck_check(c, p->args[i])))
                        return NULL;
                if (!where_type_is_array(l->type) && is_list_item(items[i]))
                        consts[n_consts++] = items[i];
        }
        if (n_consts > 1 && !(tests[n_tests++] = make_in(c, p, l, consts, n_consts)))
                return NULL;
        for (uint32_t i = 1; i < p->n; i++) {
                if (n_consts > 1 && is_list_item(items[i]))
                        continue;
                if (!(tests[n_tests++] = ck_make_operator(c, name, l, items[i], p->location)))
                        return NULL;
        }
        return ck_make_junction(c, p->negated ? ND_AND : ND_OR, tests, n_tests, p->location);
}

/* ---- ANY, ALL */

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
                consts[i] = ck_make_const(c, a->element, n->location);
                consts[i]->value = a->values[i];
                consts[i]->column = array->column;
        }
        node *in = ck_make(c, ND_IN, WT_BOOL, n->location, 1, n->args);
        if (!in)
                return NULL;
        in->negated = n->negated;
        in->cmp = where_cmp_of(a->element, n->args[0]->type);
        in->list = where_list_new(a->element, consts, a->n, c->arena);
        if (in->list->n == 1 && !in->list->has_null)
                return ck_make_operator(c, n->negated ? SLICE_LIT("<>") : SLICE_LIT("="),
                                        n->args[0], consts[0], n->location);
        return in;
}

node *ck_check_any(struct where_check *c, const struct where_parsed *p)
{
        node *l = ck_check(c, p->args[0]);
        node *array = l ? ck_check(c, p->args[1]) : NULL;
        if (!array || !(l = ck_settle(c, l)) || !(array = ck_settle(c, array)))
                return NULL;
        if ((array->type != WT_UNKNOWN && !where_type_is_array(array->type)) ||
            where_type_is_array(l->type))
                return ck_refuse(c, p->location, "op ANY/ALL (array) requires array on right side");
        const struct where_operator *op;
        enum where_type element =
                array->type == WT_UNKNOWN ? WT_UNKNOWN : where_type_element(array->type);
        enum where_select_result result = where_select_operator(p->text, l->type, element, &op);
        if (!ck_meet_enums(c, (node *[]){l, array}, 2))
                result = SELECT_NO_OVERLOAD;
        if (result != SELECT_FOUND || op->result != WT_BOOL)
                return ck_refuse_operator(c, p->text, false, result, p->location);
        node *args[2];
        if (!(args[0] = ck_coerce(c, l, op->left)) ||
            !(args[1] = ck_coerce(c, array, where_type_array_of(op->right))))
                return NULL;
        node *n = ck_make(c, ND_ANY, WT_BOOL, p->location, 2, args);
        if (!n)
                return NULL;
        if (!ck_take_fn(n, op))
                return ck_refuse_operator(c, p->text, false, SELECT_NO_OVERLOAD, p->location);
        n->negated = p->negated;
        n->compare = op->compare;
        n->cmp = op->is_compare ? where_cmp_of(op->left, op->right) : NULL;
        return ck_fold(c, any_as_list(c, n));
}
