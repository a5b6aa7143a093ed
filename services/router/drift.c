/* What the catalog's new description of a table means for its shapes (protocol §7.4): gone, or
 * carried over to it. */
#include "services/router/engine.h"

#include "common/base/mem.h"

static bool same_key(const struct table *a, const struct table *b)
{
        if (a->n_pk != b->n_pk)
                return false;
        for (uint32_t i = 0; i < a->n_pk; i++)
                if (!slice_eq(a->columns[a->pk[i]].name, b->columns[b->pk[i]].name))
                        return false;
        return true;
}

static bool same_column(const struct table_column *a, const struct table_column *b)
{
        return a->type_oid == b->type_oid && slice_eq(a->type_name, b->type_name) &&
               a->type_mod == b->type_mod && a->dims == b->dims && a->render == b->render &&
               a->generated == b->generated;
}

static bool adds_column(const struct table *old, const struct table *now)
{
        for (uint32_t i = 0; i < now->n_columns; i++)
                if (table_find_column(old, now->columns[i].name) < 0)
                        return true;
        return false;
}

/* Every column that the view needs is there as it was. */
static bool still_fits(const struct view *v, const struct table *now)
{
        const struct table *old = v->version->table;
        if (!slice_eq(old->schema, now->schema) || !slice_eq(old->name, now->name) ||
            old->kind != now->kind || !same_key(old, now))
                return false;
        /* without a primary key the key is every column */
        if (old->n_pk == 0 && (adds_column(old, now) || old->n_columns != now->n_columns))
                return false;
        for (uint32_t i = 0; i < old->n_columns; i++) {
                if (!projection_needs(v->projection, i))
                        continue;
                int at = table_find_column(now, old->columns[i].name);
                if (at < 0 || !same_column(&old->columns[i], &now->columns[at]))
                        return false;
        }
        return true;
}

/* The same columns of the new description; the handle stays, the schema header may differ. */
static void carry_over(struct engine *e, struct shape *s, struct slice encoded,
                       const struct table *now)
{
        struct view *old = s->view, *view;
        uint32_t *columns = mem_array(old->n_columns ? old->n_columns : 1, sizeof(*columns));
        for (uint32_t i = 0; i < old->n_columns; i++) {
                struct slice name = old->version->table->columns[old->columns[i]].name;
                columns[i] = (uint32_t)table_find_column(now, name);
        }
        int err = match_view_decode(&e->shapes.match, now->oid, encoded, columns, old->n_columns,
                                    old->replica, &view);
        mem_free(columns);
        if (err) {
                engine_remove(e, s, GONE_CHANGED, SLICE_EMPTY);
                return;
        }
        match_remove(&e->shapes.match, s);
        s->view = view;
        match_add(&e->shapes.match, s);
        view_unref(old);
        s->record_dirty = s->notify_schema = true;
        engine_dirty(e, s);
}

static void drift_shape(struct engine *e, struct shape *s, struct slice encoded,
                        const struct table *now)
{
        const struct view *v = s->view;
        if (!now || !still_fits(v, now) || (s->all_columns && adds_column(v->version->table, now)))
                engine_remove(e, s, GONE_CHANGED, SLICE_EMPTY);
        else if (!slice_eq(view_table_bytes(v), encoded))
                carry_over(e, s, encoded, now);
}

static bool is_known(const struct topic *t, struct slice encoded)
{
        for (const struct list *n = t->versions.next; n != &t->versions; n = n->next)
                if (!slice_eq(LIST_OBJ(n, struct version, node)->encoded, encoded))
                        return false;
        return true;
}

void engine_drift(struct engine *e, uint32_t oid, const struct table *now)
{
        struct buf encoded;
        size_t cursor = 0;
        const struct topic *topic = match_topic(&e->shapes.match, oid);
        if (!topic)
                return;
        buf_init(&encoded, (size_t)16 << 20);
        if (now)
                table_encode(now, &encoded);
        bool changed = !now || !is_known(topic, buf_slice(&encoded));
        while (changed) {
                struct shape *s = registry_next(&e->shapes, &cursor);
                if (!s)
                        break;
                if (s->view->version->topic->oid == oid)
                        drift_shape(e, s, buf_slice(&encoded), now);
        }
        buf_fini(&encoded);
}
