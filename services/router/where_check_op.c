/* Operators by the types of their operands; AND and OR. */
#include "services/router/where_check.h"

/* ---- operators */

node *ck_refuse_operator(struct where_check *c, struct slice name, bool prefix,
                         enum where_select_result r, int location)
{
        if (r != SELECT_UNKNOWN_NAME)
                return ck_refuse(c, location, "Could not select an operator overload");
        where_why(c->why, location, "unknown %s operator \"%.*s\"", prefix ? "unary" : "binary",
                  SLICE_FMT(name));
        return NULL;
}

static void refuse_choice(struct where_check *c, const struct where_operator *op, int location)
{
        struct slice left = op->left == WT_COUNT ? SLICE_EMPTY : where_type_name(op->left);
        where_why(c->why, location, "operator %.*s%s%s %.*s is not supported in this context",
                  SLICE_FMT(left), left.len ? " " : "", op->name,
                  SLICE_FMT(where_type_name(op->right)));
}

/* The operands brought to what the chosen operator takes. */
const struct where_operator *ck_choose(struct where_check *c, struct slice name, node **l, node **r,
                                       int location)
{
        const struct where_operator *op;
        if ((*l && !(*l = ck_settle(c, *l))) || !(*r = ck_settle(c, *r)))
                return NULL;
        enum where_select_result result =
                where_select_operator(name, *l ? (*l)->type : WT_COUNT, (*r)->type, &op);
        if (*l && !ck_meet_enums(c, (node *[]){*l, *r}, 2))
                result = SELECT_NO_OVERLOAD;
        if (result == SELECT_NOT_HERE) {
                refuse_choice(c, op, location);
                return NULL;
        }
        if (result != SELECT_FOUND) {
                ck_refuse_operator(c, name, !*l, result, location);
                return NULL;
        }
        if (*l && !(*l = ck_coerce(c, *l, op->left)))
                return NULL;
        return (*r = ck_coerce(c, *r, op->right)) ? op : NULL;
}

/* The digits are known when the server's version is: Postgres would settle a power of constants,
 * and what it decides, before. */
static bool note_power(struct where_check *c, const node *n)
{
        const node *l = n->args[0], *r = n->args[1];
        bool is_null =
                (l->kind == ND_CONST && l->value.null) || (r->kind == ND_CONST && r->value.null);
        if (is_null)
                return true;
        if (l->kind == ND_CONST && r->kind == ND_CONST)
                return ck_refuse(
                               c, n->location,
                               "numeric ^ numeric of constants is not supported in this context") !=
                       NULL;
        return zone_set_add(&c->zones, zone_of_power(POWER_BY_WEIGHT)) ||
               ck_refuse(c, n->location, "too many time zones") != NULL;
}

/* In the rebuilt SQL: what a constant was made from is not there any more. */
static bool is_c_in_sql(const node *n)
{
        return ck_has_c_collation(n, is_c_in_sql);
}

bool ck_take_fn(node *n, const struct where_operator *op)
{
        bool is_c = false, in_sql = false, constant = true;
        for (uint32_t i = 0; i < n->n; i++) {
                is_c |= n->args[i]->c_collation;
                in_sql |= is_c_in_sql(n->args[i]);
                constant &= n->args[i]->kind == ND_CONST;
        }
        n->name = op->name;
        n->cases = op->cases && !is_c;
        n->fn = op->cases && is_c ? where_text_c_cases(op->fn) : op->fn;
        return !op->cases || is_c == in_sql || constant;
}

/* `text || anything` and the reverse are there for all that is no array: it is cast to text. */
static bool settle_concat(struct where_check *c, node **l, node **r, int location)
{
        bool text_left = where_type_is_string((*l)->type) || (*l)->type == WT_UNKNOWN;
        bool text_right = where_type_is_string((*r)->type) || (*r)->type == WT_UNKNOWN;
        node **other = text_left ? r : l;
        if (text_left == text_right || (*other)->type == WT_OTHER)
                return true; /* the table of operators knows */
        bool own = (*other)->type == WT_BYTEA || (*other)->type == WT_JSONB;
        if (own && (text_left ? *l : *r)->type == WT_UNKNOWN)
                return true;
        return (*other = ck_cast_to(c, *other, WT_TEXT, location)) != NULL;
}

node *ck_make_operator(struct where_check *c, struct slice name, node *l, node *r, int location)
{
        if (l && slice_eq(name, SLICE_LIT("||")) &&
            (!(l = ck_settle(c, l)) || !(r = ck_settle(c, r))))
                return NULL;
        if (l && (where_type_is_array(l->type) || where_type_is_array(r->type)))
                return ck_make_array_operator(c, name, l, r, location);
        if (l && slice_eq(name, SLICE_LIT("||")) && !settle_concat(c, &l, &r, location))
                return NULL;
        const struct where_operator *op = ck_choose(c, name, &l, &r, location);
        if (!op)
                return NULL;
        node *args[] = {l, r};
        node *n = ck_make(c, op->is_compare ? ND_COMPARE : ND_CALL, op->result, location, l ? 2 : 1,
                          l ? args : args + 1);
        if (!n)
                return NULL;
        if (!ck_take_fn(n, op))
                return ck_refuse_operator(c, name, !l, SELECT_NO_OVERLOAD, location);
        if (n->fn == where_num_power && !note_power(c, n))
                return NULL;
        n->compare = op->compare;
        n->cmp = op->is_compare ? where_cmp_of(op->left, op->right) : NULL;
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
