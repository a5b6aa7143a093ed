#include "services/edge/def.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/wire/definition.h"

/* What a definition and its shape cost in the maps that they are in, and the allocator for them. */
enum { PLACES_BYTES = 320 };

static void drop_answer(struct def *d)
{
        shape_unref(d->shape);
        d->shape = NULL;
        mem_free((char *)(uintptr_t)d->schema.p);
        d->schema = (struct slice){NULL, 0};
        d->started = false;
}

static void free_def(struct def *d)
{
        SLUICE_ASSERT(!d->in_table && !lru_contains(&d->lru));
        drop_answer(d);
        mem_free((char *)(uintptr_t)d->canonical.p);
        d->magic = 0;
        mem_free(d);
}

static void leave_table(struct def *d)
{
        if (!d->in_table)
                return;
        hmap_take(&d->worker->defs, d->canonical);
        d->in_table = false;
        if (lru_contains(&d->lru))
                lru_remove(&d->worker->def_lru, &d->lru);
}

static void evict(struct worker *w)
{
        struct lru_node *n;
        while ((n = lru_evict(&w->def_lru))) {
                struct def *d = LIST_OBJ(n, struct def, lru);
                leave_table(d);
                def_unref(d);
        }
}

struct def *def_ref(struct def *d)
{
        CHECK_OBJ(d, DEF_MAGIC);
        if (lru_contains(&d->lru))
                lru_touch(&d->worker->def_lru, &d->lru);
        d->refs++;
        return d;
}

bool def_is_known(const struct def *d)
{
        return d->in_table;
}

/* The table holds a reference of its own. */
struct def *def_get(struct worker *w, struct slice canonical)
{
        struct def *d = hmap_find(&w->defs, canonical);
        if (d)
                return def_ref(d);
        d = mem_new(struct def);
        d->magic = DEF_MAGIC;
        d->refs = 2;
        d->worker = w;
        d->canonical = slice_dup(canonical);
        d->shard = definition_shard(definition_hash(canonical), w->n_shards);
        d->in_table = true;
        lru_node_init(&d->lru);
        for (int i = 0; i < DEF_ASKS; i++)
                list_init(&d->waiting[i]);
        hmap_put(&w->defs, d->canonical, d);
        lru_add(&w->def_lru, &d->lru,
                PLACES_BYTES + sizeof(*d) + sizeof(*d->shape) + 2 * canonical.len);
        evict(w);
        return d;
}

void def_unref(struct def *d)
{
        if (!d)
                return;
        CHECK_OBJ(d, DEF_MAGIC);
        SLUICE_ASSERT(d->refs > 0);
        if (--d->refs == 0)
                free_def(d);
}

bool def_is_fresh(struct def *d)
{
        CHECK_OBJ(d, DEF_MAGIC);
        return d->shape && !shape_is_gone(d->shape) &&
               worker_trusts(d->worker, d->shard, d->generation);
}

/* ---- asking
 *
 * Replies and notices come by different ways. A shape may be gone by the time the reply that names
 * it is here, and the notice have passed before there was anything to apply it to: so a question is
 * asked again when shapes went meanwhile, and after the last attempt what was learnt serves those
 * who wait and nobody else. */

enum { QUESTION_ATTEMPTS = 3 };

struct question {
        struct def *def; /* a reference */
        enum def_ask ask;
        unsigned attempts;
        uint64_t generation, voided; /* when it was asked */
};

static void on_resolved(void *state, void *arg, const struct upstream_reply *reply);

static const struct worker_shard *shard_of(const struct def *d)
{
        return &d->worker->shards[d->shard];
}

static void ask(struct question *q)
{
        struct def *d = q->def;
        q->attempts++;
        q->generation = worker_generation(d->worker, d->shard);
        q->voided = shard_of(d)->voided;
        union msg m = {.resolve = {.type = MSG_resolve,
                                   .definition = d->canonical,
                                   .create = q->ask == DEF_CREATE}};
        upstream_call(d->worker->edge->upstream, d->worker->index, d->shard, &m, on_resolved, q);
}

/* What goes into a header must not be able to end it. */
static bool is_header_text(struct slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
                        return false;
        return true;
}

static int take_answer(struct def *d, const struct msg_resolve_ok *m, uint64_t generation)
{
        if (m->handle.len == 0 || m->handle.len > SHAPE_MAX_HANDLE || !is_header_text(m->handle) ||
            !is_header_text(m->schema)) {
                log_error("reply_malformed", "router %u resolved a shape to an unusable handle",
                          d->shard);
                return ERR_FORMAT;
        }
        struct shape *shape = shapes_ref(&d->worker->shapes, m->handle, d->shard);
        if (lru_contains(&d->lru) && m->schema.len > d->schema.len)
                lru_grow(&d->worker->def_lru, &d->lru, m->schema.len - d->schema.len);
        drop_answer(d);
        d->shape = shape;
        d->schema = slice_dup(m->schema);
        d->started = m->started;
        d->generation = generation;
        evict(d->worker);
        return 0;
}

static void tell(struct def *d, enum def_ask ask, int err, const struct upstream_reply *reply)
{
        struct list waiting, *node;
        list_init(&waiting);
        while ((node = list_pop_front(&d->waiting[ask])))
                list_push_back(&waiting, node);
        while ((node = list_pop_front(&waiting))) {
                struct def_wait *dw = LIST_OBJ(node, struct def_wait, node);
                dw->cb(dw->arg, err, reply);
        }
}

static void on_resolved(void *state, void *arg, const struct upstream_reply *reply)
{
        struct question *q = arg;
        struct def *d = q->def;
        CHECK_OBJ(d, DEF_MAGIC);
        (void)state;
        int err = reply->err;
        bool names_shape = err == 0 && reply->msg.type == MSG_resolve_ok;
        bool doubtful = names_shape && shard_of(d)->voided != q->voided;
        if (doubtful && q->attempts < QUESTION_ATTEMPTS) {
                ask(q);
                return;
        }
        d->asking[q->ask] = false;
        if (names_shape)
                err = take_answer(d, &reply->msg.resolve_ok, doubtful ? 0 : q->generation);
        else if (err == 0)
                err = reply->msg.type == MSG_failed ? ERR_DENIED : ERR_FORMAT;
        if (reply->err != 0)
                edge_count(EDGE_CALLS_FAILED, 1);
        tell(d, q->ask, err, reply);
        def_unref(d);
        mem_free(q);
}

void def_resolve(struct def *d, enum def_ask how, struct def_wait *dw, def_callback *cb, void *arg)
{
        CHECK_OBJ(d, DEF_MAGIC);
        SLUICE_ASSERT(list_empty(&dw->node));
        dw->cb = cb;
        dw->arg = arg;
        list_push_back(&d->waiting[how], &dw->node);
        if (d->asking[how]) {
                edge_count(EDGE_COLLAPSED, 1);
                return;
        }
        d->asking[how] = true;
        struct question *q = mem_new(struct question);
        q->def = d;
        q->ask = how;
        d->refs++;
        ask(q);
}

void defs_forget_handle(struct worker *w, struct slice handle)
{
        size_t cursor = 0;
        struct slice key;
        struct def *d;
        while ((d = hmap_next(&w->defs, &cursor, &key)))
                if (d->shape && slice_eq(shape_handle(d->shape), handle))
                        drop_answer(d);
}

void defs_free(struct worker *w)
{
        w->def_lru.max_bytes = 0;
        evict(w);
        SLUICE_ASSERT(hmap_count(&w->defs) == 0);
        hmap_fini(&w->defs);
}
