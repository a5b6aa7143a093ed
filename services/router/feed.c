#include "services/router/feed.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

struct feed *feed_new(const struct change_relation *r)
{
        uint32_t n = r->n_ancestors + 1;
        SLUICE_ASSERT(n <= FEED_MAX_TABLES);
        struct feed *f = mem_zalloc(sizeof(*f) + n * sizeof(f->tables[0]));
        f->oid = f->tables[0] = r->oid;
        f->relation = slice_dup(r->encoded);
        f->n_columns = r->n_columns;
        f->n_tables = n;
        for (uint32_t i = 1; i < n; i++)
                f->tables[i] = r->ancestors[i - 1].oid;
        return f;
}

void feed_free(struct feed *f)
{
        if (!f)
                return;
        mem_free((void *)(uintptr_t)f->relation.p);
        mem_free(f);
}

bool feed_has(const struct feed *f, uint32_t oid)
{
        for (uint32_t i = 0; i < f->n_tables; i++)
                if (f->tables[i] == oid)
                        return true;
        return false;
}

/* ---- placement */

static uint32_t find_column(const struct change_relation *r, struct slice name)
{
        for (uint32_t i = 0; i < r->n_columns; i++)
                if (slice_eq(r->columns[i].name, name))
                        return i;
        return NO_SOURCE;
}

static bool relation_adds(const struct table *t, const struct change_relation *r)
{
        for (uint32_t i = 0; i < r->n_columns; i++)
                if (table_find_column(t, r->columns[i].name) < 0)
                        return true;
        return false;
}

/* The partition, or one that it is in, was attached to the table with rows that the shapes made
 * from this description have not seen. */
static bool brought_rows(const struct table *t, const struct change_relation *r, uint32_t step)
{
        for (uint32_t i = 0; i < step; i++)
                if (!r->ancestors[i].born && tree_is_later(&t->tree, r->ancestors[i].since))
                        return true;
        return false;
}

static bool is_strange(const struct table *t, const struct change_relation *r, uint32_t step)
{
        if (step > 0)
                return brought_rows(t, r, step);
        return !slice_eq(t->schema, r->schema) || !slice_eq(t->name, r->table);
}

struct placement *placement_new(const struct table *t, const struct change_relation *r,
                                uint32_t step)
{
        SLUICE_ASSERT(step <= r->n_ancestors);
        uint32_t n = t->n_columns ? t->n_columns : 1;
        struct placement *p = mem_new(struct placement);
        p->source = mem_array(n, sizeof(*p->source));
        p->same = mem_array(n, sizeof(*p->same));
        for (uint32_t i = 0; i < t->n_columns; i++) {
                uint32_t at = find_column(r, t->columns[i].name);
                p->source[i] = at;
                p->same[i] = at != NO_SOURCE && r->columns[at].type_oid == t->columns[i].type_oid &&
                             r->columns[at].type_mod == t->columns[i].type_mod;
        }
        p->adds = relation_adds(t, r);
        p->strange = is_strange(t, r, step);
        return p;
}

void placement_free(struct placement *p)
{
        if (!p)
                return;
        mem_free(p->source);
        mem_free(p->same);
        mem_free(p);
}
