#include "services/router/engine.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "services/router/announce.h"
#include "services/router/rendering.h"

enum { REAP_KEYS = 2000, RECORD_MAX_BYTES = 64 << 20 };
#define DISCARDED_MAX_BYTES ((size_t)1 << 30)
#define NOTICES_MAX_BYTES   ((size_t)1 << 30)
#define NOTICES_KEEP_BYTES  ((size_t)1 << 20)

/* Rows of a snapshot chunk on their way to disk. */
struct staged {
        struct list node;
        uint64_t id;
        uint32_t chunk, run;
        struct buf entries;
};

/* ---- opening */

static void load_recent(struct engine *e, struct store_txn *t)
{
        struct slice record;
        for (uint32_t slot = 0; slot < XIDSET_SLOTS && t->err == 0; slot++)
                if (shapelog_get_recent(t, slot, &record) &&
                    xidset_load(e->xids, slot, record) != 0)
                        t->err = ERR_CORRUPT;
}

static void count_deleted(struct engine *e, struct store_txn *t)
{
        for (uint64_t id = 0; shapelog_next_deleted(t, &id); id++)
                e->n_deleted++;
}

/* Parts of a transaction were written, maybe: what is beyond the tails must go before anything is
 * written there. */
static void trim_all(struct engine *e)
{
        size_t cursor = 0;
        for (struct shape *s; (s = registry_next(&e->shapes, &cursor));) {
                struct pending *p = shape_pending(s);
                p->trim = true;
                p->trim_at = s->tail.log.at;
                engine_dirty(e, s);
        }
}

/* Only reads: a store that is full can still be read. What is to be cleaned up is left to the first
 * commit. */
static int load(struct engine *e)
{
        struct store_txn t;
        store_begin_read(e->o.store, &t);
        shapelog_get_place(&t, &e->place);
        e->committed = e->place;
        load_recent(e, &t);
        registry_load(&e->shapes, &t, e->place.applied, &e->discarded);
        count_deleted(e, &t);
        int err = t.err;
        store_abort(&t);
        if (e->place.open.v != 0)
                trim_all(e);
        e->place.open = (lsn_t){0};
        return err;
}

int engine_open(struct engine *e, const struct engine_options *o, struct buf *why)
{
        *e = (struct engine){.magic = ENGINE_MAGIC, .o = *o};
        registry_init(&e->shapes);
        e->xids = xidset_new();
        held_init(&e->held, o->max_held);
        list_init(&e->held_shapes);
        list_init(&e->dirty);
        list_init(&e->touched);
        list_init(&e->staged);
        hmap_init(&e->jobs);
        buf_init(&e->notices, NOTICES_MAX_BYTES);
        e->rendering = rendering_new();
        change_reader_init(&e->reader);

        buf_init(&e->discarded, DISCARDED_MAX_BYTES);
        int err = load(e);
        if (err) {
                buf_printf(why, "cannot load the shapes: %s", err_text(err));
                engine_close(e);
                return err;
        }
        log_info("shapes_loaded", "%zu shapes loaded, %zu without a complete snapshot discarded",
                 registry_count(&e->shapes), e->discarded.len / sizeof(uint64_t));
        gauge(METRIC_SHAPES, registry_count(&e->shapes));
        return 0;
}

static void free_staged(struct staged *s)
{
        list_remove(&s->node);
        buf_fini(&s->entries);
        mem_free(s);
}

static void free_gone(struct engine *e)
{
        for (struct list *n; (n = list_pop_front(&e->dirty));) {
                struct shape *s = LIST_OBJ(n, struct shape, dirty);
                if (s->state == SHAPE_GONE)
                        shape_free(s);
        }
}

void engine_close(struct engine *e)
{
        CHECK_OBJ(e, ENGINE_MAGIC);
        while (!list_empty(&e->staged))
                free_staged(LIST_OBJ(e->staged.next, struct staged, node));
        free_gone(e);
        size_t cursor = 0;
        for (struct view *v; (v = hmap_next(&e->jobs, &cursor, NULL));)
                view_unref(v);
        hmap_fini(&e->jobs);
        filter_unref(e->filter);
        registry_fini(&e->shapes);
        held_fini(&e->held);
        xidset_free(e->xids);
        buf_fini(&e->notices);
        buf_fini(&e->discarded);
        rendering_free(e->rendering);
        change_reader_fini(&e->reader);
        e->magic = 0;
}

/* ---- snapshot rows in memory */

void engine_stage(struct engine *e, uint64_t id, uint32_t chunk, uint32_t run, struct buf *entries)
{
        struct staged *s = mem_new(struct staged);
        s->id = id;
        s->chunk = chunk;
        s->run = run;
        s->entries = *entries;
        buf_init(entries, entries->max);
        e->staged_bytes += s->entries.len;
        list_push_back(&e->staged, &s->node);
}

void engine_drop_staged(struct engine *e, uint64_t id)
{
        for (struct list *n = e->staged.next, *next; n != &e->staged; n = next) {
                struct staged *s = LIST_OBJ(n, struct staged, node);
                next = n->next;
                if (s->id != id)
                        continue;
                e->staged_bytes -= s->entries.len;
                free_staged(s);
        }
}

/* ---- committing */

void engine_dirty(struct engine *e, struct shape *s)
{
        if (list_empty(&s->dirty))
                list_push_back(&e->dirty, &s->dirty);
}

static struct shape_tail next_tail(const struct shape *s)
{
        struct shape_tail tail = s->tail;
        if (s->pending)
                tail.log = s->pending->settled;
        return tail;
}

static void write_record(const struct shape *s, struct store_txn *t)
{
        struct buf record;
        buf_init(&record, RECORD_MAX_BYTES);
        shape_record_encode(s, &record);
        SLUICE_ASSERT(buf_status(&record) == 0);
        shapelog_put_record(t, s->id, buf_slice(&record));
        buf_fini(&record);
}

static void write_shape(const struct shape *s, struct store_txn *t)
{
        if (s->state == SHAPE_GONE) {
                fault_point(FAULT_ROUTER_DELETE_BEFORE);
                if (s->stored)
                        shapelog_delete(t, s->id);
                return;
        }
        if (s->record_dirty)
                write_record(s, t);
        if (!s->stored)
                fault_point(FAULT_ROUTER_SHAPE_BEFORE);
        if (s->pending)
                pending_write(s->pending, t, s->id);
        if (s->tail_dirty || shape_tail_moves(s)) {
                struct shape_tail tail = next_tail(s);
                shapelog_put_tail(t, s->id, &tail);
        }
}

static void delete_discarded(const struct engine *e, struct store_txn *t)
{
        for (size_t at = 0; at < e->discarded.len && t->err == 0; at += sizeof(uint64_t)) {
                uint64_t id;
                memcpy(&id, e->discarded.p + at, sizeof(id));
                shapelog_delete(t, id);
        }
}

static int write_all(struct engine *e)
{
        struct store_txn t;
        struct slice xids;
        store_begin_write(e->o.store, &t);
        delete_discarded(e, &t);
        for (struct list *n = e->dirty.next; n != &e->dirty && t.err == 0; n = n->next)
                write_shape(LIST_OBJ(n, struct shape, dirty), &t);
        for (struct list *n = e->staged.next; n != &e->staged && t.err == 0; n = n->next) {
                const struct staged *s = LIST_OBJ(n, struct staged, node);
                shapelog_put_snapshot(&t, s->id, s->chunk, s->run, buf_slice(&s->entries));
                fault_point(FAULT_ROUTER_SNAPSHOT_BEFORE);
        }
        for (uint32_t slot = 0; xidset_unsaved(e->xids, &slot, &xids); slot++)
                shapelog_put_recent(&t, slot, xids);
        shapelog_put_place(&t, &e->place);
        fault_point(FAULT_ROUTER_COMMIT_BEFORE);
        return store_commit(&t);
}

static void shape_written(struct shape *s)
{
        s->tail = next_tail(s);
        s->stored |= s->record_dirty;
        s->record_dirty = s->tail_dirty = s->notify_snapshot = s->notify_schema = false;
        if (s->pending && pending_written(s->pending)) {
                pending_free(s->pending);
                s->pending = NULL;
        }
}

/* Gives the notices made so far away, so that a commit of many shapes does not need memory for all
 * of them. */
static void flush_notices(struct engine *e, uint32_t *n)
{
        count(METRIC_NOTICES, *n);
        e->o.on_commit(e->o.arg, e->place.applied, *n, buf_slice(&e->notices));
        buf_reset(&e->notices);
        *n = 0;
}

static void all_written(struct engine *e)
{
        uint32_t n = 0;
        fault_point(FAULT_ROUTER_COMMIT_AFTER);
        xidset_saved(e->xids);
        e->committed = e->place;
        e->n_deleted += e->discarded.len / sizeof(uint64_t);
        buf_reset(&e->discarded);
        if (!list_empty(&e->staged))
                fault_point(FAULT_ROUTER_SNAPSHOT_AFTER);
        while (!list_empty(&e->staged))
                free_staged(LIST_OBJ(e->staged.next, struct staged, node));
        e->pending_bytes = e->staged_bytes = 0;
        for (struct list *node; (node = list_pop_front(&e->dirty));) {
                struct shape *s = LIST_OBJ(node, struct shape, dirty);
                if (!e->announced)
                        n += announce_shape(e, s);
                if (s->state == SHAPE_GONE) {
                        fault_point(FAULT_ROUTER_DELETE_AFTER);
                        e->n_deleted += s->stored;
                        shape_free(s);
                } else {
                        if (!s->stored)
                                fault_point(FAULT_ROUTER_SHAPE_AFTER);
                        shape_written(s);
                }
                if (e->notices.len >= ANNOUNCE_FRAME_BYTES)
                        flush_notices(e, &n);
        }
        flush_notices(e, &n);
        e->announced = false;
        fault_point(FAULT_ROUTER_ANNOUNCED);
        if (e->notices.cap > NOTICES_KEEP_BYTES) {
                buf_fini(&e->notices);
                buf_init(&e->notices, NOTICES_MAX_BYTES);
        }
}

static bool is_clean(const struct engine *e)
{
        return list_empty(&e->dirty) && list_empty(&e->staged) && e->discarded.len == 0 &&
               memcmp(&e->place, &e->committed, sizeof(e->place)) == 0;
}

int engine_commit(struct engine *e)
{
        CHECK_OBJ(e, ENGINE_MAGIC);
        int err;
        if (is_clean(e))
                return 0;
        announce_ahead(e);
        fault_point(FAULT_ROUTER_AHEAD);
        while ((err = write_all(e)) == ERR_FULL)
                if (!e->o.on_full(e->o.arg))
                        return ERR_CANCELLED;
        if (err)
                return err;
        count(METRIC_COMMITS, 1);
        all_written(e);
        return 0;
}

/* Frees up to REAP_KEYS keys; how many shapes have nothing left. */
static size_t reap_slice(struct store_txn *t)
{
        size_t keys = 0, shapes = 0;
        uint64_t id = 0;
        while (keys < REAP_KEYS && shapelog_next_deleted(t, &id)) {
                size_t limit = REAP_KEYS - keys, n = shapelog_free(t, id, limit);
                shapes += n < limit;
                keys += n + 1;
        }
        return shapes;
}

bool engine_reap(struct engine *e)
{
        struct store_txn t;
        if (e->n_deleted == 0)
                return false;
        store_begin_write(e->o.store, &t);
        size_t shapes = reap_slice(&t);
        /* when it is full, freeing needs a little room, too: it is tried again later */
        if (store_commit(&t) != 0)
                return false;
        fault_point(FAULT_ROUTER_FREED);
        SLUICE_ASSERT(shapes <= e->n_deleted);
        e->n_deleted -= shapes;
        return e->n_deleted > 0;
}
