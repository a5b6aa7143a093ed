/* The reading half of a shape request: from a resolved shape to an answer, with whatever has to be
 * waited for in between. */
#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/edge/get.h"
#include "services/edge/get_subset.h"
#include "services/edge/notices.h"
#include "services/edge/sse.h"

static void on_chunk(void *arg);

/* The offset is the tail, and that is known without asking. */
static bool knows_tail(struct get *g)
{
        struct shape *s = g->shape;
        return s->has_tail && !shape_is_gone(s) && worker_trusts(g->w, s->shard, s->generation);
}

static lsn_t known_lsn(const struct get *g)
{
        return g->w->shards[g->shape->shard].flow.lsn;
}

static void answer_now(struct get *g, struct log_offset tail, lsn_t lsn)
{
        struct answer a = {.end = tail, .up_to_date = true, .unique_etag = true, .lsn = lsn};
        if (g->subset)
                get_subset_read(g, tail);
        else
                get_answer(g, &a, SLICE_EMPTY);
}

/* Nothing follows the offset. */
static void at_end(struct get *g, lsn_t lsn)
{
        struct answer a = {.end = g->offset.at, .up_to_date = true, .lsn = lsn};
        if (g->stream) {
                sse_at_end(g);
                return;
        }
        if (g->subset) {
                get_subset_read(g, a.end);
                return;
        }
        if (!g->live) {
                a.has_data = true;
                if (!get_answer_if_unchanged(g, &a))
                        get_answer(g, &a, SLICE_EMPTY);
                return;
        }
        if (g->last_look) {
                a.unique_etag = true;
                get_answer(g, &a, SLICE_EMPTY);
                return;
        }
        a.has_data = true;
        if (get_answer_if_unchanged(g, &a))
                return;
        if (g->sse) {
                sse_start(g);
                return;
        }
        if (g->wait_until_ms == 0)
                g->wait_until_ms = g->w->now_ms + g->w->edge->conf->long_poll_ms;
        get_wait(g, WAIT_BEYOND, g->offset.at, g->wait_until_ms);
}

static bool is_known_end(struct get *g)
{
        return g->offset.kind == OFFSET_AT && knows_tail(g) &&
               offset_cmp(g->shape->tail, g->offset.at) == 0;
}

void get_read(struct get *g)
{
        g->state = GET_READING;
        g->seen_events = g->shape->events;
        if (g->offset.kind == OFFSET_NOW && knows_tail(g)) {
                answer_now(g, g->shape->tail, known_lsn(g));
                return;
        }
        if (is_known_end(g)) {
                at_end(g, known_lsn(g));
                return;
        }
        if (chunk_read(g->w, g->shape, &g->offset, &g->reader, on_chunk, g))
                on_chunk(g);
}

/* ---- waiting */

void get_stop_waiting(struct get *g)
{
        if (g->state == GET_WAITING) {
                edge_count(EDGE_PARKED, -1);
                g->state = GET_READING;
        }
        waiter_cancel(&g->waiter);
        wheel_cancel(&g->w->wheel, &g->timer);
        list_remove(&g->not_ready);
}

/* The process ends: what can be said now is said. */
static void answer_drained(struct get *g, enum wait_kind kind)
{
        if (g->stream) {
                sse_end(g);
        } else if (kind == WAIT_BEYOND) {
                g->last_look = true;
                at_end(g, known_lsn(g));
        } else {
                get_answer_not_ready(g, 5);
        }
}

void get_wait(struct get *g, enum wait_kind kind, struct log_offset offset, uint64_t until_ms)
{
        chunk_detach(&g->reader);
        if (http_loop_draining(g->w->loop)) {
                answer_drained(g, kind);
        } else if (shape_wait(g->shape, &g->waiter, kind, offset)) {
                g->state = GET_WAITING;
                edge_count(EDGE_PARKED, 1);
                wheel_set(&g->w->wheel, &g->timer, until_ms);
                http_park(g->x->r);
                /* The tail may have been learnt before a gap: the question that follows it must
                 * cover this shape. */
                if (!knows_tail(g))
                        notices_doubt(g->w, g->shape->shard);
        } else if (shape_is_gone(g->shape)) {
                get_lost(g);
        } else if (++g->turns < GET_MAX_TURNS) {
                get_read(g);
        } else {
                get_answer_not_ready(g, 5);
        }
}

void get_lost(struct get *g)
{
        chunk_detach(&g->reader);
        if (g->stream)
                sse_end(g);
        else if (++g->turns >= GET_MAX_TURNS)
                get_answer_refetch(g, SLICE_EMPTY);
        else
                get_resolve_again(g);
}

void get_pending(struct get *g)
{
        if (g->shape->events != g->seen_events && ++g->turns < GET_MAX_TURNS) {
                chunk_detach(&g->reader);
                get_read(g);
                return;
        }
        get_wait(g, WAIT_SNAPSHOT, g->offset.at, g->w->now_ms + GET_SNAPSHOT_MS);
}

void get_failed(struct get *g, const struct msg_failed *failed)
{
        if (failed->status == 404 || failed->status == 409) {
                shape_gone(g->shape, SLICE_EMPTY, &g->w->woken);
                http_loop_wake(g->w->loop);
                get_lost(g);
        } else {
                get_answer_failed(g, failed, true);
        }
}

static void on_chunk_failed(struct get *g)
{
        struct msg_failed failed;
        if (chunk_failure(g->reader.chunk, &failed))
                get_failed(g, &failed);
        else
                get_answer_not_ready(g, g->last_look ? 10 : 5);
}

static bool is_out_of_bounds(struct get *g, const struct chunk *c)
{
        if (g->offset.kind != OFFSET_AT || offset_cmp(g->offset.at, c->tail) <= 0)
                return false;
        return !g->shape->has_tail || offset_cmp(g->offset.at, g->shape->tail) > 0;
}

/* §4.5 */
static void wait_for_offset(struct get *g)
{
        if (g->wait_until_ms == 0)
                g->wait_until_ms = g->w->now_ms + g->w->edge->conf->long_poll_ms / 2;
        if (g->sse && !g->stream) {
                sse_start_out_of_bounds(g);
                return;
        }
        get_wait(g, WAIT_REACH, g->offset.at, g->wait_until_ms);
}

/* The up-to-date rule of §2.3.1; a closed chunk never is (its bytes are the same for ever, I4). */
static struct answer describe(const struct get *g, const struct chunk *c)
{
        struct answer a = {.end = c->end, .has_data = true, .lsn = {c->end.tx}};
        a.up_to_date = !c->frozen && g->offset.kind == OFFSET_AT &&
                       offset_cmp(c->end, c->tail) >= 0 && offset_cmp(c->end, g->offset.at) >= 0;
        if (!g->live && c->lsn.v > a.lsn.v)
                a.lsn = c->lsn;
        return a;
}

static void on_first_piece(struct get *g)
{
        const struct chunk *c = g->reader.chunk;
        if (g->offset.kind == OFFSET_NOW) {
                answer_now(g, c->tail, c->lsn);
                return;
        }
        if (is_out_of_bounds(g, c)) {
                wait_for_offset(g);
                return;
        }
        bool nothing = g->offset.kind == OFFSET_AT && offset_cmp(c->end, g->offset.at) <= 0;
        if (nothing) {
                lsn_t lsn = c->lsn;
                chunk_detach(&g->reader);
                at_end(g, lsn);
                return;
        }
        get_become_existing(g);
        if (g->subset) {
                get_subset_read(g, c->end);
                return;
        }
        struct answer a = describe(g, c);
        if (g->stream || g->sse)
                sse_deliver_chunk(g, &a);
        else if (!get_answer_if_unchanged(g, &a))
                get_answer_chunk(g, &a);
}

static void on_chunk(void *arg)
{
        struct get *g = arg;
        CHECK_OBJ(g, GET_MAGIC);
        SLUICE_ASSERT(g->state == GET_READING);
        switch (g->reader.chunk->state) {
        case CHUNK_ASKING:
                SLUICE_ASSERT(!"told before there is anything to tell");
                return;
        case CHUNK_PENDING:
                get_pending(g);
                return;
        case CHUNK_FAILED:
                on_chunk_failed(g);
                return;
        case CHUNK_OPEN:
        case CHUNK_WHOLE:
                on_first_piece(g);
                return;
        }
}

/* ---- waking */

/* The successor, if this loop has already heard of it. */
static struct slice successor(const struct get *g)
{
        if (!def_is_fresh(g->def))
                return SLICE_EMPTY;
        struct slice handle = shape_handle(g->def->shape);
        return slice_eq(handle, g->handle) ? SLICE_EMPTY : handle;
}

/* Without a handle in the request there is nothing to refetch: it goes on with the successor. */
static void on_gone(struct get *g)
{
        if (g->handle.len)
                get_answer_refetch(g, successor(g));
        else
                get_lost(g);
}

static void on_failed(struct get *g, struct blob *message)
{
        union msg m;
        if (msg_decode(blob_slice(message), &m) == 0 && m.type == MSG_failed)
                get_answer_failed(g, &m.failed, true);
        else
                get_answer_refetch(g, SLICE_EMPTY);
}

static void on_entries(struct get *g, struct blob *entries, struct log_offset end)
{
        struct answer a = {.end = end, .up_to_date = true, .has_data = true, .lsn = {end.tx}};
        g->body = blob_ref(entries);
        if (g->stream)
                sse_deliver(g, &a, blob_slice(entries));
        else
                get_answer(g, &a, blob_slice(entries));
}

/* The long poll is over. If what is known of the tail cannot be relied on the router has the last
 * word. */
static void on_long_poll_over(struct get *g)
{
        g->last_look = true;
        if (upstream_shard_state(g->w->edge->upstream, g->shape->shard) == SVC_STARTING)
                get_answer_not_ready(g, 10);
        else
                get_read(g);
}

static void on_timeout(struct get *g, enum wait_kind kind)
{
        if (g->stream) {
                sse_on_timer(g);
                return;
        }
        switch (kind) {
        case WAIT_BEYOND:
                on_long_poll_over(g);
                return;
        case WAIT_REACH:
                get_answer_out_of_bounds(g);
                return;
        case WAIT_SNAPSHOT:
                get_answer_snapshot_slow(g);
                return;
        }
}

void get_woken(struct waiter *waiter)
{
        struct get *g = LIST_OBJ(waiter, struct get, waiter);
        CHECK_OBJ(g, GET_MAGIC);
        SLUICE_ASSERT(g->state == GET_WAITING);
        enum wake why = waiter->wake;
        enum wait_kind kind = waiter->kind;
        struct log_offset end = waiter->end;
        struct blob *entries = waiter->entries ? blob_ref(waiter->entries) : NULL;
        get_stop_waiting(g);
        g->turns = 0;
        switch (why) {
        case WAKE_NONE:
                SLUICE_ASSERT(!"woken for nothing");
                break;
        case WAKE_ENTRIES:
                on_entries(g, entries, end);
                break;
        case WAKE_LOOK:
                get_read(g);
                break;
        case WAKE_GONE:
                on_gone(g);
                break;
        case WAKE_FAILED:
                on_failed(g, entries);
                break;
        case WAKE_TIMEOUT:
                on_timeout(g, kind);
                break;
        case WAKE_DRAIN:
                answer_drained(g, kind);
                break;
        }
        blob_unref(entries);
}

void get_timeout(struct wheel_entry *timer)
{
        struct get *g = LIST_OBJ(timer, struct get, timer);
        CHECK_OBJ(g, GET_MAGIC);
        if (g->state == GET_NOT_READY) {
                get_stop_waiting(g);
                get_answer_not_ready(g, 5);
        } else if (g->waiter.shape) {
                waiter_wake(&g->waiter, WAKE_TIMEOUT, &g->w->woken);
        }
}

void gets_drain(struct worker *w)
{
        size_t cursor = 0;
        struct slice handle;
        struct shape *s;
        while ((s = hmap_next(&w->shapes.by_handle, &cursor, &handle)))
                shape_wake_all(s, WAKE_DRAIN, &w->woken);
        for (uint32_t i = 0; i < w->n_shards; i++) {
                struct list *node;
                while ((node = list_pop_front(&w->shards[i].not_ready))) {
                        struct get *g = LIST_OBJ(node, struct get, not_ready);
                        get_stop_waiting(g);
                        get_answer_not_ready(g, 5);
                }
        }
        http_loop_wake(w->loop);
}
