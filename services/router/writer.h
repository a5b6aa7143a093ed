/* The writer thread: it owns the engine and is the only one that writes to the store. Its inputs
 * are batches and joins of the stream, in order, and jobs of other threads. It takes what has
 * queued up, applies it, commits once, announces, and says how far it is.
 *
 * When the store is full it stops taking batches, keeps what it has in memory and tries again every
 * second; jobs that only read are still run. */
#ifndef SERVICES_ROUTER_WRITER_H
#define SERVICES_ROUTER_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "services/router/batch.h"
#include "services/router/engine.h"
#include "services/router/notify.h"

struct writer;

struct writer_options {
        struct engine_options
                engine; /* its arg, on_full, on_announce, on_commit are the writer's own to set */
        struct notify *notify;  /* borrowed; used by the writer thread alone */
        size_t max_queue_bytes; /* of batches */

        void *arg;
        /* On the writer thread. After a commit: everything up to `applied` is in the store, batch
         * `seq` of `epoch` being the last. */
        void (*on_applied)(void *arg, uint64_t epoch, uint64_t seq, lsn_t applied);
        /* On the writer thread, after every commit; what is in the store reaches up to `applied`.
         */
        void (*on_committed)(void *arg, lsn_t applied);
        /* On the writer thread: writer_is_ahead() was true and is not any more. */
        void (*on_settled)(void *arg);
        /* The stream makes no sense any more: join it anew. Batches are dropped until
         * writer_join(). */
        void (*on_lost)(void *arg);
        /* The store became full or has room again. */
        void (*on_full)(void *arg, bool full);
        void (*on_gone)(void *arg, const struct shape *s);
        void (*on_table)(void *arg, uint32_t oid, bool used);
        void (*on_described)(void *arg, uint32_t oid);
};

/* Loads the engine on the caller's thread; writer_start() starts the thread. */
int writer_open(struct writer **out, const struct writer_options *o, struct buf *why);
void writer_start(struct writer *w);
/* Finishes the commit in progress (unless the store is full) and joins the thread. Jobs not run get
 * ERR_CANCELLED. */
void writer_stop(struct writer *w);
void writer_close(struct writer *w);

/* ---- any thread */

/* False: the queue is full, the batch is not taken. Takes the caller's reference otherwise. */
bool writer_push(struct writer *w, struct batch *b);

struct writer_join {
        uint64_t epoch, next_seq, system_id, timeline;
        lsn_t start;
        bool purge;
};
/* The stream begins anew with batch next_seq of the epoch. */
void writer_join(struct writer *w, const struct writer_join *join);
/* How many joins the writer has gone through. */
uint64_t writer_joins_done(const struct writer *w);

/* Edges have been told of entries that are not in the store yet; they will be soon, unless it is
 * full. */
bool writer_is_ahead(const struct writer *w);
/* Every transaction up to it can be fetched. */
lsn_t writer_applied(const struct writer *w);
/* Where the stream was left; before writer_start() only. */
struct shapelog_place writer_place(const struct writer *w);

/* The tables that have shapes; before writer_start() only. */
void writer_each_table(const struct writer *w, void (*cb)(void *arg, uint32_t oid), void *arg);

enum writer_when {
        WRITER_COMMIT, /* it changes shapes: `run` between batches, `after` when that is committed
                        */
        WRITER_ANYTIME /* it may be run while the store is full, and must not change shapes then */
};
/* On the writer thread; `full`: the store is. */
typedef void writer_run(void *arg, struct engine *e, bool full);
/* After the commit, on the writer thread: 0. ERR_CANCELLED: the writer stopped, on any thread, and
 * `run` may not have run. */
typedef void writer_after(void *arg, int err);
/* `after` is called exactly once. */
void writer_post(struct writer *w, enum writer_when when, writer_run *run, writer_after *after,
                 void *arg);
/* Waits until `run` is committed: 0 or ERR_CANCELLED. Not on the writer thread. */
int writer_call(struct writer *w, writer_run *run, void *arg);
/* Waits until `run` has run; what it did is committed while the caller goes on. A caller that calls
 * again waits for that commit first, so it is never more than one ahead. 0 or ERR_CANCELLED. Not on
 * the writer thread. */
int writer_stage(struct writer *w, writer_run *run, void *arg);

#endif
