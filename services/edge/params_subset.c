/* The subset__… parameters (protocol §6.7) and how a POST body becomes parameters (§1.6). */
#include "common/base/err.h"
#include "services/edge/json.h"
#include "services/edge/params.h"

static const struct slice subset_prefix = {"subset__", 8};

static bool is_subset_member(struct slice key)
{
        static const char *const names[] = {"where",  "order_by",   "limit",        "offset",
                                            "params", "where_expr", "order_by_expr"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (slice_eq(key, slice_cstr(names[i])))
                        return true;
        return false;
}

static bool has_subset_member(const struct value *body)
{
        for (uint32_t i = 0; i < body->n_members; i++)
                if (is_subset_member(body->members[i].key))
                        return true;
        return false;
}

/* The query's own `subset__X` keys; a parameter that is really called `subset` is not one of ours.
 */
static struct value *collect_prefixed(struct arena *a, const struct value *query)
{
        struct value *subset = NULL;
        for (uint32_t i = 0; i < query->n_members; i++) {
                struct slice key = query->members[i].key;
                if (!slice_starts(key, subset_prefix))
                        continue;
                if (!subset)
                        subset = value_new(a, VALUE_MAP);
                value_set(a, subset,
                          slice_of(key.p + subset_prefix.len, key.len - subset_prefix.len),
                          query->members[i].value);
        }
        return subset;
}

static void merge_map(struct arena *a, struct value *into, const struct value *from)
{
        for (uint32_t i = 0; i < from->n_members; i++)
                value_set(a, into, from->members[i].key, from->members[i].value);
}

void params_merge(struct arena *a, struct value *query, const struct value *body)
{
        struct value *subset = collect_prefixed(a, query);
        const struct value *nested = body ? value_find(body, SLICE_LIT("subset")) : NULL;
        bool explicit_subset = nested && nested->type == VALUE_MAP;
        bool flat_subset = body && !explicit_subset && has_subset_member(body);
        if ((explicit_subset || flat_subset) && !subset)
                subset = value_new(a, VALUE_MAP);
        if (explicit_subset)
                merge_map(a, subset, nested);
        for (uint32_t i = 0; body && i < body->n_members; i++) {
                const struct member *m = &body->members[i];
                if (flat_subset && is_subset_member(m->key))
                        value_set(a, subset, m->key, m->value);
                else if (!slice_eq(m->key, SLICE_LIT("subset")))
                        value_set(a, query, m->key, m->value);
        }
        if (subset)
                value_set(a, query, SLICE_LIT("subset"), subset);
        else if (value_find(query, SLICE_LIT("subset")))
                value_set(a, query, SLICE_LIT("subset"), value_new(a, VALUE_JSON_NULL));
}

static bool is_absent(const struct value *v)
{
        return !v || v->type == VALUE_JSON_NULL || (v->type == VALUE_STRING && v->text.len == 0);
}

/* A whole number not below `min`. True when the member is there, valid or not. */
static bool cast_integer(const struct value *subset, struct slice name, const char *field,
                         uint64_t min, struct slice too_small, uint64_t *out, struct fielderr *e)
{
        const struct value *v = value_find(subset, name);
        if (is_absent(v))
                return false;
        bool number = v->type == VALUE_STRING || v->type == VALUE_NUMBER;
        bool negative = number && v->text.len > 1 && v->text.p[0] == '-';
        struct slice digits = negative ? slice_of(v->text.p + 1, v->text.len - 1) : v->text;
        uint64_t value;
        if (!number || slice_parse_u64(digits, &value) != 0 || value > INT64_MAX)
                fielderr_add(e, field, SLICE_LIT("is invalid"));
        else if ((negative && value > 0) || value < min)
                fielderr_add(e, field, too_small);
        else
                *out = value;
        return true;
}

/* In a URL the parameters are a JSON object in a string. */
static void cast_params(struct arena *a, const struct value *subset, struct subset_params *out,
                        struct fielderr *e)
{
        static const char field[] = "subset.params";
        struct value *v = value_find(subset, SLICE_LIT("params"));
        if (is_absent(v))
                return;
        if (v->type == VALUE_STRING) {
                struct buf why;
                buf_init(&why, 256);
                int err = json_parse(a, v->text, &v, &why);
                buf_fini(&why);
                if (err != 0) {
                        fielderr_add(e, field, SLICE_LIT("params must be valid JSON"));
                        return;
                }
                if (v->type != VALUE_MAP) {
                        fielderr_add(e, field, SLICE_LIT("params must be a JSON object"));
                        return;
                }
        }
        params_cast_positional(a, v, field, &out->params, &out->n_params, e);
}

void params_cast_subset(struct arena *a, const struct value *subset, struct subset_params *out,
                        struct fielderr *e)
{
        if (subset->type != VALUE_MAP)
                return;
        params_cast_string(subset, SLICE_LIT("where"), "subset.where", &out->where, e);
        params_cast_string(subset, SLICE_LIT("order_by"), "subset.order_by", &out->order_by, e);
        out->has_limit = cast_integer(subset, SLICE_LIT("limit"), "subset.limit", 1,
                                      SLICE_LIT("must be greater than 0"), &out->limit, e);
        out->has_offset =
                cast_integer(subset, SLICE_LIT("offset"), "subset.offset", 0,
                             SLICE_LIT("must be greater than or equal to 0"), &out->offset, e);
        if ((out->has_limit || out->has_offset) && out->order_by.len == 0)
                fielderr_add(e, "subset.order_by",
                             SLICE_LIT("order_by is required when limit or offset is present"));
        cast_params(a, subset, out, e);
}
