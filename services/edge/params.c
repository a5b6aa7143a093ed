#include "services/edge/params.h"

#include <stdlib.h>

#include "common/base/err.h"
#include "services/edge/ident.h"
#include "services/edge/text.h"

#define IS_INVALID SLICE_LIT("is invalid")
#define IS_BLANK   SLICE_LIT("can't be blank")

static bool is_absent(const struct value *v)
{
        return !v || v->type == VALUE_JSON_NULL || (v->type == VALUE_STRING && v->text.len == 0);
}

bool params_cast_string(const struct value *in, struct slice name, const char *field,
                        struct slice *out, struct fielderr *e)
{
        const struct value *v = value_find(in, name);
        if (is_absent(v))
                return true;
        if (v->type != VALUE_STRING || text_has_nul(v->text)) {
                fielderr_add(e, field, IS_INVALID);
                return false;
        }
        *out = v->text;
        return true;
}

/* Compared with what we know and never passed on as text: any bytes will do. */
static void cast_opaque(const struct value *in, const char *name, struct slice *out,
                        struct fielderr *e)
{
        const struct value *v = value_find(in, slice_cstr(name));
        if (is_absent(v))
                return;
        if (v->type == VALUE_STRING)
                *out = v->text;
        else
                fielderr_add(e, name, IS_INVALID);
}

static void cast_string(const struct value *in, const char *name, struct slice *out,
                        struct fielderr *e)
{
        params_cast_string(in, slice_cstr(name), name, out, e);
}

/* The strict cast: true, 1, false, 0. A mistake is reported under the name `field`. */
static void cast_bool_as(const struct value *in, const char *name, const char *field, bool *out,
                         struct fielderr *e)
{
        const struct value *v = value_find(in, slice_cstr(name));
        if (is_absent(v))
                return;
        bool text = v->type == VALUE_STRING;
        if (v->type == VALUE_TRUE ||
            (text && (slice_eq(v->text, SLICE_LIT("true")) || slice_eq(v->text, SLICE_LIT("1")))))
                *out = true;
        else if (v->type == VALUE_FALSE || (text && (slice_eq(v->text, SLICE_LIT("false")) ||
                                                     slice_eq(v->text, SLICE_LIT("0")))))
                *out = false;
        else
                fielderr_add(e, field, IS_INVALID);
}

static void cast_bool(const struct value *in, const char *name, bool *out, struct fielderr *e)
{
        cast_bool_as(in, name, name, out, e);
}

/* The generous one of `live` and `live_sse`: whatever is there and is not `false` is true. */
static bool cast_flag(const struct value *in, const char *name, bool *out)
{
        const struct value *v = value_find(in, slice_cstr(name));
        if (!v)
                return false;
        *out = v->type != VALUE_FALSE &&
               !(v->type == VALUE_STRING && slice_eq(v->text, SLICE_LIT("false")));
        return true;
}

/* One of two words; the index of the word found. */
static int cast_word(const struct value *in, const char *name, struct slice first,
                     struct slice second, struct fielderr *e)
{
        struct slice text = first;
        if (!params_cast_string(in, slice_cstr(name), name, &text, e))
                return 0;
        if (slice_eq(text, first))
                return 0;
        if (!slice_eq(text, second))
                fielderr_add(e, name, IS_INVALID);
        return 1;
}

/* ---- $1, $2, … */

struct numbered {
        uint64_t number;
        struct slice text;
};

static int by_number(const void *a, const void *b)
{
        uint64_t x = ((const struct numbered *)a)->number, y = ((const struct numbered *)b)->number;
        return (x > y) - (x < y);
}

static bool cast_scalar(const struct value *v, struct slice *out)
{
        switch (v->type) {
        case VALUE_STRING:
        case VALUE_NUMBER:
                *out = v->text;
                return !text_has_nul(v->text);
        case VALUE_TRUE:
                *out = SLICE_LIT("true");
                return true;
        case VALUE_FALSE:
                *out = SLICE_LIT("false");
                return true;
        case VALUE_JSON_NULL:
        case VALUE_LIST:
        case VALUE_MAP:
                return false;
        }
        return false;
}

/* NULL and one error when the members cannot be sorted into places. */
static struct numbered *number_members(struct arena *a, const struct value *map, const char *field,
                                       struct fielderr *e)
{
        struct numbered *list = arena_array(a, map->n_members, sizeof(*list));
        for (uint32_t i = 0; i < map->n_members; i++) {
                if (slice_parse_u64(map->members[i].key, &list[i].number) != 0) {
                        fielderr_add(e, field,
                                     SLICE_LIT("Parameters can only use numbers as keys"));
                        return NULL;
                }
                if (!cast_scalar(map->members[i].value, &list[i].text)) {
                        fielderr_add(e, field, IS_INVALID);
                        return NULL;
                }
        }
        qsort(list, map->n_members, sizeof(*list), by_number);
        return list;
}

void params_cast_positional(struct arena *a, const struct value *map, const char *field,
                            struct slice **out, uint32_t *n, struct fielderr *e)
{
        if (is_absent(map))
                return;
        if (map->type != VALUE_MAP || map->n_members > DEFINITION_MAX_PARAMS) {
                fielderr_add(e, field, IS_INVALID);
                return;
        }
        struct numbered *list = number_members(a, map, field, e);
        if (!list)
                return;
        struct slice *texts = arena_array(a, map->n_members, sizeof(*texts));
        for (uint32_t i = 0; i < map->n_members; i++) {
                if (list[i].number != i + 1) {
                        fielderr_add(e, field,
                                     SLICE_LIT("Parameters must be numbered sequentially, starting "
                                               "from 1"));
                        return;
                }
                texts[i] = list[i].text;
        }
        *out = texts;
        *n = map->n_members;
}

/* ---- stages of §2.1, in their order */

struct raw {
        struct slice table, offset, where, columns, queryable;
        const struct value *params;
};

static void stage_casts(struct arena *a, enum params_for what, const struct value *q,
                        struct params *p, struct raw *raw, struct fielderr *e)
{
        cast_string(q, "table", &raw->table, e);
        cast_string(q, "offset", &raw->offset, e);
        cast_opaque(q, "handle", &p->handle, e);
        cast_opaque(q, "cursor", &p->cursor, e);
        cast_string(q, "where", &raw->where, e);
        cast_string(q, "columns", &raw->columns, e);
        cast_string(q, "queryable_columns", &raw->queryable, e);
        cast_bool(q, "experimental_compaction", &p->compaction, e);
        p->def.replica = (enum replica_mode)cast_word(q, "replica", SLICE_LIT("default"),
                                                      SLICE_LIT("full"), e);
        p->def.log =
                (enum log_mode)cast_word(q, "log", SLICE_LIT("full"), SLICE_LIT("changes_only"), e);
        raw->params = value_find(q, SLICE_LIT("params"));
        if (raw->params && raw->params->type != VALUE_MAP && !is_absent(raw->params))
                fielderr_add(e, "params", IS_INVALID);
        if (what == PARAMS_DELETE) {
                cast_bool(q, "live", &p->live, e);
                return;
        }
        cast_flag(q, "live", &p->live);
        if (!cast_flag(q, "live_sse", &p->live_sse))
                cast_bool_as(q, "experimental_live_sse", "live_sse", &p->live_sse, e);
        const struct value *subset = value_find(q, SLICE_LIT("subset"));
        p->is_subset = subset && subset->type == VALUE_MAP;
        if (p->is_subset)
                params_cast_subset(a, subset, &p->subset, e);
        if (raw->offset.len == 0)
                fielderr_add(e, "offset", IS_BLANK);
}

static void stage_offset(struct params *p, const struct raw *raw, struct fielderr *e)
{
        if (offset_parse(raw->offset, &p->offset) != 0)
                fielderr_add(e, "offset", SLICE_LIT("has invalid format"));
}

/* With -1 and now a handle only keeps caches apart. */
static void stage_handle(struct params *p, struct fielderr *e)
{
        if (p->offset.kind != OFFSET_AT)
                p->handle = SLICE_EMPTY;
        else if (p->handle.len == 0)
                fielderr_add(e, "handle", SLICE_LIT("can't be blank when offset != -1"));
}

static void stage_live(struct params *p, struct fielderr *e)
{
        if (!p->live)
                return;
        if (p->offset.kind == OFFSET_BEFORE_ALL)
                fielderr_add(e, "live", SLICE_LIT("can't be true when offset == -1"));
        else if (p->offset.kind == OFFSET_NOW)
                fielderr_add(e, "live", SLICE_LIT("can't be true when offset is 'now'"));
}

static void stage_sse(struct params *p, struct fielderr *e)
{
        if (p->live_sse && !p->live)
                fielderr_add(e, "live_sse", SLICE_LIT("can't be true unless live is also true"));
}

static bool parse_columns(struct arena *a, struct slice text, const char *field, bool *has,
                          struct slice **list, uint32_t *n, struct fielderr *e)
{
        struct buf why;
        if (text.len == 0)
                return true;
        buf_init(&why, 64 * 1024);
        int err = ident_parse_list(a, text, list, n, &why);
        if (err != 0)
                fielderr_add(e, field, buf_slice(&why));
        *has = err == 0;
        buf_fini(&why);
        return err == 0;
}

static bool parse_table(struct arena *a, struct slice text, struct definition *d,
                        struct fielderr *e)
{
        struct buf why;
        buf_init(&why, 64 * 1024);
        int err = ident_parse_relation(a, text, &d->schema, &d->table, &why);
        if (err != 0)
                fielderr_add(e, "table", buf_slice(&why));
        buf_fini(&why);
        return err == 0;
}

/* `columns` hides `where`, a bad table hides both. */
static void stage_shape(struct arena *a, struct params *p, const struct raw *raw,
                        struct fielderr *e)
{
        struct definition *d = &p->def;
        if (raw->table.len == 0) {
                fielderr_add(e, "table", IS_BLANK);
                return;
        }
        if (!parse_table(a, raw->table, d, e) ||
            !parse_columns(a, raw->queryable, "queryable_columns", &d->has_queryable, &d->queryable,
                           &d->n_queryable, e) ||
            !parse_columns(a, raw->columns, "columns", &d->has_columns, &d->columns, &d->n_columns,
                           e))
                return;
        d->where = text_trim(raw->where);
        params_cast_positional(a, raw->params, "params", &d->params, &d->n_params, e);
}

static void run_stages(struct arena *a, enum params_for what, const struct value *query,
                       struct params *p, struct fielderr *e)
{
        struct raw raw = {SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, NULL};
        stage_casts(a, what, query, p, &raw, e);
        p->has_table = raw.table.len > 0;
        if (what == PARAMS_GET) {
                if (!fielderr_any(e))
                        stage_offset(p, &raw, e);
                if (!fielderr_any(e))
                        stage_handle(p, e);
                if (!fielderr_any(e))
                        stage_live(p, e);
                if (!fielderr_any(e))
                        stage_sse(p, e);
        } else if (!p->has_table && p->handle.len == 0 && !fielderr_any(e)) {
                fielderr_add(e, "handle",
                             SLICE_LIT("can't be blank when shape definition is missing"));
        }
        if (!fielderr_any(e) && (what == PARAMS_GET || p->has_table))
                stage_shape(a, p, &raw, e);
}

int params_parse(struct arena *a, enum params_for what, const struct value *query,
                 struct params *out, struct buf *error)
{
        struct fielderr errors;
        struct params p = {.handle = SLICE_EMPTY, .cursor = SLICE_EMPTY};
        p.def.where = SLICE_EMPTY;
        p.subset.where = p.subset.order_by = SLICE_EMPTY;
        fielderr_init(&errors, a);
        run_stages(a, what, query, &p, &errors);
        if (fielderr_any(&errors)) {
                fielderr_json(&errors, error);
                return ERR_INVAL;
        }
        *out = p;
        return 0;
}
