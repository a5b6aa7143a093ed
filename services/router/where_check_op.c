/* Operators by the types of their operands; AND and OR. */
#include "services/router/where_check.h"

#include "services/router/where_array.h"
#include "services/router/where_time_fn.h"

/* ---- operators */

node *ck_refuse_operator(struct where_check *c, struct slice name, bool prefix,
                         enum where_select_result r, int location)
{
        if (r == SELECT_NO_OVERLOAD)
                return ck_refuse(c, location, "Could not select an operator overload");
        where_why(c->why, location, "unknown %s operator \"%.*s\"", prefix ? "unary" : "binary",
                  SLICE_FMT(name));
        return NULL;
}

/* An enum is a column's, or its label's: labels take the column's, and two must be the same. */
static bool settle_enums(struct where_check *c, node **l, node **r, struct slice name, int location)
{
        if ((*l)->type == WT_ENUM && !(*r = ck_coerce_label(c, *r, (*l)->column)))
                return false;
        if ((*r)->type == WT_ENUM && !(*l = ck_coerce_label(c, *l, (*r)->column)))
                return false;
        const struct table_column *columns = c->table->columns;
        if ((*l)->type == WT_ENUM && (*r)->type == WT_ENUM &&
            columns[(*l)->column].type_oid != columns[(*r)->column].type_oid) {
                ck_refuse_operator(c, name, false, SELECT_NO_OVERLOAD, location);
                return false;
        }
        return true;
}

/* The operands brought to what the chosen operator takes. */
const struct where_operator *ck_choose(struct where_check *c, struct slice name, node **l, node **r,
                                       int location)
{
        const struct where_operator *op;
        if ((*l && !(*l = ck_settle(c, *l))) || !(*r = ck_settle(c, *r)))
                return NULL;
        if (*l && !settle_enums(c, l, r, name, location))
                return NULL;
        enum where_select_result result =
                where_select_operator(name, *l ? (*l)->type : WT_COUNT, (*r)->type, &op);
        if (result != SELECT_FOUND) {
                ck_refuse_operator(c, name, !*l, result, location);
                return NULL;
        }
        if (*l && !(*l = ck_coerce(c, *l, op->left)))
                return NULL;
        return (*r = ck_coerce(c, *r, op->right)) ? op : NULL;
}

/* Under the collation C, which a name brings along, case is that of ASCII alone. */
bool ck_maps_c_collation(const struct where_operator *op, node *const *args, uint32_t n)
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
                return ck_refuse_operator(c, name, false, SELECT_NO_OVERLOAD, location);
        while (i < n_operators && !slice_eq(slice_cstr(array_operators[i].name), name))
                i++;
        if (i == n_operators)
                return ck_refuse_operator(c, name, false, SELECT_NO_OVERLOAD, location);
        node *args[2];
        if (!(args[0] = ck_coerce(c, l, type)) || !(args[1] = ck_coerce(c, r, type)))
                return NULL;
        bool is_compare = array_operators[i].is_compare;
        node *n = ck_make(c, is_compare ? ND_COMPARE : ND_CALL, WT_BOOL, location, 2, args);
        if (!n)
                return NULL;
        n->compare = array_operators[i].compare;
        n->cmp = is_compare ? where_type_cmp(type) : NULL;
        n->fn = array_operators[i].fn;
        n->name = array_operators[i].name;
        return ck_fold(c, n);
}

node *ck_make_operator(struct where_check *c, struct slice name, node *l, node *r, int location)
{
        if (l && (where_type_is_array(l->type) || where_type_is_array(r->type)))
                return make_array_operator(c, name, l, r, location);
        const struct where_operator *op = ck_choose(c, name, &l, &r, location);
        if (!op)
                return NULL;
        node *args[] = {l, r};
        if (ck_maps_c_collation(op, l ? args : args + 1, l ? 2 : 1))
                return ck_refuse_operator(c, name, !l, SELECT_NO_OVERLOAD, location);
        node *n = ck_make(c, op->is_compare ? ND_COMPARE : ND_CALL, op->result, location, l ? 2 : 1,
                          l ? args : args + 1);
        if (!n)
                return NULL;
        n->compare = op->compare;
        n->cmp = op->is_compare ? where_cmp_of(op->left, op->right) : NULL;
        n->fn = op->fn;
        n->name = op->name;
        n->cases = op->cases;
        return ck_fold(c, n);
}

/* AND of ANDs is one AND, whatever parentheses the clause has. */
node *ck_make_junction(struct where_check *c, enum where_kind kind, node *const *args, uint32_t n,
                       int location)
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
        return ck_fold(c, ck_make(c, kind, WT_BOOL, location, total, flat));
}
