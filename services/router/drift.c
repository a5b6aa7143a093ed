/* What the catalog's new description of a table means for its shapes (protocol §7.4): gone, or
 * carried over to it. */
#include "services/router/engine.h"

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "services/router/zone.h"

enum { WHY_MAX_BYTES = 4096 };

static bool same_key(const struct table *a, const struct table *b)
{
        if (a->n_pk != b->n_pk)
                return false;
        for (uint32_t i = 0; i < a->n_pk; i++)
                if (!slice_eq(a->columns[a->pk[i]].name, b->columns[b->pk[i]].name))
                        return false;
        return true;
}

/* What a clause may rely on besides the type. */
static bool same_collation(const struct view *v, uint32_t column, const struct table_column *now)
{
        return !v->uses[column] || v->version->table->columns[column].collation == now->collation;
}

static bool same_column(const struct table_column *a, const struct table_column *b)
{
        return a->type_oid == b->type_oid && slice_eq(a->type_name, b->type_name) &&
               slice_eq(a->enum_name, b->enum_name) && a->type_mod == b->type_mod &&
               a->dims == b->dims && a->render == b->render && a->generated == b->generated;
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
            old->kind != now->kind || !same_key(old, now) ||
            !tree_continues(&old->tree, &now->tree, now->links, now->n_links))
                return false;
        /* without a primary key the key is every column */
        if (old->n_pk == 0 && (adds_column(old, now) || old->n_columns != now->n_columns))
                return false;
        for (uint32_t i = 0; i < old->n_columns; i++) {
                if (!view_needs(v, i))
                        continue;
                int at = table_find_column(now, old->columns[i].name);
                if (at < 0 || !same_column(&old->columns[i], &now->columns[at]) ||
                    !same_collation(v, i, &now->columns[at]))
                        return false;
        }
        return true;
}

/* The clause speaks of columns by their place in the table. */
static int recompile(const struct shape *s, const struct table *now, struct where **out)
{
        struct definition d;
        struct buf why;
        int err = definition_decode(s->definition, &d);
        SLUICE_ASSERT(err == 0);
        buf_init(&why, WHY_MAX_BYTES);
        err = clause_compile(&d, now, out, &why);
        if (!err && *out && s->clause)
                where_assume_power(*out, zone_set_power(s->clause->zones));
        buf_fini(&why);
        definition_fini(&d);
        return err;
}

static void move_to(struct engine *e, struct shape *s, struct clause *clause, struct view *view)
{
        struct view *old = s->view;
        match_remove(&e->shapes.match, s);
        clause_free(s->clause);
        s->clause = clause;
        s->view = view;
        match_add(&e->shapes.match, s);
        view_unref(old);
        s->record_dirty = s->notify_schema = true;
        engine_dirty(e, s);
}

/* The same columns of the new description; the handle stays, the schema header may differ. */
static int carry_over(struct engine *e, struct shape *s, struct slice encoded,
                      const struct table *now)
{
        struct view *old = s->view, *view;
        struct where *where;
        int err = recompile(s, now, &where);
        if (err)
                return err;
        uint32_t *columns = mem_array(old->n_columns ? old->n_columns : 1, sizeof(*columns));
        for (uint32_t i = 0; i < old->n_columns; i++) {
                struct slice name = old->version->table->columns[old->columns[i]].name;
                columns[i] = (uint32_t)table_find_column(now, name);
        }
        err = match_view_decode(&e->shapes.match, now->oid, encoded,
                                &(struct view_spec){.columns = columns,
                                                    .n_columns = old->n_columns,
                                                    .replica = old->replica,
                                                    .all_columns = old->all_columns,
                                                    .where = where},
                                &view);
        mem_free(columns);
        if (err)
                where_free(where);
        else
                move_to(e, s, where ? clause_new(where, view->version->table) : NULL, view);
        return err;
}

/* A shape whose snapshot is still to be taken finds out by itself. */
static bool is_cut_off(const struct shape *s, const struct table *now)
{
        return s->member != 0 && s->member != now->member;
}

/* The catalog was asked before the shape's snapshot was taken, perhaps before its table was
 * published. */
static bool is_stale(const struct shape *s, const struct table *now)
{
        return now && now->asked_ms != 0 && now->asked_ms <= s->began_ms;
}

static void drift_shape(struct engine *e, struct shape *s, struct slice encoded,
                        const struct table *now)
{
        const struct view *v = s->view;
        if (now && (now->hidden || is_cut_off(s, now))) {
                engine_remove(e, s, now->hidden ? GONE_HIDDEN : GONE_UNPUBLISHED, SLICE_EMPTY);
                return;
        }
        if (now && slice_eq(view_table_bytes(v), encoded))
                return;
        if (!now || !still_fits(v, now) ||
            (v->all_columns && adds_column(v->version->table, now)) ||
            carry_over(e, s, encoded, now) != 0)
                engine_remove(e, s, GONE_CHANGED, SLICE_EMPTY);
}

static bool is_known(const struct topic *t, struct slice encoded)
{
        for (const struct list *n = t->versions.next; n != &t->versions; n = n->next)
                if (!slice_eq(LIST_OBJ(n, struct version, node)->encoded, encoded))
                        return false;
        return true;
}

bool engine_drift(struct engine *e, uint32_t oid, const struct table *now)
{
        bool decided = true;
        struct buf encoded;
        size_t cursor = 0;
        struct topic *topic = match_topic(&e->shapes.match, oid);
        if (!topic)
                return true;
        buf_init(&encoded, (size_t)16 << 20);
        if (now)
                table_encode(now, &encoded);
        bool changed = !now || now->hidden || !is_known(topic, buf_slice(&encoded)) ||
                       (topic->member != 0 && topic->member != now->member);
        while (changed) {
                struct shape *s = registry_next(&e->shapes, &cursor);
                if (!s)
                        break;
                if (s->view->version->topic->oid != oid)
                        continue;
                if (is_stale(s, now))
                        decided = false;
                else
                        drift_shape(e, s, buf_slice(&encoded), now);
        }
        if (changed && decided) /* the shapes that are left have the same, or none yet */
                topic->member = now ? now->member : 0;
        buf_fini(&encoded);
        return decided;
}

void engine_zone_differs(struct engine *e, const struct zone *z)
{
        size_t cursor = 0;
        for (struct shape *s; (s = registry_next(&e->shapes, &cursor));)
                if (s->clause && zone_set_has(s->clause->zones, z))
                        engine_remove(e, s, GONE_ZONE, SLICE_EMPTY);
}
