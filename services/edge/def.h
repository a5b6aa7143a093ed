/* Definitions a loop has seen, and the shape each stands for. Which handle a definition has is the
 * router's knowledge; it is kept here while the router's notices flow, and asked for again when
 * they did not. Identical questions under way are one. */
#ifndef SERVICES_EDGE_DEF_H
#define SERVICES_EDGE_DEF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "services/edge/worker.h"

enum { DEF_MAGIC = 0xdef00001 };

enum def_ask { DEF_FIND, DEF_CREATE, DEF_ASKS };

struct def {
        uint32_t magic;
        uint32_t refs;
        struct worker *worker;
        struct slice canonical; /* owned */
        uint32_t shard;
        struct shape *shape; /* NULL: not resolved, or gone */
        struct slice schema; /* owned; value of electric-schema */
        bool started;        /* its snapshot has */
        uint64_t generation; /* when the answer was asked for */
        bool in_table;
        struct lru_node lru;
        struct list waiting[DEF_ASKS]; /* struct def_wait.node */
        bool asking[DEF_ASKS];
};

/* How a question ended. err 0: the definition has a shape. Else `reply` says why. */
typedef void def_callback(void *arg, int err, const struct upstream_reply *reply);

struct def_wait {
        struct list node; /* list of one: not waiting */
        def_callback *cb;
        void *arg;
};

static inline void def_wait_init(struct def_wait *dw)
{
        list_init(&dw->node);
}

/* A reference; made when it is not known. */
struct def *def_get(struct worker *w, struct slice canonical);
/* Another reference; the definition counts as used now. */
struct def *def_ref(struct def *d);
/* def_get() would find this one. */
bool def_is_known(const struct def *d);
/* NULL is allowed. */
void def_unref(struct def *d);
/* It has a shape and that is known to be right. */
bool def_is_fresh(struct def *d);
/* The callback runs later, unless list_remove(&dw->node) comes first. */
void def_resolve(struct def *d, enum def_ask how, struct def_wait *dw, def_callback *cb, void *arg);
/* What is known of the shape with this handle is void. */
void defs_forget_handle(struct worker *w, struct slice handle);
void defs_free(struct worker *w);

#endif
