#include "services/router/clause.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/shape.h"
#include "services/router/zone.h"

enum { BOOL_OID = 16 };

/* ---- the clause */

int clause_compile(const struct definition *d, const struct table *t, struct where **out,
                   struct buf *why)
{
        *out = NULL;
        if (d->where.len == 0)
                return 0;
        int err = where_compile(d->where, t, NULL, d->params, d->n_params, out, why);
        return err == ERR_NOTFOUND ? 0 : err;
}

void clause_identity(const struct definition *d, const struct where *where, struct buf *out)
{
        struct definition plain = *d;
        struct buf sql;
        buf_init(&sql, SIZE_MAX / 2);
        if (where)
                where_sql(where, &sql);
        plain.where = buf_slice(&sql);
        plain.params = NULL;
        plain.n_params = 0;
        if (!d->has_columns && d->has_queryable) {
                plain.has_columns = true;
                plain.columns = d->queryable;
                plain.n_columns = d->n_queryable;
        }
        plain.has_queryable = false;
        plain.queryable = NULL;
        plain.n_queryable = 0;
        definition_encode(out, &plain);
        buf_fini(&sql);
}

/* The better one to be found by: a key column's value is rare, a boolean's is not. */
static int selectivity(const struct table *t, uint32_t column)
{
        if (t->columns[column].pk_index >= 0)
                return 2;
        return t->columns[column].type_oid != BOOL_OID;
}

static const struct where_equality *choose(const struct where *w, const struct table *t)
{
        const struct where_equality *all, *best = NULL;
        uint32_t n = where_equalities(w, &all);
        for (uint32_t i = 0; i < n; i++)
                if (!best || selectivity(t, all[i].column) > selectivity(t, best->column))
                        best = &all[i];
        return best;
}

static void keep_zones(struct clause *c)
{
        const struct zone_set *zones = where_zones(c->where);
        if (!zones)
                return;
        c->zones = mem_new(struct zone_set);
        *c->zones = *zones;
        zone_set_use(c->zones);
}

struct clause *clause_new(struct where *where, const struct table *t)
{
        SLUICE_ASSERT(where);
        struct clause *c = mem_new(struct clause);
        const struct where_equality *e = choose(where, t);
        c->where = where;
        keep_zones(c);
        if (!e)
                return c;
        c->indexed = true;
        c->column = e->column;
        c->n_texts = e->n;
        c->texts = (struct slice *)(uintptr_t)e->texts;
        if (e->n == 1 && where_is_equality(where)) {
                c->text = slice_dup(e->texts[0]);
                c->texts = &c->text;
                c->where = NULL;
                where_free(where);
        }
        if (c->n_texts > 1)
                c->many = mem_zalloc(c->n_texts * sizeof(*c->many));
        return c;
}

void clause_free(struct clause *c)
{
        if (!c)
                return;
        where_free(c->where);
        mem_free((void *)(uintptr_t)c->text.p);
        zone_set_unuse(c->zones);
        mem_free(c->zones);
        mem_free(c->many);
        mem_free(c);
}

static bool has_text(struct row row, uint32_t column, struct slice text)
{
        const struct change_value *v = &row.values[column];
        return v->kind == VALUE_TEXT && slice_eq(v->text, text);
}

bool clause_has(const struct clause *c, struct row row)
{
        if (row.n == 0)
                return false;
        if (!c)
                return true;
        if (!c->where)
                return has_text(row, c->column, c->text);
        return where_eval(c->where, row) == WHERE_TRUE;
}

/* ---- the index */

struct clause_column {
        uint32_t column;
        struct hmap texts; /* text -> first posting */
};

void clause_index_init(struct clause_index *x)
{
        *x = (struct clause_index){0};
        list_init(&x->rest);
}

void clause_index_fini(struct clause_index *x)
{
        SLUICE_ASSERT(list_empty(&x->rest));
        for (uint32_t i = 0; i < x->n_columns; i++) {
                SLUICE_ASSERT(hmap_count(&x->columns[i].texts) == 0);
                hmap_fini(&x->columns[i].texts);
        }
        mem_free(x->columns);
        x->columns = NULL;
        x->n_columns = 0;
}

/* A column stays when its last shape leaves: a look-up may be on its way through. */
static struct hmap *column_texts(struct clause_index *x, uint32_t column)
{
        for (uint32_t i = 0; i < x->n_columns; i++)
                if (x->columns[i].column == column)
                        return &x->columns[i].texts;
        x->columns = mem_resize(x->columns, x->n_columns + 1, sizeof(*x->columns));
        struct clause_column *c = &x->columns[x->n_columns++];
        c->column = column;
        hmap_init(&c->texts);
        return &c->texts;
}

static struct posting *posting_at(struct clause *c, uint32_t i)
{
        return c->many ? &c->many[i] : &c->one;
}

static void post(struct hmap *texts, struct slice text, struct posting *p)
{
        p->prev = NULL;
        p->next = hmap_put(texts, text, p);
        if (p->next)
                p->next->prev = p;
}

static void unpost(struct hmap *texts, struct slice text, struct posting *p)
{
        if (p->next)
                p->next->prev = p->prev;
        if (p->prev)
                p->prev->next = p->next;
        else if (p->next)
                hmap_put(texts, text, p->next);
        else
                hmap_take(texts, text);
        p->prev = p->next = NULL;
}

void clause_index_add(struct clause_index *x, struct shape *s)
{
        struct clause *c = s->clause;
        if (!c || !c->indexed) {
                list_push_back(&x->rest, &s->in_rest);
                return;
        }
        struct hmap *texts = column_texts(x, c->column);
        for (uint32_t i = 0; i < c->n_texts; i++) {
                posting_at(c, i)->shape = s;
                post(texts, c->texts[i], posting_at(c, i));
        }
}

void clause_index_remove(struct clause_index *x, struct shape *s)
{
        struct clause *c = s->clause;
        if (!c || !c->indexed) {
                list_remove(&s->in_rest);
                return;
        }
        struct hmap *texts = column_texts(x, c->column);
        for (uint32_t i = 0; i < c->n_texts; i++)
                unpost(texts, c->texts[i], posting_at(c, i));
}

/* What NULL equals is unknown. */
static void find_value(struct clause_index *x, const struct clause_column *at, struct row row,
                       clause_index_callback *cb, void *arg)
{
        if (row.n == 0 || row.values[at->column].kind != VALUE_TEXT)
                return;
        struct posting *p = hmap_find(&at->texts, row.values[at->column].text);
        for (struct posting *next; p; p = next) {
                next = p->next;
                if (p->shape->clause->turn == x->turn)
                        continue; /* the other row has found it */
                p->shape->clause->turn = x->turn;
                cb(arg, p->shape);
        }
}

void clause_index_find(struct clause_index *x, struct row old_row, struct row new_row,
                       clause_index_callback *cb, void *arg)
{
        x->turn++;
        for (uint32_t i = 0; i < x->n_columns; i++) {
                find_value(x, &x->columns[i], old_row, cb, arg);
                find_value(x, &x->columns[i], new_row, cb, arg);
        }
        for (struct list *l = x->rest.next, *next; l != &x->rest; l = next) {
                next = l->next;
                cb(arg, LIST_OBJ(l, struct shape, in_rest));
        }
}
