/* Nodes, and what makes them be of a type: constants take the type of what they meet, as Postgres'
 * parse_coerce.c has it. Values that need no row are settled at once. */
#include "services/router/where_check.h"

#include "common/base/err.h"
#include "services/router/where_array.h"

node *ck_refuse(struct where_check *c, int location, const char *what)
{
        where_why(c->why, location, "%s", what);
        return NULL;
}

/* As Postgres' parse_collate.c: a string has the collation of those that it is made from; made from
 * none, it has its type's, and that is C for names. */
bool ck_has_c_collation(const node *n, bool (*is_c)(const node *))
{
        bool from_strings = false, from_c = false;
        for (uint32_t i = 0; i < n->n; i++) {
                from_strings |= where_type_is_string(where_type_element(n->args[i]->type));
                from_c |= is_c(n->args[i]);
        }
        if (!from_strings)
                return where_type_element(n->type) == WT_NAME;
        return from_c && where_type_is_string(where_type_element(n->type));
}

static bool is_c(const node *n)
{
        return n->c_collation;
}

/* NULL when the tree would be too large to evaluate. */
node *ck_make(struct where_check *c, enum where_kind kind, enum where_type type, int location,
              uint32_t n, node *const *args)
{
        node *made = where_alloc(c->arena, sizeof(*made));
        *made = (node){.kind = kind, .type = type, .location = location, .n = n, .weight = 1};
        made->args = where_alloc(c->arena, (n + 1) * sizeof(*made->args));
        made->has_columns = kind == ND_COLUMN;
        for (uint32_t i = 0; i < n; i++) {
                made->args[i] = args[i];
                made->weight += args[i]->weight;
                made->has_columns |= args[i]->has_columns;
                if (where_type_element(args[i]->type) == WT_ENUM)
                        made->column = args[i]->column;
                if (made->weight > WHERE_MAX_WEIGHT)
                        return ck_refuse(c, location, "the clause is too large");
        }
        made->c_collation = ck_has_c_collation(made, is_c);
        return made;
}

node *ck_make_const(struct where_check *c, enum where_type type, int location)
{
        return ck_make(c, ND_CONST, type, location, 0, NULL);
}

node *ck_make_text(struct where_check *c, struct slice text, int location)
{
        node *n = ck_make_const(c, WT_UNKNOWN, location);
        n->value.s = text;
        return n;
}

/* Is the value settled before any row is seen? Postgres simplifies so, too, and an error in what it
 * does not evaluate is none: strict operators with a NULL constant, and AND or OR with a deciding
 * one. */
static bool is_settled(const node *n, const node **value)
{
        bool strict = n->kind == ND_COMPARE || (n->kind == ND_CALL && !n->takes_null);
        bool constant = true;
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

/* Names are of the collation C, which is bytewise, unless they were made from other strings. */
static bool orders_strings(const node *n)
{
        bool compares = n->kind == ND_COMPARE || (n->kind == ND_ANY && n->cmp);
        bool orders = n->kind == ND_GREATEST || n->kind == ND_LEAST ||
                      (compares && n->compare != CMP_EQ && n->compare != CMP_NE);
        if (!orders)
                return false;
        enum where_type type = where_type_element(n->args[0]->type);
        bool names_of_c = false;
        for (uint32_t i = 0; type == WT_NAME && i < n->n; i++)
                names_of_c |= n->args[i]->c_collation;
        return where_type_is_string(type) && !names_of_c;
}

/* The node's value, when it is settled. An error in it would be one for every row. */
node *ck_fold(struct where_check *c, node *n)
{
        struct where_ctx ctx = {.scratch = c->arena};
        const node *decisive = NULL;
        if (!n)
                return NULL;
        c->orders_strings |= orders_strings(n);
        c->maps_cases |= n->cases;
        if (n->kind == ND_COALESCE ? !is_settled_coalesce(n, &decisive) : !is_settled(n, &decisive))
                return n;
        node *value = ck_make_const(c, n->type, n->location);
        value->c_collation = n->c_collation;
        value->has_columns = n->has_columns;
        value->column = n->column;
        if (decisive)
                value->value = decisive->value;
        else if (!where_node_eval(&ctx, n, (struct row){0}, &value->value))
                return ck_refuse(c, n->location, ctx.error);
        if (where_type_is_array(n->type) && !value->value.null &&
            !where_array_fits(&ctx, value->value.array))
                return ck_refuse(c, n->location, ctx.error);
        if (!where_value_is_readable(n->type, &value->value))
                return ck_refuse(c, n->location, "timestamp out of range");
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

static node *refuse_text(struct where_check *c, const node *n, enum where_type to,
                         struct slice text, bool explicit)
{
        struct slice name = to == WT_NAME ? SLICE_LIT("char[]") : where_type_name(to);
        bool is_enum = where_type_element(to) == WT_ENUM;
        if (is_enum)
                name = c->table->columns[c->enum_column].type_name;
        if (explicit)
                where_why(c->why, n->location, "could not cast value \"%.*s\" from text to %.*s",
                          SLICE_FMT(text), SLICE_FMT(name));
        else
                where_why(c->why, n->location, "invalid syntax for type %s%.*s: %.*s",
                          is_enum ? "enum " : "", SLICE_FMT(name), SLICE_FMT(text));
        return NULL;
}

node *ck_coerce_unknown(struct where_check *c, node *n, enum where_type to, bool explicit)
{
        if (n->param)
                c->param_types[n->param - 1] = to;
        node *typed = ck_make_const(c, to, n->location);
        typed->value.null = n->value.null;
        typed->column = c->enum_column;
        if (n->value.null)
                return typed;
        struct slice text = n->value.s;
        if ((!explicit && !is_literal_of(to, text)) ||
            where_value_read(to, text, c->arena, &typed->value) != 0 ||
            !where_value_is_readable(to, &typed->value) || ck_find_unlabelled(c, typed, &text))
                return refuse_text(c, n, to, text, explicit);
        return typed;
}

/* A label of one enum may be one of another: that each use tells. */
node *ck_settle(struct where_check *c, node *n)
{
        enum where_type type = n->param ? c->param_types[n->param - 1] : WT_UNKNOWN;
        if (n->type != WT_UNKNOWN || type == WT_UNKNOWN || where_type_element(type) == WT_ENUM)
                return n;
        return ck_coerce_unknown(c, n, type, false);
}

static node *refuse_cast(struct where_check *c, const node *n, enum where_type to, int location)
{
        where_why(c->why, location, "unknown cast from type %.*s to type %.*s",
                  SLICE_FMT(where_type_name(n->type)), SLICE_FMT(where_type_name(to)));
        return NULL;
}

node *ck_coerce(struct where_check *c, node *n, enum where_type to)
{
        if (n->type == to)
                return n;
        if (n->type == WT_UNKNOWN)
                return ck_coerce_unknown(c, n, to, false);
        if (where_cast_kind(n->type, to) != CAST_IMPLICIT)
                return refuse_cast(c, n, to, n->location);
        return ck_fold(c, ck_make(c, ND_CAST, to, n->location, 1, &n));
}

/* An explicit cast. */
node *ck_cast_to(struct where_check *c, node *n, enum where_type to, int location)
{
        if (n->type == to)
                return ck_is_met_enum(c, n) ? n : refuse_cast(c, n, to, location);
        if (n->type == WT_UNKNOWN)
                return ck_coerce_unknown(c, n, to, true);
        if (where_cast_kind(n->type, to) == CAST_NONE ||
            (where_cast_is_partial(n->type, to) && n->kind != ND_CONST))
                return refuse_cast(c, n, to, location);
        return ck_fold(c, ck_make(c, ND_CAST, to, location, 1, &n));
}

node *ck_modify(struct where_check *c, node *n, const struct ck_cast *cast)
{
        node *modified = cast->is_modified ? ck_make(c, ND_MODIFY, n->type, n->location, 1, &n) : n;
        if (!modified || modified == n)
                return modified;
        modified->modifier = cast->modifier;
        return ck_fold(c, modified);
}

node *ck_coerce_bool(struct where_check *c, node *n)
{
        if (n->type == WT_BOOL || n->type == WT_UNKNOWN)
                return ck_coerce(c, n, WT_BOOL);
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
