/* Calls of functions, and what the grammar has for functions. */
#include "services/router/where_check.h"

#include <stdio.h>

#include "common/base/err.h"
#include "services/router/where_time_fn.h"

/* ---- functions */

node **ck_check_args(struct where_check *c, const struct where_parsed *p)
{
        node **args = where_alloc(c->arena, (p->n + 1) * sizeof(node *));
        for (uint32_t i = 0; i < p->n; i++)
                if (!(args[i] = ck_check(c, p->args[i])))
                        return NULL;
        return args;
}

node *ck_refuse_overload(struct where_check *c, const struct where_parsed *p, const char *name,
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
                        return ck_refuse_overload(c, p, "concat", args);
                if (args[i]->type == WT_UNKNOWN && !(args[i] = ck_coerce(c, args[i], WT_TEXT)))
                        return NULL;
        }
        return ck_fold(c, ck_make(c, ND_CONCAT, WT_TEXT, p->location, p->n, args));
}

static node *refuse_function(struct where_check *c, const struct where_parsed *p)
{
        where_why(c->why, p->location, "unknown or unsupported function %.*s/%u",
                  SLICE_FMT(p->text), p->n);
        return NULL;
}

static void explain_zone(struct where_check *c, const node *zone, int err)
{
        struct slice name = zone->value.s;
        if (err == ERR_LIMIT)
                where_why(c->why, zone->location, "too many time zones, the last one is \"%.*s\"",
                          SLICE_FMT(name));
        else if (err == ERR_FORMAT)
                where_why(c->why, zone->location, "the rules of time zone \"%.*s\" cannot be read",
                          SLICE_FMT(name));
        else
                where_why(c->why, zone->location,
                          "time zone \"%.*s\" is not UTC, not an offset, and not in the time zone "
                          "database (in which upper and lower case differ)",
                          SLICE_FMT(name));
}

/* The zone that AT TIME ZONE names; *out NULL: it says its own offset. False: refused. */
static bool check_zone(struct where_check *c, const node *zone, const struct zone **out)
{
        int64_t west;
        *out = NULL;
        if (zone->kind != ND_CONST)
                return ck_refuse(c, zone->location, "a time zone must be a constant") != NULL;
        if (zone->value.null || where_zone_read(zone->value.s, &west) == 0)
                return true;
        int err = zone_find(zone->value.s, out);
        if (!err && !zone_set_add(&c->zones, *out))
                err = ERR_LIMIT;
        if (err)
                explain_zone(c, zone, err);
        return err == 0;
}

/* The reference has a function of this name, Postgres has the operator only. */
static bool is_ilike(const struct where_operator *f)
{
        return f->fn == where_text_ilike;
}

node *ck_check_function(struct where_check *c, const struct where_parsed *p)
{
        const struct where_operator *f = NULL;
        bool is_concat = slice_eq(p->text, SLICE_LIT("concat")) && p->n > 0;
        bool on_arrays = ck_is_array_function(p->text, p->n);
        if (!is_concat && !on_arrays && !where_function_exists(p->text, p->n))
                return refuse_function(c, p);
        node **args = ck_check_args(c, p);
        if (!args)
                return NULL;
        if (is_concat)
                return check_concat(c, p, args);
        if (on_arrays)
                return ck_check_array_function(c, p, args);
        node *last = args[p->n - 1];
        if (where_select_function(p->text, p->n == 2 ? args[0]->type : WT_COUNT, last->type, &f) !=
            SELECT_FOUND) {
                char name[64];
                snprintf(name, sizeof(name), "%.*s", SLICE_FMT(p->text));
                return ck_refuse_overload(c, p, name, args);
        }
        for (uint32_t i = 0; i < p->n; i++)
                if (!(args[i] = ck_coerce(c, args[i], i + 1 == p->n ? f->right : f->left)))
                        return NULL;
        const struct zone *zone = NULL;
        if (where_zone_is_named(f->fn) && !check_zone(c, args[0], &zone))
                return NULL;
        node *n = ck_make(c, ND_CALL, f->result, p->location, p->n, args);
        if (!n)
                return NULL;
        if (!ck_take_fn(n, f))
                return ck_refuse_overload(c, p, f->name, args);
        if (is_ilike(f))
                n->name = "~~*";
        n->is_function = !is_ilike(f);
        n->zone = zone;
        c->settles_zones |= zone && args[1]->kind == ND_CONST;
        return ck_fold(c, n);
}

/* COALESCE, GREATEST, LEAST: the arguments are brought to one type. */
node *ck_check_common(struct where_check *c, const struct where_parsed *p, enum where_kind kind,
                      const char *name)
{
        node **args = ck_check_args(c, p);
        enum where_type *types = where_alloc(c->arena, (p->n + 1) * sizeof(*types));
        if (!args)
                return NULL;
        for (uint32_t i = 0; i < p->n; i++)
                types[i] = args[i]->type;
        enum where_type common = where_select_common(types, p->n);
        bool orders = kind != ND_COALESCE;
        if (common == WT_COUNT || common == WT_OTHER || !ck_meet_enums(c, args, p->n) ||
            (orders && !where_type_has_order(common)))
                return ck_refuse_overload(c, p, name, args);
        for (uint32_t i = 0; i < p->n; i++) {
                if (where_cast_kind(args[i]->type, common) != CAST_IMPLICIT)
                        return ck_refuse_overload(c, p, name, args);
                if (!(args[i] = ck_coerce(c, args[i], common)))
                        return NULL;
        }
        node *n = ck_make(c, kind, common, p->location, p->n, args);
        if (!n)
                return NULL;
        n->cmp = where_type_cmp(common);
        n->name = name;
        return ck_fold(c, n);
}
