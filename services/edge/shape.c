#include "services/edge/shape.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

void shapes_init(struct shapes *t)
{
        hmap_init(&t->by_handle);
        list_init(&t->watched);
}

void shapes_fini(struct shapes *t)
{
        SLUICE_ASSERT(hmap_count(&t->by_handle) == 0);
        hmap_fini(&t->by_handle);
}

struct shape *shapes_find(const struct shapes *t, struct slice handle)
{
        return hmap_find(&t->by_handle, handle);
}

struct shape *shapes_ref(struct shapes *t, struct slice handle, uint32_t shard)
{
        SLUICE_ASSERT(handle.len > 0 && handle.len <= SHAPE_MAX_HANDLE);
        struct shape *s = shapes_find(t, handle);
        if (s)
                return shape_ref(s);
        s = mem_new(struct shape);
        s->magic = SHAPE_MAGIC;
        s->refs = 1;
        s->table = t;
        s->shard = shard;
        memcpy(s->handle_bytes, handle.p, handle.len);
        s->handle_len = (uint32_t)handle.len;
        list_init(&s->waiters);
        list_init(&s->watched);
        hmap_put(&t->by_handle, handle, s);
        return s;
}

struct shape *shape_ref(struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        s->refs++;
        return s;
}

static void leave_table(struct shape *s)
{
        if (s->table)
                hmap_take(&s->table->by_handle, shape_handle(s));
        list_remove(&s->watched);
        s->table = NULL;
}

static void watch(struct shape *s)
{
        if (s->table && list_empty(&s->watched))
                list_push_back(&s->table->watched, &s->watched);
}

void shape_use(struct shape *s)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        s->used = true;
        watch(s);
}

struct shape *shapes_next_watched(struct shapes *t, struct list *todo, uint32_t shard)
{
        struct list *node;
        while ((node = list_pop_front(todo))) {
                struct shape *s = LIST_OBJ(node, struct shape, watched);
                CHECK_OBJ(s, SHAPE_MAGIC);
                bool mine = s->shard == shard, asked = s->used || s->n_waiters > 0;
                if (s->n_waiters > 0 || !mine)
                        list_push_back(&t->watched, node);
                if (!mine || !asked)
                        continue;
                s->used = false;
                return s;
        }
        return NULL;
}

void shape_unref(struct shape *s)
{
        if (!s)
                return;
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(s->refs > 0);
        if (--s->refs > 0)
                return;
        SLUICE_ASSERT(list_empty(&s->waiters));
        leave_table(s);
        s->magic = 0;
        mem_free(s);
}

/* ---- waiters */

void waiter_init(struct waiter *w)
{
        *w = (struct waiter){.wake = WAKE_NONE};
        list_init(&w->node);
}

bool shape_wait(struct shape *s, struct waiter *w, enum wait_kind kind, struct log_offset offset)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        SLUICE_ASSERT(!waiter_waits(w) && !w->shape && !w->entries);
        if (shape_is_gone(s))
                return false;
        if (kind == WAIT_BEYOND && s->has_tail && offset_cmp(s->tail, offset) > 0)
                return false;
        if (kind == WAIT_REACH && s->has_tail && offset_cmp(s->tail, offset) >= 0)
                return false;
        w->shape = shape_ref(s);
        w->kind = kind;
        w->offset = offset;
        w->wake = WAKE_NONE;
        list_push_back(&s->waiters, &w->node);
        s->n_waiters++;
        watch(s);
        return true;
}

/* Off the shape's list; the reference goes with it. */
static void detach(struct waiter *w)
{
        struct shape *s = w->shape;
        if (!s)
                return;
        SLUICE_ASSERT(s->n_waiters > 0);
        s->n_waiters--;
        list_remove(&w->node);
        w->shape = NULL;
        shape_unref(s);
}

void waiter_cancel(struct waiter *w)
{
        detach(w);
        list_remove(&w->node);
        blob_unref(w->entries);
        w->entries = NULL;
        w->wake = WAKE_NONE;
}

void waiter_wake(struct waiter *w, enum wake why, struct list *woken)
{
        SLUICE_ASSERT(w->shape != NULL);
        detach(w);
        w->wake = why;
        list_push_back(woken, &w->node);
}

/* ---- facts */

struct growth {
        bool has_entries;
        struct log_offset prev, tail;
        struct slice bytes;
        struct blob *blob; /* made for the first waiter that needs it, shared by all */
};

static bool concerns(const struct waiter *w, const struct growth *g)
{
        switch (w->kind) {
        case WAIT_BEYOND:
                return offset_cmp(g->tail, w->offset) > 0;
        case WAIT_REACH:
                return offset_cmp(g->tail, w->offset) >= 0;
        case WAIT_SNAPSHOT:
                return true;
        }
        return true;
}

static void wake_for_growth(struct waiter *w, struct growth *g, struct list *woken)
{
        bool exact =
                g->has_entries && w->kind == WAIT_BEYOND && offset_cmp(w->offset, g->prev) == 0;
        if (exact) {
                if (!g->blob)
                        g->blob = blob_copy(g->bytes);
                w->entries = blob_ref(g->blob);
                w->end = g->tail;
        }
        waiter_wake(w, exact ? WAKE_ENTRIES : WAKE_LOOK, woken);
}

static void grow(struct shape *s, struct growth *g, uint64_t generation, struct list *woken)
{
        if (!s->has_tail || offset_cmp(g->tail, s->tail) > 0)
                s->tail = g->tail;
        s->has_tail = true;
        if (generation > s->generation)
                s->generation = generation;
        shape_ref(s);
        for (struct list *l = s->waiters.next; l != &s->waiters;) {
                struct waiter *w = LIST_OBJ(l, struct waiter, node);
                l = l->next;
                if (concerns(w, g))
                        wake_for_growth(w, g, woken);
        }
        blob_unref(g->blob);
        shape_unref(s);
}

void shape_learn_tail(struct shape *s, struct log_offset tail, uint64_t generation,
                      struct list *woken)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        if (!s->has_tail || offset_cmp(tail, s->tail) > 0) {
                struct growth g = {.tail = tail};
                grow(s, &g, generation, woken);
        } else if (generation > s->generation) {
                s->generation = generation;
        }
}

static void wake_all(struct shape *s, enum wake why, struct blob *blob, struct list *woken)
{
        shape_ref(s);
        while (!list_empty(&s->waiters)) {
                struct waiter *w = LIST_OBJ(s->waiters.next, struct waiter, node);
                if (blob)
                        w->entries = blob_ref(blob);
                waiter_wake(w, why, woken);
        }
        shape_unref(s);
}

void shape_wake_all(struct shape *s, enum wake why, struct list *woken)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        wake_all(s, why, NULL, woken);
}

void shape_gone(struct shape *s, struct slice failed, struct list *woken)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        struct blob *blob = failed.len ? blob_copy(failed) : NULL;
        shape_ref(s);
        leave_table(s);
        wake_all(s, blob ? WAKE_FAILED : WAKE_GONE, blob, woken);
        shape_unref(s);
        blob_unref(blob);
}

void shape_doubt(struct shape *s, enum wait_kind kind, struct list *woken)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        shape_ref(s);
        for (struct list *l = s->waiters.next; l != &s->waiters;) {
                struct waiter *w = LIST_OBJ(l, struct waiter, node);
                l = l->next;
                if (w->kind == kind)
                        waiter_wake(w, WAKE_LOOK, woken);
        }
        shape_unref(s);
}

void shape_on_notice(struct shape *s, const struct notice *n, uint64_t generation,
                     struct list *woken)
{
        CHECK_OBJ(s, SHAPE_MAGIC);
        s->events++;
        struct growth g = {.has_entries = n->flags & NOTICE_INLINE,
                           .prev = n->prev,
                           .tail = n->tail,
                           .bytes = n->bytes};
        switch (n->kind) {
        case NOTICE_APPEND:
                grow(s, &g, generation, woken);
                return;
        case NOTICE_SNAPSHOT:
                shape_doubt(s, WAIT_SNAPSHOT, woken);
                return;
        case NOTICE_GONE:
                shape_gone(s, n->flags & NOTICE_FAILED ? n->reason : SLICE_EMPTY, woken);
                return;
        case NOTICE_SCHEMA:
                return;
        }
}
