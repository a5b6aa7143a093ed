/* Batches to log entries in memory: which transactions are new, which shapes a change concerns,
 * what it is for each of them. */
#include "services/router/engine.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/obs/log.h"
#include "services/router/rendering.h"

/* Where a reading of the stream is. The engine's own is in its place; one shape's, while what was
 * held for it is applied, is apart. */
struct cursor {
        lsn_t *commit, *open;
        struct shape *only; /* NULL: every shape */
        bool skip;          /* the parts of this transaction are not wanted */
};

struct route {
        struct engine *e;
        const struct change_txn *txn;
        const struct change *change;
};

static void append_entry(struct engine *e, struct shape *s, const struct rendering_entry *entry)
{
        struct pending *p = shape_pending(s);
        if (p->open_tx == 0)
                list_push_back(&e->touched, &p->touched);
        e->pending_bytes += pending_add(p, entry->at, entry->json, e->o.chunk_bytes);
        engine_dirty(e, s);
        count(METRIC_ENTRIES, 1);
        count(METRIC_ENTRY_BYTES, (int64_t)entry->json.len);
}

/* What protocol §7.4 says about a change whose relation or kind leaves the shape no way to go on.
 */
static bool must_go(const struct route *r, const struct match_rows *rows, enum gone_cause *cause)
{
        if (r->change->kind == CHANGE_TRUNCATE) {
                *cause = GONE_TRUNCATED;
                return true;
        }
        if (rows->view->lost) {
                *cause = GONE_CHANGED;
                return true;
        }
        bool needs_old = r->change->kind == CHANGE_UPDATE || r->change->kind == CHANGE_DELETE;
        *cause = GONE_NO_OLD_ROW;
        return needs_old && rows->old_row.n == 0;
}

static void route_to_shape(void *arg, const struct match_rows *rows, struct shape *s, bool old_in,
                           bool new_in)
{
        const struct route *r = arg;
        struct rendering_entry entries[2];
        enum gone_cause cause;
        uint32_t n;
        if (s->state != SHAPE_STARTED && s->state != SHAPE_COMPLETE)
                return;
        if (shape_skips(s, r->txn->xid, r->txn->commit_lsn))
                return;
        if (must_go(r, rows, &cause)) {
                engine_remove(r->e, s, cause, SLICE_EMPTY);
                return;
        }
        if (!old_in && !new_in)
                return;
        if (rendering_get(r->e->rendering, rows, old_in, new_in, entries, &n) != 0) {
                engine_remove(r->e, s, GONE_TOO_LARGE, SLICE_EMPTY);
                return;
        }
        for (uint32_t i = 0; i < n; i++)
                append_entry(r->e, s, &entries[i]);
}

static void settle(struct engine *e, struct pending *p)
{
        list_remove(&p->touched);
        pending_settle(p, e->o.chunk_bytes);
        engine_dirty(e, p->shape);
        if (pending_status(p) != 0)
                engine_remove(e, p->shape, GONE_TOO_LARGE, SLICE_EMPTY);
}

static void rollback(struct pending *p)
{
        list_remove(&p->touched);
        pending_rollback(p);
}

static void rollback_all(struct engine *e)
{
        for (struct list *n; (n = list_pop_front(&e->touched));) {
                struct pending *p = LIST_OBJ(n, struct pending, touched);
                rollback(p);
                engine_dirty(e, p->shape);
        }
}

static void end_txn(struct engine *e, const struct cursor *c, const struct change_txn *txn)
{
        *c->commit = txn->commit_lsn;
        *c->open = (lsn_t){0};
        if (c->only) {
                if (c->only->pending && c->only->pending->open_tx)
                        settle(e, c->only->pending);
                return;
        }
        for (struct list *n; (n = list_pop_front(&e->touched));)
                settle(e, LIST_OBJ(n, struct pending, touched));
        e->place.xid = txn->xid;
        if (lsn_cmp(e->place.applied, txn->commit_lsn) < 0)
                e->place.applied = txn->commit_lsn;
        count(METRIC_TRANSACTIONS, 1);
}

/* What was applied up to place.commit was in the stream, and nothing else up to place.applied. */
static int check_history(struct engine *e, const struct change_txn *txn)
{
        int at = lsn_cmp(txn->commit_lsn, e->place.commit);
        if (e->expected.v != 0 && at >= 0) {
                if (at > 0 || txn->xid != e->place.xid)
                        return ERR_HISTORY;
                e->expected = (lsn_t){0};
        }
        return at > 0 && txn->first_part && lsn_cmp(txn->commit_lsn, e->place.applied) <= 0
                       ? ERR_HISTORY
                       : 0;
}

/* Whether this part is to be applied. 0, ERR_HISTORY, or ERR_RANGE: parts before it are missing. */
static int begin_part(struct engine *e, struct cursor *c, const struct change_txn *txn,
                      bool *wanted)
{
        *wanted = false;
        int err = c->only ? 0 : check_history(e, txn);
        if (err)
                return err;
        /* (a router that joins in the middle of a transaction sees only its later parts) */
        if (!c->only && (txn->first_part || !xidset_has(e->xids, txn->xid)))
                xidset_add(e->xids, txn->xid);
        if (lsn_cmp(txn->commit_lsn, *c->commit) <= 0) {
                count(METRIC_SKIPPED, c->only ? 0 : 1);
                return 0;
        }
        if (txn->first_part) {
                /* a transaction that was in progress comes again, from another leader */
                if (c->open->v != 0 && c->only && c->only->pending)
                        rollback(c->only->pending);
                else if (c->open->v != 0 && !c->only)
                        rollback_all(e);
        } else if (c->open->v != txn->commit_lsn.v) {
                /* A shape that was held in the middle of a transaction does not want the rest of
                 * it: engine_begin() has made sure that the snapshot sees it. */
                return c->only ? 0 : ERR_RANGE;
        }
        *c->open = txn->commit_lsn;
        *wanted = true;
        return 0;
}

static int apply_changes(struct engine *e, const struct cursor *c, const struct change_txn *txn)
{
        struct change change;
        int64_t n = 0;
        while (change_reader_change(&e->reader, &change)) {
                struct route route = {e, txn, &change};
                rendering_start(e->rendering, txn, &change);
                int err = match_change(&e->shapes.match, &change, c->only, route_to_shape, &route);
                n++;
                if (!err && c->only && c->only->state == SHAPE_GONE)
                        return ERR_NOTFOUND;
                if (!err && e->pending_bytes > e->o.max_pending)
                        err = engine_commit(e);
                if (err)
                        return err;
        }
        count(METRIC_CHANGES, c->only ? 0 : n);
        return change_reader_status(&e->reader);
}

static void tell_described(struct engine *e, const struct change_relation *r)
{
        if (match_topic(&e->shapes.match, r->oid))
                e->o.on_described(e->o.arg, r->oid);
        for (uint32_t i = 0; i < r->n_ancestors; i++)
                if (match_topic(&e->shapes.match, r->ancestors[i].oid))
                        e->o.on_described(e->o.arg, r->ancestors[i].oid);
}

static int apply_batch(struct engine *e, const struct batch *b, struct cursor *c)
{
        struct change_relation relation;
        struct change_txn txn;
        int err = change_reader_start(&e->reader, b->bytes);
        if (err)
                return err;
        while (change_reader_relation(&e->reader, &relation))
                if (match_relation(&e->shapes.match, &relation))
                        tell_described(e, &relation);
        while (change_reader_txn(&e->reader, &txn)) {
                bool wanted;
                err = begin_part(e, c, &txn, &wanted);
                if (!err && wanted)
                        err = apply_changes(e, c, &txn);
                if (err)
                        return err;
                if (wanted && txn.last_part)
                        end_txn(e, c, &txn);
        }
        return change_reader_status(&e->reader);
}

static void hold_batch(struct engine *e, struct batch *b)
{
        if (list_empty(&e->held_shapes))
                return;
        if (!held_push(&e->held, b)) {
                log_warning("held_dropped",
                            "more than %zu bytes of changes came while shapes waited for their "
                            "snapshots; "
                            "the snapshots are taken again",
                            e->o.max_held);
                for (struct list *n = e->held_shapes.next; n != &e->held_shapes; n = n->next)
                        LIST_OBJ(n, struct birth, held)->hold_lost = true;
        }
        gauge(METRIC_HELD_BYTES, e->held.bytes);
}

int engine_apply(struct engine *e, struct batch *b)
{
        CHECK_OBJ(e, ENGINE_MAGIC);
        struct cursor c = {.commit = &e->place.commit, .open = &e->place.open};
        hold_batch(e, b);
        int err = apply_batch(e, b, &c);
        if (err)
                return err;
        lsn_t end = e->reader.end_lsn;
        if (e->expected.v != 0 && lsn_cmp(end, e->expected) >= 0)
                return ERR_HISTORY;
        if (e->place.open.v != 0 && lsn_cmp(end, e->place.open) >= 0)
                end.v = e->place.open.v - 1;
        if (lsn_cmp(e->place.applied, end) < 0)
                e->place.applied = end;
        count(METRIC_BATCHES, 1);
        return 0;
}

void engine_rewind(struct engine *e)
{
        CHECK_OBJ(e, ENGINE_MAGIC);
        rollback_all(e);
        e->place.open = (lsn_t){0};
}

void engine_resume(struct engine *e, lsn_t start)
{
        engine_rewind(e);
        SLUICE_ASSERT(lsn_cmp(start, e->place.applied) <= 0);
        bool again = e->place.xid != 0 && lsn_cmp(start, e->place.commit) < 0;
        e->expected = again ? e->place.commit : (lsn_t){0};
}

void engine_start_at(struct engine *e, lsn_t start)
{
        engine_rewind(e);
        e->place.xid = 0;
        e->expected = (lsn_t){0};
        if (lsn_cmp(e->place.applied, start) < 0)
                e->place.applied = start;
        if (lsn_cmp(e->place.commit, start) < 0)
                e->place.commit = start;
}

int engine_apply_held(struct engine *e, struct shape *s)
{
        uint64_t from = s->birth->hold_from;
        lsn_t commit = s->birth->hold_commit, open = {0};
        struct cursor c = {.commit = &commit, .open = &open, .only = s};
        for (uint64_t i = from; i < held_next(&e->held); i++) {
                /* removing the shape would drop the batch */
                struct batch *b = batch_ref(held_get(&e->held, i));
                int err = apply_batch(e, b, &c);
                batch_unref(b);
                if (err == ERR_NOTFOUND)
                        return 0;
                if (err)
                        return err;
        }
        /* what is in progress goes on with the stream, unless the stream has dropped it */
        if (s->pending && s->pending->open_tx && open.v != e->place.open.v)
                rollback(s->pending);
        return 0;
}
