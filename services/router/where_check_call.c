/* Calls of functions, and what the grammar has for functions. */
#include "services/router/where_check.h"

#include <stdio.h>

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

node *ck_check_function(struct where_check *c, const struct where_parsed *p)
{
        const struct where_operator *f = NULL;
        bool is_concat = slice_eq(p->text, SLICE_LIT("concat")) && p->n > 0;
        if (!is_concat && !where_function_exists(p->text, p->n))
                return refuse_function(c, p);
        node **args = ck_check_args(c, p);
        if (!args)
                return NULL;
        if (is_concat)
                return check_concat(c, p, args);
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
        if (f->fn == where_zone_utc && !is_utc(args[0]))
                return ck_refuse(c, args[0]->location,
                                 "time zones other than UTC are not supported");
        if (ck_maps_c_collation(f, args, p->n))
                return ck_refuse_overload(c, p, f->name, args);
        node *n = ck_make(c, ND_CALL, f->result, p->location, p->n, args);
        if (!n)
                return NULL;
        n->fn = f->fn;
        n->name = f->name;
        n->is_function = true;
        n->cases = f->cases;
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
        if (common == WT_COUNT || common == WT_OTHER || common == WT_ENUM)
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
