#include "services/router/where.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/where_node.h"
#include "services/router/where_text.h"

enum { WHERE_MAGIC = 0x3e4e5e01 };

struct where {
        uint32_t magic;
        struct where_node *root;
        bool *uses; /* by table column index */
        uint32_t n_columns;
        bool needs_bytewise, needs_ctype, settles_zones;
        struct zone_set zones;
        enum where_power_rules power; /* zone_set_power() of them */
        struct where_equality *equalities;
        uint32_t n_equalities;
        struct slice sql;
        struct where_scratch arena;
};

static bool is_blank(struct slice text)
{
        for (size_t i = 0; i < text.len; i++)
                if (!(text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r')))
                        return false;
        return true;
}

static int judge_text(struct slice text, const struct slice *params, uint32_t n_params,
                      struct buf *why)
{
        if (is_blank(text))
                return ERR_NOTFOUND;
        if (text.len > WHERE_MAX_BYTES) {
                buf_printf(why, "WHERE clause is bigger than maximum size of %d bytes",
                           WHERE_MAX_BYTES);
                return ERR_INVAL;
        }
        bool valid = where_text_is_valid(text);
        for (uint32_t i = 0; valid && i < n_params; i++)
                valid = where_text_is_valid(params[i]);
        if (!valid) {
                buf_puts(why, "invalid byte sequence for encoding \"UTF8\"");
                return ERR_INVAL;
        }
        return 0;
}

static void survey(struct where *w, const struct where_node *n)
{
        if (n->kind == ND_COLUMN)
                w->uses[n->column] = true;
        for (uint32_t i = 0; i < n->n; i++)
                survey(w, n->args[i]);
}

static void keep_sql(struct where *w, const struct table *t)
{
        struct buf sql;
        buf_init(&sql, SIZE_MAX / 2);
        where_node_sql(w->root, t, &sql);
        w->sql = buf_take(&sql);
}

static struct slice *copy_params(struct where *w, const struct slice *params, uint32_t n)
{
        struct slice *copies = where_alloc(&w->arena, (n + 1) * sizeof(*copies));
        for (uint32_t i = 0; i < n; i++) {
                char *p = where_alloc(&w->arena, params[i].len + 1);
                memcpy(p, params[i].len ? params[i].p : "", params[i].len);
                copies[i] = slice_of(p, params[i].len);
        }
        return copies;
}

static int compile(struct where *w, struct slice text, const struct table *t, const bool *usable,
                   const struct slice *params, uint32_t n_params, struct buf *why)
{
        struct where_parsed *parsed;
        int rc = where_parse(text, &w->arena, &parsed, why);
        if (rc)
                return rc;
        struct where_check check = {.arena = &w->arena,
                                    .table = t,
                                    .usable = usable,
                                    .params = copy_params(w, params, n_params),
                                    .n_params = n_params,
                                    .why = why};
        check.param_types = where_alloc(&w->arena, (n_params + 1) * sizeof(*check.param_types));
        for (uint32_t i = 0; i < n_params; i++)
                check.param_types[i] = WT_UNKNOWN;
        w->root = where_check_clause(&check, parsed);
        if (!w->root)
                return ERR_INVAL;
        w->n_columns = t->n_columns;
        w->uses = where_alloc(&w->arena, (t->n_columns + 1) * sizeof(bool));
        memset(w->uses, 0, (t->n_columns + 1) * sizeof(bool));
        survey(w, w->root);
        w->needs_bytewise = check.orders_strings;
        w->needs_ctype = check.maps_cases;
        w->zones = check.zones;
        w->power = zone_set_power(&w->zones);
        w->settles_zones = check.settles_zones;
        where_node_optimize(w->root, &w->arena);
        w->n_equalities = where_node_equalities(w->root, &w->arena, &w->equalities);
        keep_sql(w, t);
        return 0;
}

int where_compile(struct slice text, const struct table *t, const bool *usable,
                  const struct slice *params, uint32_t n_params, struct where **out,
                  struct buf *why)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        SLUICE_ASSERT(n_params == 0 || params);
        int rc = judge_text(text, params, n_params, why);
        if (rc)
                return rc;
        struct where *w = mem_new(struct where);
        w->magic = WHERE_MAGIC;
        where_scratch_init(&w->arena);
        rc = compile(w, text, t, usable, params, n_params, why);
        if (rc)
                where_free(w);
        else
                *out = w;
        return rc;
}

void where_free(struct where *w)
{
        if (!w)
                return;
        CHECK_OBJ(w, WHERE_MAGIC);
        mem_free((void *)(uintptr_t)w->sql.p);
        where_scratch_fini(&w->arena);
        w->magic = 0;
        mem_free(w);
}

enum where_verdict where_eval(const struct where *w, struct row row)
{
        struct where_scratch scratch;
        struct where_ctx c = {.scratch = &scratch, .power = w->power};
        struct where_value v;
        CHECK_OBJ(w, WHERE_MAGIC);
        SLUICE_ASSERT(row.n == w->n_columns);
        where_scratch_init(&scratch);
        bool ok = where_node_eval(&c, w->root, row, &v);
        where_scratch_fini(&scratch);
        if (!ok)
                return WHERE_ERROR;
        return v.null ? WHERE_NULL : v.b ? WHERE_TRUE : WHERE_FALSE;
}

bool where_uses(const struct where *w, uint32_t column)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        return column < w->n_columns && w->uses[column];
}

bool where_needs_bytewise_collation(const struct where *w)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        return w->needs_bytewise;
}

bool where_needs_utf8_ctype(const struct where *w)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        return w->needs_ctype;
}

const struct zone_set *where_zones(const struct where *w)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        return w->zones.n ? &w->zones : NULL;
}

void where_assume_power(struct where *w, enum where_power_rules rules)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        if (!w->power || !rules)
                return;
        zone_set_power_to(&w->zones, rules);
        w->power = rules;
}

bool where_settles_zones(const struct where *w)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        return w->settles_zones;
}

void where_sql(const struct where *w, struct buf *out)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        buf_put_slice(out, w->sql);
}

uint32_t where_equalities(const struct where *w, const struct where_equality **out)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        *out = w->equalities;
        return w->n_equalities;
}

bool where_is_equality(const struct where *w)
{
        CHECK_OBJ(w, WHERE_MAGIC);
        return w->n_equalities == 1 && w->root->kind != ND_AND;
}
