#include "services/edge/worker.h"

#include <sys/random.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/edge/chunk.h"
#include "services/edge/def.h"
#include "services/edge/get.h"

static void seed(struct worker *w)
{
        ssize_t n = getrandom(w->random, sizeof(w->random), 0);
        SLUICE_ASSERT(n == (ssize_t)sizeof(w->random));
        w->random[0] |= 1;
        /* Above every other process' etags, as far as clocks go. */
        w->unique = clock_wall_us() << 8 | (w->index & 0xff);
}

struct worker *worker_new(struct edge *edge, struct http_loop *loop, uint32_t index)
{
        struct worker *w = mem_new(struct worker);
        w->magic = WORKER_MAGIC;
        w->edge = edge;
        w->loop = loop;
        w->index = index;
        w->now_ms = clock_mono_ms();
        arena_init(&w->arena);
        wheel_init(&w->wheel, w->now_ms);
        w->n_shards = upstream_shards(edge->upstream);
        w->shards = mem_zalloc(w->n_shards * sizeof(*w->shards));
        for (uint32_t i = 0; i < w->n_shards; i++) {
                flow_init(&w->shards[i].flow);
                list_init(&w->shards[i].not_ready);
        }
        shapes_init(&w->shapes);
        hmap_init(&w->defs);
        lru_init(&w->def_lru, WORKER_DEFS_BYTES);
        memo_init(&w->memo);
        hmap_init(&w->chunks);
        lru_init(&w->chunk_lru, edge->loop_cache_bytes);
        list_init(&w->woken);
        seed(w);
        return w;
}

void worker_free(struct worker *w)
{
        CHECK_OBJ(w, WORKER_MAGIC);
        chunks_free(w);
        memo_fini(&w->memo);
        defs_free(w);
        shapes_fini(&w->shapes);
        arena_fini(&w->arena);
        mem_free(w->shards);
        w->magic = 0;
        mem_free(w);
}

uint64_t worker_now(struct worker *w)
{
        w->now_ms = clock_mono_ms();
        return w->now_ms;
}

/* xorshift128+ */
uint64_t worker_random(struct worker *w)
{
        uint64_t a = w->random[0], b = w->random[1];
        w->random[0] = b;
        a ^= a << 23;
        w->random[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
        return w->random[1] + b;
}

bool worker_trusts(struct worker *w, uint32_t shard, uint64_t generation)
{
        SLUICE_ASSERT(shard < w->n_shards);
        return flow_trusts(&w->shards[shard].flow, generation, w->now_ms);
}

void worker_run(struct worker *w)
{
        CHECK_OBJ(w, WORKER_MAGIC);
        for (int i = 0; i < WORKER_SLICE; i++) {
                struct list *node = list_pop_front(&w->woken);
                if (!node)
                        return;
                get_woken(LIST_OBJ(node, struct waiter, node));
        }
        if (!list_empty(&w->woken))
                http_loop_wake(w->loop);
}

static void on_timer(void *arg, struct wheel_entry *e)
{
        (void)arg;
        get_timeout(e);
}

void worker_advance_timers(struct worker *w)
{
        wheel_advance(&w->wheel, worker_now(w), on_timer, w);
        worker_run(w);
}
