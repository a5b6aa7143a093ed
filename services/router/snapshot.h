/* Initial snapshots: a pool of workers with one connection each takes shapes from a fair queue,
 * copies them in a repeatable-read transaction, renders the rows and hands them to the writer in
 * bounded batches (docs/architecture.md, "Creating a shape"; invariant
 * I2). When many wait, small shapes of one table share a transaction (snapshot_group.h). */
#ifndef SERVICES_ROUTER_SNAPSHOT_H
#define SERVICES_ROUTER_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"
#include "services/router/render.h"

struct bus_peer;

/* pg_current_snapshot() and the WAL insert position read right after it; as part of a shape's
 * record, what they say of other transactions. */
struct pg_snapshot {
        uint64_t xmin, xmax;
        uint64_t *xip;
        uint32_t n_xip;
        lsn_t insert_lsn;
        uint64_t member; /* how its table was published then (catalog_glance.h); 0: not asked for */
};

/* Text of pg_current_snapshot(), "10:20:10,14,15". ERR_FORMAT. xip is owned: pg_snapshot_fini(). */
int pg_snapshot_parse(struct slice text, struct pg_snapshot *out);
void pg_snapshot_fini(struct pg_snapshot *s);
/* Whether the snapshot sees a transaction, given the 32 bits of its xid that the stream shows
 * (compared circularly). */
bool pg_snapshot_sees(const struct pg_snapshot *s, uint32_t xid);

/* Why a snapshot failed: what the clients get (protocol §4.7). */
struct snapshot_failure {
        uint32_t status; /* 409, 500, 503 */
        struct slice body;
        uint32_t retry_after_s;
};

/* All of a small shape, snapshot-end included. */
struct snapshot_whole {
        uint64_t shape_id;
        struct buf *entries; /* one chunk; the contents are taken */
        int err;             /* the verdict: 0; ERR_AGAIN as for begin(); ERR_CANCELLED: gone */
};

/* The writer's side. All are called on worker threads, may block for back-pressure, and return
 * ERR_CANCELLED when the shape is gone: the worker then stops at once. */
struct snapshot_sink {
        void *arg;
        /* From a batch boundary on, hold what arrives for these shapes (step 3). ERR_CANCELLED: all
         * are gone. */
        int (*hold)(void *arg, const uint64_t *shape_ids, uint32_t n);
        /* Judge the snapshot (steps 5, 6). ERR_AGAIN: a routed transaction is not visible in it:
         * take another. After 0 the shape is started. */
        int (*begin)(void *arg, uint64_t shape_id, const struct pg_snapshot *s);
        /* Entries of snapshot chunk `chunk` (0-based), joined by commas; takes the contents of
         * `entries`. `closes`: the last row reached the chunk threshold. */
        int (*rows)(void *arg, uint64_t shape_id, uint32_t chunk, struct buf *entries, bool closes);
        /* All is written, snapshot-end included, the last chunk being `chunk`. */
        int (*end)(void *arg, uint64_t shape_id, uint32_t chunk);
        /* Begin, rows and end of each: the transaction in which they were read has been committed.
         */
        void (*whole)(void *arg, const struct pg_snapshot *s, struct snapshot_whole *shapes,
                      uint32_t n);
        void (*failed)(void *arg, uint64_t shape_id, const struct snapshot_failure *f);
        /* Ask ingest to publish the table (REQ ensure_table); blocks. 0, or an error with *failure
         * filled (body in `body`). */
        int (*ensure_table)(void *arg, const struct table *t, struct snapshot_failure *failure,
                            struct buf *body);
};

struct snapshot_options {
        const char *database_url, *ca_file;
        bool pooled; /* see pg_options */
        uint32_t workers;
        uint64_t chunk_bytes;          /* SLUICE_CHUNK_BYTES */
        uint32_t batch_bytes;          /* rows() is called about every so many bytes */
        uint32_t first_row_timeout_ms; /* 30 s in the protocol */
        uint32_t silence_ms; /* then the server may send nothing for so long; 0: for ever */
        uint32_t timeout_ms; /* what the server may spend on all rows; 0: any time */
        uint32_t max_queue;
        const char *publication; /* the table must be in it, seen from the snapshot; NULL: not asked
                                    for. Outlives the pool */
};

struct snapshot_pool;

/* Does not connect: a worker does with its first job, and lets an idle connection go after half a
 * minute. ERR_CONF with a line in *why for a URL that cannot be used. */
int snapshot_pool_open(struct snapshot_pool **out, const struct snapshot_options *o,
                       const struct snapshot_sink *sink, struct buf *why);
/* Cancels what runs (PQcancel) and joins the workers. Jobs that had not ended are forgotten without
 * a further callback. */
void snapshot_pool_close(struct snapshot_pool *p);

/* What to read. `projection` and its table outlive the job: until end, failed or a callback that
 * returned ERR_CANCELLED. `where_sql`: rebuilt from a checked tree, never a client's text, or
 * empty. `only_end`: log=changes_only, the snapshot is just
 * snapshot-end. */
struct snapshot_job {
        uint64_t shape_id;
        const struct projection *projection;
        struct slice where_sql;
        bool only_end;
};
/* Any thread; copies the job. ERR_AGAIN when the queue is full. */
int snapshot_submit(struct snapshot_pool *p, const struct snapshot_job *job);
/* Any thread: the shape is gone; its query is cancelled and the job ends with failed() (409), also
 * when it was still queued. Nothing happens when there is no such job. */
void snapshot_cancel(struct snapshot_pool *p, uint64_t shape_id);

#endif
