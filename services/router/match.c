#include "services/router/match.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

#define TABLE_MAX_BYTES ((size_t)16 << 20)

void match_init(struct match *m)
{
        hmap_init(&m->topics);
        hmap_init(&m->feeds);
}

void match_fini(struct match *m)
{
        size_t cursor = 0;
        SLUICE_ASSERT(hmap_count(&m->topics) == 0);
        hmap_fini(&m->topics);
        for (struct feed *f; (f = hmap_next(&m->feeds, &cursor, NULL));)
                feed_free(f);
        hmap_fini(&m->feeds);
}

/* ---- topics and versions live as long as a view of theirs */

struct topic *match_topic(const struct match *m, uint32_t oid)
{
        return hmap_find(&m->topics, HMAP_KEY(oid));
}

static struct topic *topic_get(struct match *m, uint32_t oid)
{
        struct topic *t = match_topic(m, oid);
        if (t)
                return t;
        t = mem_new(struct topic);
        t->oid = oid;
        t->match = m;
        list_init(&t->versions);
        hmap_put(&m->topics, HMAP_KEY(oid), t);
        return t;
}

/* The next batch must place the columns of a new version. */
static void topic_new_version(const struct topic *t)
{
        size_t cursor = 0;
        for (struct feed *f; (f = hmap_next(&t->match->feeds, &cursor, NULL));)
                f->stale |= feed_has(f, t->oid);
}

/* What other tables have no part in goes with it. What they may have stays until the relation is
 * described again: a change of theirs may be the next. */
static void topic_drop_feed(const struct topic *t)
{
        const struct feed *f = hmap_find(&t->match->feeds, HMAP_KEY(t->oid));
        if (f && f->n_tables == 1)
                feed_free(hmap_take(&t->match->feeds, HMAP_KEY(t->oid)));
}

static void topic_drop_if_unused(struct topic *t)
{
        if (!list_empty(&t->versions))
                return;
        SLUICE_ASSERT(t->n_shapes == 0);
        hmap_take(&t->match->topics, HMAP_KEY(t->oid));
        topic_drop_feed(t);
        mem_free(t);
}

static struct version *version_find(const struct topic *t, struct slice encoded)
{
        for (struct list *n = t->versions.next; n != &t->versions; n = n->next) {
                struct version *v = LIST_OBJ(n, struct version, node);
                if (slice_eq(v->encoded, encoded))
                        return v;
        }
        return NULL;
}

/* Takes the table. */
static struct version *version_new(struct topic *t, struct table *table, struct slice encoded)
{
        struct version *v = mem_new(struct version);
        uint32_t n = table->n_columns;
        v->topic = t;
        v->table = table;
        v->encoded = slice_dup(encoded);
        hmap_init(&v->placements);
        v->old_row = mem_array(n ? n : 1, sizeof(*v->old_row));
        v->new_row = mem_array(n ? n : 1, sizeof(*v->new_row));
        list_init(&v->views);
        list_push_back(&t->versions, &v->node);
        topic_new_version(t);
        return v;
}

static void version_drop_if_unused(struct version *v)
{
        if (!list_empty(&v->views))
                return;
        struct topic *t = v->topic;
        size_t cursor = 0;
        list_remove(&v->node);
        for (struct placement *p; (p = hmap_next(&v->placements, &cursor, NULL));)
                placement_free(p);
        hmap_fini(&v->placements);
        table_free(v->table);
        mem_free((void *)v->encoded.p);
        mem_free(v->old_row);
        mem_free(v->new_row);
        mem_free(v);
        topic_drop_if_unused(t);
}

/* ---- views */

static bool uses_same(const struct view *w, const struct where *where)
{
        for (uint32_t i = 0; i < w->version->table->n_columns; i++)
                if (w->uses[i] != (where && where_uses(where, i)))
                        return false;
        return true;
}

static struct view *view_find(const struct version *v, const struct view_spec *spec)
{
        for (struct list *l = v->views.next; l != &v->views; l = l->next) {
                struct view *w = LIST_OBJ(l, struct view, node);
                if (w->replica == spec->replica && w->all_columns == spec->all_columns &&
                    w->n_columns == spec->n_columns &&
                    memcmp(w->columns, spec->columns, spec->n_columns * sizeof(*w->columns)) == 0 &&
                    uses_same(w, spec->where))
                        return view_ref(w);
        }
        return NULL;
}

static struct view *view_new(struct version *v, const struct view_spec *spec)
{
        struct view *w = mem_new(struct view);
        uint32_t n = spec->n_columns;
        w->magic = VIEW_MAGIC;
        w->refs = 1;
        w->version = v;
        w->replica = spec->replica;
        w->all_columns = spec->all_columns;
        w->columns = mem_array(n ? n : 1, sizeof(*w->columns));
        if (n)
                memcpy(w->columns, spec->columns, n * sizeof(*w->columns));
        w->n_columns = n;
        w->uses = mem_zalloc(v->table->n_columns + 1);
        for (uint32_t i = 0; i < v->table->n_columns; i++)
                w->uses[i] = spec->where && where_uses(spec->where, i);
        w->projection = projection_new(v->table, spec->columns, n, spec->replica);
        list_init(&w->shapes);
        clause_index_init(&w->index);
        list_push_back(&v->views, &w->node);
        return w;
}

static struct view *view_get(struct version *v, const struct view_spec *spec)
{
        struct view *w = view_find(v, spec);
        return w ? w : view_new(v, spec);
}

struct view *match_view(struct match *m, struct table *table, const struct view_spec *spec)
{
        struct buf encoded;
        buf_init(&encoded, TABLE_MAX_BYTES);
        table_encode(table, &encoded);
        struct topic *t = topic_get(m, table->oid);
        struct version *v = version_find(t, buf_slice(&encoded));
        if (v)
                table_free(table);
        else
                v = version_new(t, table, buf_slice(&encoded));
        buf_fini(&encoded);
        return view_get(v, spec);
}

static bool columns_fit(const struct table *t, const struct view_spec *spec)
{
        for (uint32_t i = 0; i < spec->n_columns; i++)
                if (spec->columns[i] >= t->n_columns)
                        return false;
        return true;
}

int match_view_decode(struct match *m, uint32_t oid, struct slice bytes,
                      const struct view_spec *spec, struct view **out)
{
        struct topic *t = match_topic(m, oid);
        struct version *v = t ? version_find(t, bytes) : NULL;
        if (!v) {
                struct table *table;
                if (table_decode(bytes, &table) != 0)
                        return ERR_CORRUPT;
                if (table->oid != oid || !columns_fit(table, spec)) {
                        table_free(table);
                        return ERR_CORRUPT;
                }
                *out = match_view(m, table, spec);
                return 0;
        }
        if (!columns_fit(v->table, spec))
                return ERR_CORRUPT;
        *out = view_get(v, spec);
        return 0;
}

struct view *view_ref(struct view *v)
{
        CHECK_OBJ(v, VIEW_MAGIC);
        v->refs++;
        return v;
}

void view_unref(struct view *v)
{
        CHECK_OBJ(v, VIEW_MAGIC);
        SLUICE_ASSERT(v->refs > 0);
        if (--v->refs > 0)
                return;
        SLUICE_ASSERT(list_empty(&v->shapes));
        struct version *version = v->version;
        list_remove(&v->node);
        clause_index_fini(&v->index);
        projection_free(v->projection);
        mem_free(v->columns);
        mem_free(v->uses);
        v->magic = 0;
        mem_free(v);
        version_drop_if_unused(version);
}

struct slice view_table_bytes(const struct view *v)
{
        return v->version->encoded;
}

bool view_needs(const struct view *v, uint32_t column)
{
        return v->uses[column] || projection_needs(v->projection, column);
}

void match_add(struct match *m, struct shape *s)
{
        SLUICE_ASSERT(s->view->version->topic->match == m);
        list_push_back(&s->view->shapes, &s->in_view);
        clause_index_add(&s->view->index, s);
        s->view->version->topic->n_shapes++;
}

void match_remove(struct match *m, struct shape *s)
{
        SLUICE_ASSERT(s->view->version->topic->match == m && !list_empty(&s->in_view));
        list_remove(&s->in_view);
        clause_index_remove(&s->view->index, s);
        s->view->version->topic->n_shapes--;
}

/* ---- relations */

static bool concerns_any(const struct match *m, const struct change_relation *r)
{
        bool any = match_topic(m, r->oid) != NULL;
        for (uint32_t i = 0; i < r->n_ancestors && !any; i++)
                any = match_topic(m, r->ancestors[i].oid) != NULL;
        return any;
}

static void forget_feed(struct match *m, uint32_t oid)
{
        feed_free(hmap_take(&m->feeds, HMAP_KEY(oid)));
}

static void place_columns(struct version *v, const struct change_relation *r, uint32_t step)
{
        placement_free(
                hmap_put(&v->placements, HMAP_KEY(r->oid), placement_new(v->table, r, step)));
        for (struct list *l = v->views.next; l != &v->views; l = l->next)
                LIST_OBJ(l, struct view, node)->placed = NULL;
}

bool match_relation(struct match *m, const struct change_relation *relation)
{
        struct feed *f = hmap_find(&m->feeds, HMAP_KEY(relation->oid));
        bool known = f && slice_eq(f->relation, relation->encoded);
        if (known && !f->stale)
                return false;
        forget_feed(m, relation->oid);
        if (!concerns_any(m, relation))
                return false;
        f = feed_new(relation);
        hmap_put(&m->feeds, HMAP_KEY(f->oid), f);
        for (uint32_t i = 0; i < f->n_tables; i++) {
                struct topic *t = match_topic(m, f->tables[i]);
                for (struct list *n = t ? t->versions.next : NULL; n && n != &t->versions;
                     n = n->next)
                        place_columns(LIST_OBJ(n, struct version, node), relation, i);
        }
        return !known;
}

/* Columns that are needed must be there, with the same types. */
static bool view_lost(const struct view *w, const struct placement *p)
{
        if (p->strange || (p->adds && w->all_columns))
                return true;
        for (uint32_t i = 0; i < w->version->table->n_columns; i++)
                if (!p->same[i] && view_needs(w, i))
                        return true;
        return false;
}

/* Relations of one table come in turns: `lost` is true of the one that `placed` is about. */
static void view_place(struct view *w, const struct placement *p)
{
        if (w->placed != p)
                w->lost = view_lost(w, p);
        w->placed = p;
}

/* ---- changes */

static const struct change_value null_value = {.kind = VALUE_NULL};

static struct row place_row(const struct version *v, const struct placement *p,
                            const struct change_tuple *tuple, const struct change_tuple *base,
                            struct change_value *room)
{
        uint32_t n = v->table->n_columns;
        if (tuple->n == 0)
                return (struct row){NULL, 0};
        for (uint32_t i = 0; i < n; i++) {
                uint32_t at = p->source[i];
                room[i] = at == NO_SOURCE ? null_value : tuple->values[at];
                if (room[i].kind == VALUE_SAME)
                        room[i] = at < base->n ? base->values[at] : null_value;
        }
        return (struct row){room, n};
}

static bool tuple_fits(const struct feed *f, const struct change_tuple *tuple)
{
        return tuple->n == 0 || tuple->n == f->n_columns;
}

static bool change_fits(const struct feed *f, const struct change *c)
{
        return tuple_fits(f, &c->new_row) && tuple_fits(f, &c->old_row);
}

struct routing {
        const struct match_rows *rows;
        match_callback *cb;
        void *arg;
};

static void judge_shape(void *arg, struct shape *s)
{
        const struct routing *r = arg;
        bool old_in = clause_has(s->clause, r->rows->old_row);
        bool new_in = clause_has(s->clause, r->rows->new_row);
        if (old_in || new_in)
                r->cb(r->arg, r->rows, s, old_in, new_in);
}

static void tell_all(const struct match_rows *rows, struct shape *only, match_callback *cb,
                     void *arg)
{
        if (only) {
                cb(arg, rows, only, false, false);
                return;
        }
        for (struct list *l = rows->view->shapes.next, *next; l != &rows->view->shapes; l = next) {
                next = l->next;
                cb(arg, rows, LIST_OBJ(l, struct shape, in_view), false, false);
        }
}

/* So does a truncate. */
static bool lacks_old_row(const struct change *c)
{
        return c->kind != CHANGE_INSERT && c->old_row.n == 0;
}

static void match_view_shapes(const struct match_rows *rows, const struct change *c,
                              struct shape *only, match_callback *cb, void *arg)
{
        struct routing routing = {rows, cb, arg};
        if (rows->view->lost || lacks_old_row(c))
                tell_all(rows, only, cb, arg);
        else if (only)
                judge_shape(&routing, only);
        else
                clause_index_find(&rows->view->index, rows->old_row, rows->new_row, judge_shape,
                                  &routing);
}

static void match_version(const struct version *v, const struct placement *p,
                          const struct change *c, struct shape *only, match_callback *cb, void *arg)
{
        struct match_rows rows = {
                .old_row = place_row(v, p, &c->old_row, &c->old_row, v->old_row),
                .new_row = place_row(v, p, &c->new_row, &c->old_row, v->new_row),
        };
        for (struct list *l = v->views.next, *next; l != &v->views; l = next) {
                next = l->next;
                rows.view = LIST_OBJ(l, struct view, node);
                if (only && only->view != rows.view)
                        continue;
                view_place(rows.view, p);
                match_view_shapes(&rows, c, only, cb, arg);
        }
}

static int match_topic_change(const struct topic *t, const struct change *c, struct shape *only,
                              match_callback *cb, void *arg)
{
        for (struct list *n = t->versions.next, *next; n != &t->versions; n = next) {
                next = n->next;
                struct version *v = LIST_OBJ(n, struct version, node);
                if (only && only->view->version != v)
                        continue;
                const struct placement *p = hmap_find(&v->placements, HMAP_KEY(c->relation_oid));
                if (!p)
                        return ERR_FORMAT; /* the batch did not describe the relation */
                match_version(v, p, c, only, cb, arg);
        }
        return 0;
}

int match_change(struct match *m, const struct change *c, struct shape *only, match_callback *cb,
                 void *arg)
{
        const struct feed *f = hmap_find(&m->feeds, HMAP_KEY(c->relation_oid));
        if (!f) /* nobody's, unless it was not described */
                return match_topic(m, c->relation_oid) ? ERR_FORMAT : 0;
        if (!change_fits(f, c))
                return ERR_FORMAT;
        for (uint32_t i = 0; i < f->n_tables; i++) {
                const struct topic *t = match_topic(m, f->tables[i]);
                int err = t ? match_topic_change(t, c, only, cb, arg) : 0;
                if (err)
                        return err;
        }
        return 0;
}
