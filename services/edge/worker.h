/* The state of one loop. Nothing in it is shared with another thread; what other threads have to
 * say comes as messages. */
#ifndef SERVICES_EDGE_WORKER_H
#define SERVICES_EDGE_WORKER_H

#include "common/base/hmap.h"
#include "common/base/list.h"
#include "services/edge/arena.h"
#include "services/edge/edge.h"
#include "services/edge/flow.h"
#include "services/edge/head.h"
#include "services/edge/lru.h"
#include "services/edge/memo.h"
#include "services/edge/shape.h"
#include "services/edge/wheel.h"

enum {
        WORKER_MAGIC = 0x3042c001,
        WORKER_SLICE = 256,     /* requests answered before the loop looks at its sockets again */
        WORKER_SWEEP_MS = 5000, /* every shape that somebody waits for, or has asked for, is checked
                                   this often */
        WORKER_TAILS_MAX = 2000,     /* handles in one question */
        WORKER_DEFS_BYTES = 32 << 20 /* remembered definitions */
};

/* What a loop has about one router. */
struct worker_shard {
        struct flow flow;
        struct list
                not_ready; /* struct get.node: requests that wait for the router to become active */
        bool doubt;        /* ask for tails at the next tick */
        uint32_t questions; /* for tails, under way */
        uint64_t next_sweep_ms;
        uint64_t voided; /* notices after which an answer about a definition, asked for before, may
                            be wrong */
};

struct worker {
        uint32_t magic;
        struct edge *edge;
        struct http_loop *loop;
        uint32_t index;
        uint64_t now_ms;
        struct arena arena; /* of the request being parsed */
        struct wheel wheel;
        struct worker_shard *shards;
        uint32_t n_shards;
        struct shapes shapes;
        struct hmap defs; /* canonical definition -> struct def */
        struct lru def_lru;
        struct memo memo;
        struct hmap chunks; /* handle and offset -> struct chunk */
        struct lru chunk_lru;
        size_t answer_bytes; /* of chunks that are not in chunk_lru: here or asked for */
        struct list woken;   /* struct waiter.node: answered in slices */
        uint64_t random[2];
        char refused_id[HEAD_REQUEST_ID_BYTES];
        uint64_t unique; /* makes etags of empty answers differ */
};

struct worker *worker_new(struct edge *edge, struct http_loop *loop, uint32_t index);
void worker_free(struct worker *w);
/* Time now, of this turn of the loop. */
uint64_t worker_now(struct worker *w);
/* xoroshiro-like, for jitter and ids; not for secrets. */
uint64_t worker_random(struct worker *w);
/* Answers what is on `woken`, at most a slice; arranges for the rest. */
void worker_run(struct worker *w);
void worker_advance_timers(struct worker *w);
/* What was learnt of a shape in `generation` still counts. */
bool worker_trusts(struct worker *w, uint32_t shard, uint64_t generation);
static inline uint64_t worker_generation(const struct worker *w, uint32_t shard)
{
        return w->shards[shard].flow.generation;
}

#endif
