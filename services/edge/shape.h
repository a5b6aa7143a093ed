/* What a loop knows of the shapes it serves: where each log ends, and who waits there. Fed by
 * notices, replies and tails; it decides who is to be woken and why, and does nothing else. Pure
 * logic, one thread.
 *
 * A waiter hangs on one shape until a fact arrives that concerns it; then it is moved to the
 * caller's list with the reason in `wake`. A waiter that must not miss anything is checked once
 * more against the known tail after it was added (protocol §2.10.3): shape_wait() refuses what
 * would wake at once. */
#ifndef SERVICES_EDGE_SHAPE_H
#define SERVICES_EDGE_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/hmap.h"
#include "common/base/list.h"
#include "common/base/offset.h"
#include "common/base/slice.h"
#include "common/wire/notice.h"
#include "services/edge/blob.h"

enum { SHAPE_MAGIC = 0x5ba9e001, SHAPE_MAX_HANDLE = 64 };

enum wait_kind {
        WAIT_BEYOND,  /* for entries after `offset`, which is the tail */
        WAIT_REACH,   /* for the tail to reach `offset`, which lies beyond it */
        WAIT_SNAPSHOT /* for any progress */
};

enum wake {
        WAKE_NONE,
        WAKE_ENTRIES, /* `entries` are what follows `offset`, up to `end`, the tail */
        WAKE_LOOK,    /* something changed: ask the router */
        WAKE_GONE,    /* the shape is no more */
        WAKE_FAILED,  /* its snapshot failed: `entries` holds the encoded `failed` message */
        WAKE_TIMEOUT, /* set by the owner of the timers */
        WAKE_DRAIN    /* set by the owner of the process' end */
};

struct shape;

struct waiter {
        struct list node; /* in shape->waiters, or in the list of the woken */
        struct shape *shape;
        enum wait_kind kind;
        struct log_offset offset;
        enum wake wake;
        struct blob *entries; /* owned by the waiter */
        struct log_offset end;
};

struct shape {
        uint32_t magic;
        uint32_t refs;
        struct shapes *table; /* NULL once it is gone */
        uint32_t shard;
        char handle_bytes[SHAPE_MAX_HANDLE];
        uint32_t handle_len;
        struct log_offset tail;
        bool has_tail;
        uint64_t generation; /* of the router's flow when the tail was learnt */
        uint64_t events; /* notices seen: an answer asked for before the last one may be out of date
                          */
        struct list waiters;
        uint32_t n_waiters;
        bool used; /* asked for since the last sweep: the router is to know */
        struct list watched;
};

struct shapes {
        struct hmap by_handle;
        /* Of all the shapes, who may be many, those that the next sweep asks the router about: used
         * or waited for. One whose waiters have left meanwhile may be on it, too. */
        struct list watched;
};

void shapes_init(struct shapes *t);
/* No shape may be referenced any more. */
void shapes_fini(struct shapes *t);
/* A reference to the shape, made when it is not known. handle: 1..SHAPE_MAX_HANDLE bytes. */
struct shape *shapes_ref(struct shapes *t, struct slice handle, uint32_t shard);
/* Borrowed or NULL. */
struct shape *shapes_find(const struct shapes *t, struct slice handle);
struct shape *shape_ref(struct shape *s);
/* NULL is allowed. */
void shape_unref(struct shape *s);
static inline struct slice shape_handle(const struct shape *s)
{
        return slice_of(s->handle_bytes, s->handle_len);
}
static inline bool shape_is_gone(const struct shape *s)
{
        return s->table == NULL;
}

/* It was asked for. */
void shape_use(struct shape *s);
/* Takes the next one that is to be asked about off `todo`, which was `watched`; who is waited for
 * goes back there. NULL: there are no more. `shard`: the others' are left for their own sweeps. */
struct shape *shapes_next_watched(struct shapes *t, struct list *todo, uint32_t shard);

/* The tail was at least `tail` in this generation. Tails only grow. Wakes whom that concerns. */
void shape_learn_tail(struct shape *s, struct log_offset tail, uint64_t generation,
                      struct list *woken);
/* Applies a notice; the handle is the caller's business. */
void shape_on_notice(struct shape *s, const struct notice *n, uint64_t generation,
                     struct list *woken);
/* The shape is no more; it leaves the table. `failed`: the encoded message, or empty. */
void shape_gone(struct shape *s, struct slice failed, struct list *woken);
/* Everybody looks again: what was missed is not known. */
void shape_doubt(struct shape *s, enum wait_kind kind, struct list *woken);

/* For a reason of the owner's. */
void shape_wake_all(struct shape *s, enum wake why, struct list *woken);

void waiter_init(struct waiter *w);
/* False when what is waited for is the case already (the known tail moved meanwhile, the shape is
 * gone): look again. Takes a reference to the shape for as long as it waits. */
bool shape_wait(struct shape *s, struct waiter *w, enum wait_kind kind, struct log_offset offset);
/* Off whatever list it is on; drops the entries and the reference. */
void waiter_cancel(struct waiter *w);
static inline bool waiter_waits(const struct waiter *w)
{
        return !list_empty(&w->node);
}
/* From the shape to `woken`, for a reason of the owner's. */
void waiter_wake(struct waiter *w, enum wake why, struct list *woken);

#endif
