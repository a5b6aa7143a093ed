/* The shapes and their logs: what is known in memory, what a change does to it, and how it becomes
 * durable and visible. Everything here runs on one thread (the writer's, see writer.h); nothing
 * here waits for anybody but the disk.
 *
 * All changes go to memory first. engine_commit() then writes what is dirty in one store
 * transaction (entries, chunk ends, tails, records, the applied LSN) and after its commit tells the
 * edges (I5; what may be told before: announce.h). When the store is full the same commit is tried
 * again later: memory keeps everything, nothing is half written.
 *
 * A commit may come in the middle of a transaction, because its parts came in several batches or
 * because much is pending: its entries then lie beyond the tails. */
#ifndef SERVICES_ROUTER_ENGINE_H
#define SERVICES_ROUTER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/offset.h"
#include "common/store/store.h"
#include "common/wire/change.h"
#include "services/router/batch.h"
#include "services/router/held.h"
#include "services/router/metrics.h"
#include "services/router/registry.h"
#include "services/router/shapelog.h"
#include "services/router/xidset.h"

struct engine;

struct engine_options {
        struct store *store; /* borrowed */
        uint64_t chunk_bytes;
        uint32_t index;     /* of the router: ids end in it, so no two routers make the same */
        size_t max_pending; /* commit when so many bytes of entries are in memory */
        size_t max_held;    /* bytes of batches kept for shapes without a snapshot */
        uint64_t (*wall_us)(void);

        void *arg;
        /* The store is full: wait, then true to try again, false to give up. */
        bool (*on_full)(void *arg);
        /* Notices, encoded as in common/wire/notice.h, of what the commit that follows at once is
         * going to bring: edges may be told already (announce.h). */
        void (*on_announce)(void *arg, lsn_t applied, uint32_t n, struct slice notices);
        /* After a commit: the notices not given before, maybe none. */
        void (*on_commit)(void *arg, lsn_t applied, uint32_t n, struct slice notices);
        /* A shape is gone (not committed yet). */
        void (*on_gone)(void *arg, const struct shape *s);
        /* The first shape of a table came, the last one went. */
        void (*on_table)(void *arg, uint32_t oid, bool used);
        /* The stream describes a table of shapes, or a part of it: it may have been altered. */
        void (*on_described)(void *arg, uint32_t oid);
};

struct engine {
        uint32_t magic;
        struct engine_options o;
        struct registry shapes;
        struct xidset *xids;
        struct held held;
        struct list held_shapes; /* struct birth */
        struct list dirty;       /* shapes that the next commit writes */
        struct list touched;     /* struct pending of the transaction in progress */
        struct list staged;      /* snapshot rows */
        size_t pending_bytes, staged_bytes;
        struct shapelog_place place, committed; /* as in memory; as on disk */
        lsn_t expected; /* the stream that was joined must bring the transaction at place.commit
                           again; 0: it begins after it, or has brought it */
        struct filter *filter; /* of the shape that began last, NULL: none did */
        struct hmap jobs;      /* shape id -> view kept for its snapshot job */
        struct buf discarded;  /* ids of shapes on disk that the next commit deletes */
        size_t n_deleted;      /* deleted shapes whose pages are not free yet */
        struct buf notices;    /* scratch */
        bool announced;        /* edges have been told what the next commit brings */
        struct rendering *rendering;
        struct change_reader reader;
};

enum { ENGINE_MAGIC = 0xe9619e01 };

/* Loads what the store has. *why gets a line: ERR_CORRUPT and the store's errors. */
int engine_open(struct engine *e, const struct engine_options *o, struct buf *why);
void engine_close(struct engine *e);

/* Writes what is dirty; nothing when nothing is. The store's error, ERR_CANCELLED when on_full()
 * gave up. */
int engine_commit(struct engine *e);
/* Frees a slice of what deleted shapes had on disk. True when there is more. */
bool engine_reap(struct engine *e);

/* ---- changes (apply.c) */

/* Applies a batch; commits by itself only when much is pending. ERR_FORMAT, ERR_VERSION: not a
 * batch; ERR_RANGE: it continues a transaction whose beginning was not seen; ERR_HISTORY: see
 * engine_resume(); else engine_commit()'s errors. After an error the stream must be joined anew:
 * engine_rewind(). */
int engine_apply(struct engine *e, struct batch *b);
/* The stream begins after `start`, at or before what is applied. What it brings again must be what
 * it brought before: a database that was restored from a copy of its files has the same name,
 * timeline and slots, and may even have more WAL than before. That a transaction is missing or new
 * among what was applied is ERR_HISTORY. */
void engine_resume(struct engine *e, lsn_t start);
/* The stream starts again at or before what is applied: the transaction in progress comes again. */
void engine_rewind(struct engine *e);
/* There are no shapes, and the stream has what commits after `start`. */
void engine_start_at(struct engine *e, lsn_t start);
/* Step 6 of "Creating a shape": what was held for the shape is applied to it alone. */
int engine_apply_held(struct engine *e, struct shape *s);

/* ---- shapes (lifecycle.c) */

enum gone_cause {
        GONE_DELETED,
        GONE_TRUNCATED,
        GONE_CHANGED,
        GONE_SURPLUS,
        GONE_UNPUBLISHED,
        GONE_HIDDEN,
        GONE_ZONE,
        GONE_NO_OLD_ROW,
        GONE_TOO_LARGE,
        GONE_PURGED,
        GONE_FAILED
};

struct shape_spec {
        struct slice definition, identity; /* copied */
        struct table *table;               /* taken */
        struct where *where;               /* taken; NULL: every row */
        bool all_columns;
        enum replica_mode replica;
        const uint32_t *columns; /* selected, table column indexes in attribute order */
        uint32_t n_columns;
};
/* The shape is WAITING and its view is kept until engine_job_done(). */
struct shape *engine_create(struct engine *e, const struct shape_spec *spec);
/* `detail`: for GONE_FAILED the encoded `failed` message, else ignored. The shape is freed by the
 * next commit; until then only its id, handle and state may be used. */
void engine_remove(struct engine *e, struct shape *s, enum gone_cause cause, struct slice detail);
void engine_purge(struct engine *e);
/* The catalog's news of a table; `table` is borrowed, NULL: dropped, renamed or recreated. False:
 * the news are older than some shape of it and decide nothing about that one: look again. */
bool engine_drift(struct engine *e, uint32_t oid, const struct table *table);

/* The database has other rules of the time zone: every shape whose clause has it ends. */
struct zone;
void engine_zone_differs(struct engine *e, const struct zone *z);

/* The snapshot worker's calls, see snapshot.h. ERR_CANCELLED: the shape is gone. */
int engine_hold(struct engine *e, uint64_t id);
int engine_begin(struct engine *e, uint64_t id, const struct pg_snapshot *s);
int engine_rows(struct engine *e, uint64_t id, uint32_t chunk, struct buf *entries, bool closes);
int engine_end(struct engine *e, uint64_t id, uint32_t chunk);
void engine_job_done(struct engine *e, uint64_t id);

/* ---- for the parts of the engine */

void engine_dirty(struct engine *e, struct shape *s);
/* Takes the contents of `entries`. */
void engine_stage(struct engine *e, uint64_t id, uint32_t chunk, uint32_t run, struct buf *entries);
void engine_drop_staged(struct engine *e, uint64_t id);
/* Forgets the batches that no held shape needs. */
void engine_drop_held(struct engine *e);

#endif
