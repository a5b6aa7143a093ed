#include "services/router/registry.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/definition.h"

void registry_init(struct registry *r)
{
        hmap_init(&r->by_id);
        hmap_init(&r->by_hash);
        match_init(&r->match);
}

void registry_fini(struct registry *r)
{
        size_t cursor = 0;
        for (struct shape *s; (s = registry_next(r, &cursor));) {
                registry_remove(r, s);
                list_remove(&s->dirty);
                shape_free(s);
        }
        match_fini(&r->match);
        hmap_fini(&r->by_id);
        hmap_fini(&r->by_hash);
}

void registry_add(struct registry *r, struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(!hmap_put(&r->by_id, HMAP_KEY(s->id), s));
        s->next_same = hmap_put(&r->by_hash, HMAP_KEY(s->hash), s);
        match_add(&r->match, s);
}

static void remove_same(struct registry *r, struct shape *s)
{
        struct shape *first = hmap_find(&r->by_hash, HMAP_KEY(s->hash));
        if (first == s) {
                if (s->next_same)
                        hmap_put(&r->by_hash, HMAP_KEY(s->hash), s->next_same);
                else
                        hmap_take(&r->by_hash, HMAP_KEY(s->hash));
                return;
        }
        while (first->next_same != s)
                first = first->next_same;
        first->next_same = s->next_same;
}

void registry_remove(struct registry *r, struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(hmap_take(&r->by_id, HMAP_KEY(s->id)) == s);
        remove_same(r, s);
        s->next_same = NULL;
        match_remove(&r->match, s);
}

struct shape *registry_find(const struct registry *r, uint64_t id)
{
        return hmap_find(&r->by_id, HMAP_KEY(id));
}

struct shape *registry_find_definition(const struct registry *r, struct slice definition)
{
        uint64_t hash = definition_hash(definition);
        struct shape *s = hmap_find(&r->by_hash, HMAP_KEY(hash));
        while (s && !slice_eq(s->definition, definition))
                s = s->next_same;
        return s;
}

size_t registry_count(const struct registry *r)
{
        return hmap_count(&r->by_id);
}

struct shape *registry_next(const struct registry *r, size_t *cursor)
{
        return hmap_next(&r->by_id, cursor, NULL);
}

/* ---- loading */

static int load_shape(struct registry *r, uint64_t id, const struct shape_record *rec,
                      const struct shape_tail *tail, lsn_t applied)
{
        struct definition d;
        struct view *view;
        if (definition_decode(rec->definition, &d) != 0)
                return ERR_CORRUPT;
        int err = match_view_decode(&r->match, rec->head.oid, rec->table, rec->columns,
                                    rec->n_columns, d.replica, &view);
        bool all_columns = !d.has_columns;
        definition_fini(&d);
        if (err)
                return err;
        struct shape *s = shape_new(id, rec->head.created_us, rec->definition, view);
        s->all_columns = all_columns;
        s->stored = true;
        s->tail = *tail;
        shape_set_state(s, SHAPE_HELD);
        shape_set_state(s, SHAPE_STARTED);
        shape_set_state(s, SHAPE_COMPLETE);
        if (rec->has_filter && lsn_cmp(rec->filter.insert_lsn, applied) > 0)
                s->filter = shape_snapshot_dup(&rec->filter);
        registry_add(r, s);
        return 0;
}

static int load_record(struct registry *r, uint64_t id, struct slice bytes,
                       const struct shape_tail *tail, lsn_t applied)
{
        struct shape_record rec;
        int err = shape_record_decode(bytes, &rec);
        if (err)
                return err;
        err = load_shape(r, id, &rec, tail, applied);
        shape_record_fini(&rec);
        return err;
}

void registry_load(struct registry *r, struct store_txn *t, lsn_t applied, struct buf *incomplete)
{
        struct slice bytes;
        for (uint64_t id = 0; shapelog_next_record(t, &id, &bytes); id++) {
                struct shape_tail tail;
                if (!shapelog_get_tail(t, id, &tail) || !tail.snapshot_done) {
                        buf_put(incomplete, &id, sizeof(id));
                        continue;
                }
                int err = load_record(r, id, bytes, &tail, applied);
                if (err && t->err == 0)
                        t->err = err;
        }
}
