/* A shape as the writer thread knows it, and its record on disk.
 *
 *        new ──▶ WAITING ──hold──▶ HELD ──begin──▶ STARTED ──end──▶ COMPLETE
 *                   │               │ ▲              │                 │
 *                   │               └─┘ hold again   │                 │
 *                   └───────────────┴────────────────┴─────────────────┴──▶ GONE (deleted, rotated
 * or failed)
 *
 *  WAITING   known, its snapshot is queued; changes pass it by
 *  HELD      batches are kept for it, until a snapshot says which of their transactions it lacks
 *  STARTED   follows the log; the snapshot's rows are being written
 *  COMPLETE  survives a restart
 *  GONE      readers see it no more; freed after the commit that deletes it
 *
 * A restart discards what is not COMPLETE. */
#ifndef SERVICES_ROUTER_SHAPE_H
#define SERVICES_ROUTER_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "services/router/pending.h"
#include "services/router/shapelog.h"
#include "services/router/snapshot.h"

enum shape_state { SHAPE_WAITING, SHAPE_HELD, SHAPE_STARTED, SHAPE_COMPLETE, SHAPE_GONE };

struct alias;
struct clause;
struct view;

/* What a shape needs only while it is young. */
struct birth {
        struct shape *shape;  /* borrowed */
        struct list held;     /* HELD: in the engine's list */
        uint64_t hold_from;   /* HELD: first batch kept, see held.h */
        lsn_t hold_commit;    /* HELD: transactions up to here were applied before */
        bool hold_lost;       /* HELD: batches had to be dropped, hold again */
        uint32_t chunk, runs; /* STARTED: runs written of the chunk */
};

/* What a snapshot sees; shapes that began together share it. One thread. */
struct filter {
        struct pg_snapshot snapshot; /* a copy */
        uint32_t refs;
};

struct shape {
        uint32_t magic;
        enum shape_state state;
        bool stored; /* its record is on disk */
        bool record_dirty, tail_dirty, notify_snapshot,
                notify_schema; /* what the next commit writes and says */
        uint64_t id, created_us;
        struct slice definition; /* owned */
        struct slice identity;   /* owned, or the definition's bytes: see clause_identity() */
        uint64_t hash;           /* of the definition */
        struct clause *clause;   /* owned, NULL: every row */
        struct view *view;       /* holds a reference */
        struct list in_view, in_rest, dirty;
        struct shape *next_same, *next_alike; /* registry: same hash of definition, of identity */
        struct alias *aliases;                /* registry */
        struct shape_tail tail;
        struct pending *pending; /* owned, NULL: nothing */
        struct filter *filter;   /* a reference, NULL: off. What it sees is in the snapshot */
        uint64_t member; /* how its table was published when it began, and must be; 0: not known */
        uint64_t began_ms;   /* clock_mono_ms() when it began; 0: before this process */
        struct birth *birth; /* owned, NULL: COMPLETE or GONE */
        struct slice reason; /* owned, GONE: for the notice */
        bool failed;         /* GONE: `reason` is an encoded `failed` message */
};

enum { SHAPE_MAGIC = 0x5a9e0001, SHAPE_HANDLE_MAX = 42 };

/* Copies the definition and the identity; takes the clause and the caller's reference to the view.
 * The shape is WAITING. */
struct shape *shape_new(uint64_t id, uint64_t created_us, struct slice definition,
                        struct slice identity, struct clause *clause, struct view *view);
/* Gives its view back; it must be in no list and no map. */
void shape_free(struct shape *s);
void shape_set_state(struct shape *s, enum shape_state state);
/* The pending object, made when there is none. */
struct pending *shape_pending(struct shape *s);
/* Whether the snapshot has a transaction already. Switches the filter off when it can see nothing
 * any more. */
bool shape_skips(struct shape *s, uint32_t xid, lsn_t commit_lsn);

/* Whether complete transactions have brought it entries since the last commit. */
bool shape_tail_moves(const struct shape *s);

/* `<shape id>-<microseconds>`. */
void shape_handle(uint64_t id, uint64_t created_us, struct buf *out);
/* ERR_FORMAT. */
int shape_parse_handle(struct slice handle, uint64_t *id, uint64_t *created_us);

/* ---- the record */

/* What a fetch checks; read without decoding the rest. */
struct shape_record_head {
        uint64_t created_us, definition_hash;
        uint32_t oid; /* of the table */
};
struct shape_record {
        struct shape_record_head head;
        struct slice definition, table; /* borrowed from the record */
        uint32_t *columns;              /* owned */
        uint32_t n_columns;
        uint64_t member, zones; /* zone_set_print() */
        bool has_filter;
        struct pg_snapshot filter; /* owned */
};

void shape_record_encode(const struct shape *s, struct buf *out);
int shape_record_head(struct slice record, struct shape_record_head *out); /* ERR_CORRUPT */
int shape_record_decode(struct slice record, struct shape_record *out);    /* ERR_CORRUPT */
void shape_record_fini(struct shape_record *r);

/* The caller's reference. */
struct filter *filter_new(const struct pg_snapshot *s);
struct filter *filter_ref(struct filter *f);
/* NULL is allowed. */
void filter_unref(struct filter *f);
bool filter_is(const struct filter *f, const struct pg_snapshot *s);

#endif
