#include "services/edge/chunk.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "services/edge/chunk_form.h"

static void make_key(struct chunk_key *key, const struct shape *shape,
                     const struct offset_request *from)
{
        struct slice handle = shape_handle(shape);
        uint64_t at[2] = {0, 0};
        memcpy(key->bytes, handle.p, handle.len);
        key->bytes[handle.len] = (char)from->kind;
        if (from->kind == OFFSET_AT) {
                at[0] = from->at.tx;
                at[1] = from->at.op;
        }
        memcpy(key->bytes + handle.len + 1, at, sizeof(at));
        key->len = (uint32_t)(handle.len + 1 + sizeof(at));
}

static struct slice key_slice(const struct chunk_key *key)
{
        return slice_of(key->bytes, key->len);
}

static void leave_table(struct chunk *c)
{
        if (!c->in_table)
                return;
        hmap_take(&c->worker->chunks, key_slice(&c->key));
        c->in_table = false;
}

static bool has_piece(const struct chunk *c, uint32_t i)
{
        return i >= c->n_dropped && i < c->n_pieces;
}

/* ---- how much all chunks hold */

enum { FREE_SHARE = 3, PIECE_SHARE = 16 };

static void hold(struct worker *w, size_t bytes)
{
        w->answer_bytes += bytes;
        edge_count(EDGE_ANSWER_BYTES, (int64_t)bytes);
}

static void let_go(struct worker *w, size_t bytes)
{
        SLUICE_ASSERT(w->answer_bytes >= bytes); /* I7 */
        w->answer_bytes -= bytes;
        edge_count(EDGE_ANSWER_BYTES, -(int64_t)bytes);
}

/* What is left of the part that is given away freely. */
static size_t room(const struct worker *w)
{
        size_t most = w->edge->loop_answer_bytes / FREE_SHARE;
        return w->answer_bytes < most ? most - w->answer_bytes : 0;
}

static bool is_full(const struct worker *w)
{
        return w->answer_bytes >= w->edge->loop_answer_bytes;
}

static size_t piece_bytes(const struct worker *w)
{
        size_t bytes = room(w) / PIECE_SHARE;
        if (bytes > CHUNK_PIECE_BYTES)
                return CHUNK_PIECE_BYTES;
        return bytes > CHUNK_PIECE_MIN_BYTES ? bytes : CHUNK_PIECE_MIN_BYTES;
}

static void drop_piece(struct chunk *c)
{
        let_go(c->worker, c->pieces[c->n_dropped].bytes.len);
        blob_unref(c->pieces[c->n_dropped].blob);
        c->pieces[c->n_dropped].blob = NULL;
        c->n_dropped++;
}

static void free_chunk(struct chunk *c)
{
        leave_table(c);
        while (c->n_dropped < c->n_pieces)
                drop_piece(c);
        mem_free(c->pieces);
        chunk_forms_free(c);
        blob_unref(c->failure);
        shape_unref(c->shape);
        c->magic = 0;
        mem_free(c);
}

static void free_if_unused(struct chunk *c)
{
        if (list_empty(&c->readers) && !c->fetching && !c->held && c->n_holds == 0 &&
            !lru_contains(&c->lru))
                free_chunk(c);
}

static void evict(struct worker *w)
{
        struct lru_node *n;
        while ((n = lru_evict(&w->chunk_lru))) {
                struct chunk *c = LIST_OBJ(n, struct chunk, lru);
                edge_count(EDGE_CACHE_BYTES, -(int64_t)n->bytes);
                hold(w, c->bytes);
                leave_table(c);
                free_if_unused(c);
        }
}

/* ---- fetching */

static void on_fetched(void *state, void *arg, const struct upstream_reply *reply);

static void fetch(struct chunk *c)
{
        bool first = c->state == CHUNK_ASKING;
        struct msg_fetch m = {.type = MSG_fetch,
                              .handle = shape_handle(c->shape),
                              .max_bytes = piece_bytes(c->worker)};
        if (first || c->next_run > 0) {
                m.run = c->next_run;
                m.from_start = c->from.kind != OFFSET_AT;
                if (c->from.kind == OFFSET_NOW)
                        m.max_bytes = 0;
                m.tx = c->from.at.tx;
                m.op = c->from.at.op;
        } else {
                m.tx = c->at.tx;
                m.op = c->at.op;
                m.limit_tx = c->end.tx;
                m.limit_op = c->end.op;
        }
        c->fetching = true;
        c->asked_bytes = m.max_bytes;
        hold(c->worker, c->asked_bytes);
        union msg any = {.fetch = m};
        upstream_call(c->worker->edge->upstream, c->worker->index, c->shape->shard, &any,
                      on_fetched, c);
}

static void add_piece(struct chunk *c, const struct upstream_reply *reply)
{
        struct slice bytes = reply->msg.fetch_ok.bytes;
        if (bytes.len == 0)
                return;
        c->pieces = mem_resize(c->pieces, c->n_pieces + 1, sizeof(*c->pieces));
        c->pieces[c->n_pieces++] = (struct chunk_piece){blob_ref(reply->blob), bytes};
        c->bytes += bytes.len;
        hold(c->worker, bytes.len);
}

static bool is_whole(const struct chunk *c)
{
        return c->next_run == 0 && offset_cmp(c->at, c->end) >= 0;
}

static bool too_big_to_keep(const struct chunk *c)
{
        return c->bytes > c->worker->chunk_lru.max_bytes / 2 || room(c->worker) == 0;
}

static void keep_or_forget(struct chunk *c)
{
        if (!c->frozen || too_big_to_keep(c) || c->n_dropped > 0) {
                leave_table(c);
                return;
        }
        if (c->state != CHUNK_WHOLE || !c->in_table)
                return;
        size_t bytes = c->bytes + sizeof(*c) + c->n_pieces * sizeof(struct blob);
        if (!lru_add(&c->worker->chunk_lru, &c->lru, bytes)) {
                leave_table(c);
                return;
        }
        edge_count(EDGE_CACHE_BYTES, (int64_t)bytes);
        let_go(c->worker, c->bytes);
}

static void take_first(struct chunk *c, const struct upstream_reply *reply, struct list *woken)
{
        const struct msg_fetch_ok *m = &reply->msg.fetch_ok;
        c->lsn.v = m->lsn;
        c->tail = (struct log_offset){m->tail_tx, m->tail_op};
        if (m->pending) {
                c->state = CHUNK_PENDING;
                leave_table(c);
                return;
        }
        c->end = (struct log_offset){m->end_tx, m->end_op};
        c->at = (struct log_offset){m->at_tx, m->at_op};
        c->next_run = m->next_run;
        if (c->from.kind == OFFSET_NOW) {
                c->state = CHUNK_WHOLE; /* only the tail was asked for */
        } else {
                c->frozen = m->frozen;
                add_piece(c, reply);
                c->state = is_whole(c) ? CHUNK_WHOLE : CHUNK_OPEN;
        }
        shape_learn_tail(c->shape, c->tail, c->generation, woken);
}

/* A later piece must take the read forward, or it would never end. */
static int take_later(struct chunk *c, const struct upstream_reply *reply)
{
        const struct msg_fetch_ok *m = &reply->msg.fetch_ok;
        struct log_offset at = {m->at_tx, m->at_op};
        bool forward = c->next_run > 0 ? m->next_run == 0 || m->next_run > c->next_run
                                       : offset_cmp(at, c->at) > 0;
        if (m->pending || !forward)
                return ERR_FORMAT;
        c->at = at;
        c->next_run = m->next_run;
        add_piece(c, reply);
        if (is_whole(c))
                c->state = CHUNK_WHOLE;
        return 0;
}

static void fail(struct chunk *c, int err, const struct upstream_reply *reply)
{
        c->state = CHUNK_FAILED;
        c->err = err;
        if (err == ERR_DENIED)
                c->failure = blob_ref(reply->blob);
        else
                edge_count(EDGE_CALLS_FAILED, 1);
        leave_table(c);
}

/* Pieces every reader has passed, of a chunk nobody else can join. The piece before `next` is still
 * being sent. */
static void drop_passed(struct chunk *c)
{
        if (c->in_table || lru_contains(&c->lru) || c->telling)
                return;
        uint32_t needed = c->n_pieces;
        for (struct list *l = c->readers.next; l != &c->readers; l = l->next) {
                struct chunk_reader *r = LIST_OBJ(l, struct chunk_reader, node);
                uint32_t first = r->next > 0 ? r->next - 1 : 0;
                needed = first < needed ? first : needed;
        }
        while (c->n_dropped < needed)
                drop_piece(c);
}

enum tell { TELL_ALL, TELL_WAITING_FOR_FORM };

/* Each reader once; a callback may detach any reader. */
static void tell_readers(struct chunk *c, enum tell whom)
{
        struct list todo, *node;
        list_init(&todo);
        list_take(&todo, &c->readers);
        c->telling = true;
        while ((node = list_pop_front(&todo))) {
                struct chunk_reader *r = LIST_OBJ(node, struct chunk_reader, node);
                list_push_back(&c->readers, &r->node);
                if (whom == TELL_ALL || r->waits_for_form)
                        r->cb(r->arg);
        }
        c->telling = false;
        drop_passed(c);
}

static void on_fetched(void *state, void *arg, const struct upstream_reply *reply)
{
        struct chunk *c = arg;
        struct worker *w = state;
        CHECK_OBJ(c, CHUNK_MAGIC);
        int err = reply->err;
        c->fetching = false;
        let_go(w, c->asked_bytes);
        c->held = true;
        if (err == 0 && reply->msg.type == MSG_failed)
                err = ERR_DENIED;
        else if (err == 0 && reply->msg.type != MSG_fetch_ok)
                err = ERR_FORMAT;
        else if (err == 0 && c->state == CHUNK_ASKING)
                take_first(c, reply, &w->woken);
        else if (err == 0)
                err = take_later(c, reply);
        if (err != 0)
                fail(c, err, reply);
        else if (c->state != CHUNK_PENDING)
                keep_or_forget(c);
        tell_readers(c, TELL_ALL);
        c->held = false;
        evict(w);
        free_if_unused(c);
        worker_run(w);
}

/* ---- reading */

static struct chunk *new_chunk(struct worker *w, struct shape *shape,
                               const struct offset_request *from, const struct chunk_key *key)
{
        struct chunk *c = mem_new(struct chunk);
        c->magic = CHUNK_MAGIC;
        c->worker = w;
        c->shape = shape_ref(shape);
        c->from = *from;
        c->state = CHUNK_ASKING;
        c->generation = worker_generation(w, shape->shard);
        list_init(&c->readers);
        lru_node_init(&c->lru);
        c->key = *key;
        return c;
}

bool chunk_read(struct worker *w, struct shape *shape, const struct offset_request *from,
                struct chunk_reader *r, void (*cb)(void *arg), void *arg)
{
        SLUICE_ASSERT(r->chunk == NULL);
        struct chunk_key key;
        make_key(&key, shape, from);
        struct chunk *c = hmap_find(&w->chunks, key_slice(&key));
        if (c) {
                edge_count(c->state == CHUNK_ASKING ? EDGE_COLLAPSED : EDGE_CACHE_HITS, 1);
                if (lru_contains(&c->lru))
                        lru_touch(&w->chunk_lru, &c->lru);
        } else if (is_full(w)) {
                c = new_chunk(w, shape, from, &key);
                c->state = CHUNK_FAILED;
                c->err = ERR_LIMIT;
                edge_count(EDGE_ANSWERS_REFUSED, 1);
        } else {
                c = new_chunk(w, shape, from, &key);
                hmap_put(&w->chunks, key_slice(&c->key), c);
                c->in_table = true;
                edge_count(EDGE_CACHE_MISSES, 1);
                fetch(c);
        }
        r->chunk = c;
        r->next = 0;
        r->waits_for_form = false;
        r->cb = cb;
        r->arg = arg;
        list_push_back(&c->readers, &r->node);
        return c->state == CHUNK_OPEN || c->state == CHUNK_WHOLE || c->state == CHUNK_FAILED;
}

static void fetch_ahead(struct chunk *c, uint32_t next)
{
        if (c->state == CHUNK_OPEN && !c->fetching && next >= c->n_pieces)
                fetch(c);
}

enum chunk_next chunk_next(struct chunk_reader *r, struct slice *bytes)
{
        struct chunk *c = r->chunk;
        CHECK_OBJ(c, CHUNK_MAGIC);
        if (has_piece(c, r->next)) {
                *bytes = c->pieces[r->next++].bytes;
                drop_passed(c);
                if (room(c->worker) > 0)
                        fetch_ahead(c, r->next);
                return CHUNK_PIECE;
        }
        SLUICE_ASSERT(r->next >= c->n_pieces);
        if (c->state == CHUNK_WHOLE)
                return CHUNK_END;
        if (c->state == CHUNK_FAILED)
                return CHUNK_BROKEN;
        fetch_ahead(c, r->next);
        return CHUNK_WAIT;
}

bool chunk_reader_done(const struct chunk_reader *r)
{
        return r->chunk->state == CHUNK_WHOLE && r->next >= r->chunk->n_pieces;
}

void chunk_detach(struct chunk_reader *r)
{
        struct chunk *c = r->chunk;
        if (!c)
                return;
        CHECK_OBJ(c, CHUNK_MAGIC);
        list_remove(&r->node);
        r->chunk = NULL;
        drop_passed(c);
        free_if_unused(c);
}

bool chunk_failure(const struct chunk *c, struct msg_failed *out)
{
        union msg m;
        if (!c->failure || msg_decode(blob_slice(c->failure), &m) != 0 || m.type != MSG_failed)
                return false;
        *out = m.failed;
        return true;
}

bool chunk_is_kept(const struct chunk *c)
{
        if (!c->frozen || c->n_dropped > 0)
                return false;
        return c->state == CHUNK_WHOLE ? lru_contains(&c->lru)
                                       : c->state == CHUNK_OPEN && c->in_table;
}

void chunk_fetch_rest(struct chunk *c)
{
        SLUICE_ASSERT(c->state == CHUNK_OPEN);
        fetch_ahead(c, c->n_pieces);
}

void chunk_grow(struct chunk *c, size_t bytes)
{
        if (!lru_contains(&c->lru))
                return;
        lru_grow(&c->worker->chunk_lru, &c->lru, bytes);
        edge_count(EDGE_CACHE_BYTES, (int64_t)bytes);
}

void chunk_hold(struct chunk *c)
{
        c->n_holds++;
}

void chunk_release(struct chunk *c)
{
        struct worker *w = c->worker;
        SLUICE_ASSERT(c->n_holds > 0);
        tell_readers(c, TELL_WAITING_FOR_FORM);
        c->n_holds--;
        evict(w);
        free_if_unused(c);
}

void chunks_free(struct worker *w)
{
        w->chunk_lru.max_bytes = 0;
        evict(w);
        SLUICE_ASSERT(hmap_count(&w->chunks) == 0);
        hmap_fini(&w->chunks);
}
