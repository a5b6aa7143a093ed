/* How shapes come and go: creation, the steps of their first snapshot (docs/architecture.md,
 * "Creating a shape"), and every reason to remove one. */
#include "services/router/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"

static const struct {
        const char *reason;
        enum router_metric metric;
} causes[] = {
        [GONE_DELETED] = {"deleted", METRIC_GONE_DELETED},
        [GONE_TRUNCATED] = {"its table was truncated", METRIC_GONE_TRUNCATED},
        [GONE_CHANGED] = {"its table changed", METRIC_GONE_CHANGED},
        [GONE_SURPLUS] = {"there are more shapes than SLUICE_MAX_SHAPES, and nobody has asked for "
                          "it the longest",
                          METRIC_GONE_SURPLUS},
        [GONE_UNPUBLISHED] = {"its table was taken out of the publication",
                              METRIC_GONE_UNPUBLISHED},
        [GONE_HIDDEN] = {"row-level security applies to its table", METRIC_GONE_HIDDEN},
        [GONE_ZONE] =
                {"its clause has a time zone, or powers, with other rules than the database's",
                 METRIC_GONE_ZONE},
        [GONE_NO_OLD_ROW] = {"a change came without its old row (REPLICA IDENTITY is not FULL)",
                             METRIC_GONE_NO_OLD_ROW},
        [GONE_TOO_LARGE] = {"a log entry was too large", METRIC_GONE_TOO_LARGE},
        [GONE_PURGED] = {"the WAL it needs is gone", METRIC_GONE_PURGED},
        [GONE_FAILED] = {"its snapshot failed", METRIC_GONE_FAILED},
};

/* ---- coming */

struct shape *engine_create(struct engine *e, const struct shape_spec *spec)
{
        CHECK_OBJ(e, ENGINE_MAGIC);
        uint32_t oid = spec->table->oid;
        const struct topic *topic = match_topic(&e->shapes.match, oid);
        bool known = topic && topic->n_shapes > 0;
        struct view *view = match_view(&e->shapes.match, spec->table,
                                       &(struct view_spec){.columns = spec->columns,
                                                           .n_columns = spec->n_columns,
                                                           .replica = spec->replica,
                                                           .all_columns = spec->all_columns,
                                                           .where = spec->where});
        struct clause *clause = spec->where ? clause_new(spec->where, view->version->table) : NULL;
        uint64_t id = ++e->place.next_id * 256 + e->o.index;
        struct shape *s =
                shape_new(id, e->o.wall_us(), spec->definition, spec->identity, clause, view);
        s->record_dirty = s->tail_dirty = true;
        hmap_put(&e->jobs, HMAP_KEY(id), view_ref(view));
        registry_add(&e->shapes, s);
        engine_dirty(e, s);
        count(METRIC_CREATED, 1);
        gauge(METRIC_SHAPES, registry_count(&e->shapes));
        gauge(METRIC_SNAPSHOTS_RUNNING, hmap_count(&e->jobs));
        if (!known)
                e->o.on_table(e->o.arg, oid, true);
        return s;
}

void engine_job_done(struct engine *e, uint64_t id)
{
        struct view *view = hmap_take(&e->jobs, HMAP_KEY(id));
        if (view)
                view_unref(view);
        gauge(METRIC_SNAPSHOTS_RUNNING, hmap_count(&e->jobs));
}

/* ---- going */

/* One line each, unless a whole table's worth of them goes. */
static void log_gone(const struct shape *s, enum gone_cause cause)
{
        enum { MANY = 16 };
        const struct table *t = s->view->version->table;
        bool many = cause == GONE_PURGED || s->view->version->topic->n_shapes > MANY;
        log_event(many && cause != GONE_DELETED ? LOG_DEBUG : LOG_INFO, "shape_gone",
                  "shape %llu-%llu of %.*s.%.*s is removed: %s", (unsigned long long)s->id,
                  (unsigned long long)s->created_us, SLICE_FMT(t->schema), SLICE_FMT(t->name),
                  causes[cause].reason);
}

void engine_remove(struct engine *e, struct shape *s, enum gone_cause cause, struct slice detail)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(s->state != SHAPE_GONE);
        struct topic *topic = s->view->version->topic;
        log_gone(s, cause);
        shape_set_state(s, SHAPE_GONE);
        registry_remove(&e->shapes, s);
        engine_drop_staged(e, s->id);
        if (s->pending)
                pending_free(s->pending);
        s->pending = NULL;
        s->failed = cause == GONE_FAILED;
        s->reason = slice_dup(s->failed ? detail : slice_cstr(causes[cause].reason));
        engine_dirty(e, s);
        engine_drop_held(e);
        count(causes[cause].metric, 1);
        gauge(METRIC_SHAPES, registry_count(&e->shapes));
        if (topic->n_shapes == 0)
                e->o.on_table(e->o.arg, topic->oid, false);
        e->o.on_gone(e->o.arg, s);
}

void engine_purge(struct engine *e)
{
        size_t cursor = 0;
        log_warning("purge", "all %zu shapes are removed: %s", registry_count(&e->shapes),
                    causes[GONE_PURGED].reason);
        engine_rewind(e);
        for (struct shape *s; (s = registry_next(&e->shapes, &cursor));)
                engine_remove(e, s, GONE_PURGED, SLICE_EMPTY);
        xidset_clear(e->xids);
        e->place.applied = e->place.commit = (lsn_t){0};
}

/* ---- the snapshot */

/* Nobody needs the batches before the first one that a held shape wants. */
void engine_drop_held(struct engine *e)
{
        uint64_t need = held_next(&e->held);
        for (struct list *n = e->held_shapes.next; n != &e->held_shapes; n = n->next) {
                const struct birth *b = LIST_OBJ(n, struct birth, held);
                if (!b->hold_lost && b->hold_from < need)
                        need = b->hold_from;
        }
        held_drop(&e->held, need);
        gauge(METRIC_HELD_BYTES, e->held.bytes);
}

/* Step 3. A shape that is held already stays so: with every try more of the transactions that a
 * snapshot may miss are among those held, so the tries come to an end however busy the database is.
 */
int engine_hold(struct engine *e, uint64_t id)
{
        struct shape *s = registry_find(&e->shapes, id);
        if (!s || (s->state != SHAPE_WAITING && s->state != SHAPE_HELD))
                return ERR_CANCELLED;
        struct birth *b = s->birth;
        if (s->state == SHAPE_HELD && !b->hold_lost)
                return 0;
        shape_set_state(s, SHAPE_HELD);
        b->hold_lost = false;
        b->hold_from = held_next(&e->held);
        b->hold_commit = e->place.commit;
        list_remove(&b->held);
        list_push_back(&e->held_shapes, &b->held);
        return 0;
}

/* Transactions held for a shape from their first part on, sorted. */
struct xid_list {
        uint32_t *xids;
        size_t n, cap;
};

static void xid_list_add(struct xid_list *l, uint32_t xid)
{
        if (l->n == l->cap) {
                l->cap = l->cap ? l->cap * 2 : 64;
                l->xids = mem_resize(l->xids, l->cap, sizeof(*l->xids));
        }
        l->xids[l->n++] = xid;
}

static int compare_xids(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
        return (x > y) - (x < y);
}

static void list_held(struct engine *e, const struct birth *b, struct xid_list *out)
{
        struct change_txn txn;
        for (uint64_t i = b->hold_from; i < held_next(&e->held); i++) {
                if (change_reader_start(&e->reader, held_get(&e->held, i)->bytes) != 0)
                        continue;
                struct change_relation relation;
                while (change_reader_relation(&e->reader, &relation))
                        ;
                while (change_reader_txn(&e->reader, &txn))
                        if (txn.first_part && lsn_cmp(txn.commit_lsn, b->hold_commit) > 0)
                                xid_list_add(out, txn.xid);
        }
        if (out->n)
                qsort(out->xids, out->n, sizeof(*out->xids), compare_xids);
}

static bool list_has(const struct xid_list *l, uint32_t xid)
{
        return l->n && bsearch(&xid, l->xids, l->n, sizeof(xid), compare_xids);
}

static bool any_missed(const struct engine *e, const struct pg_snapshot *s,
                       const struct xid_list *held)
{
        for (uint32_t i = 0; i < s->n_xip; i++) {
                uint32_t xid = (uint32_t)s->xip[i];
                if (xidset_has(e->xids, xid) && !list_has(held, xid))
                        return true;
        }
        for (uint32_t xid = (uint32_t)s->xmax; xidset_next(e->xids, &xid); xid++)
                if (!list_has(held, xid))
                        return true;
        return false;
}

/* I2(a): a transaction that was routed before the shape was held, and that the snapshot does not
 * see, would be in neither. */
static bool misses_routed(struct engine *e, const struct birth *b, const struct pg_snapshot *s)
{
        struct xid_list held = {0};
        list_held(e, b, &held);
        bool missed = any_missed(e, s, &held);
        mem_free(held.xids);
        return missed;
}

static struct filter *latest_filter(struct engine *e, const struct pg_snapshot *snapshot)
{
        if (!e->filter || !filter_is(e->filter, snapshot)) {
                filter_unref(e->filter);
                e->filter = filter_new(snapshot);
        }
        return e->filter;
}

int engine_begin(struct engine *e, uint64_t id, const struct pg_snapshot *snapshot)
{
        struct shape *s = registry_find(&e->shapes, id);
        if (!s || s->state != SHAPE_HELD)
                return ERR_CANCELLED;
        if (s->birth->hold_lost || misses_routed(e, s->birth, snapshot)) {
                count(METRIC_SNAPSHOTS_AGAIN, 1);
                return ERR_AGAIN;
        }
        shape_set_state(s, SHAPE_STARTED);
        s->filter = filter_ref(latest_filter(e, snapshot));
        s->member = snapshot->member;
        s->began_ms = clock_mono_ms();
        match_note_member(s->view->version->topic, s->member);
        s->tail.snapshot_started = true;
        s->record_dirty = s->tail_dirty = s->notify_snapshot = true;
        engine_dirty(e, s);
        int err = engine_apply_held(e, s);
        engine_drop_held(e);
        if (err)
                return err;
        return s->state == SHAPE_GONE ? ERR_CANCELLED : 0;
}

static struct shape *find_started(struct engine *e, uint64_t id)
{
        struct shape *s = registry_find(&e->shapes, id);
        return s && s->state == SHAPE_STARTED ? s : NULL;
}

int engine_rows(struct engine *e, uint64_t id, uint32_t chunk, struct buf *entries, bool closes)
{
        struct shape *s = find_started(e, id);
        if (!s)
                return ERR_CANCELLED;
        struct birth *b = s->birth;
        SLUICE_ASSERT(chunk == b->chunk ||
                      (chunk == b->chunk + 1 && s->tail.snapshot_closed == chunk));
        if (chunk != b->chunk)
                b->runs = 0;
        b->chunk = chunk;
        if (entries->len > 0)
                engine_stage(e, id, chunk, b->runs++, entries);
        s->tail.snapshot_chunks = chunk + 1;
        if (closes) {
                s->tail.snapshot_closed = chunk + 1;
                s->notify_snapshot = true;
        }
        s->tail_dirty = true;
        engine_dirty(e, s);
        return 0;
}

int engine_end(struct engine *e, uint64_t id, uint32_t chunk)
{
        struct shape *s = find_started(e, id);
        if (!s)
                return ERR_CANCELLED;
        SLUICE_ASSERT(chunk + 1 == s->tail.snapshot_chunks);
        s->tail.snapshot_closed = chunk + 1;
        s->tail.snapshot_done = true;
        s->tail_dirty = s->notify_snapshot = true;
        shape_set_state(s, SHAPE_COMPLETE);
        engine_dirty(e, s);
        count(METRIC_SNAPSHOTS_DONE, 1);
        return 0;
}
