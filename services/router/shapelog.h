/* The log of all shapes on disk: what is stored under which key, and the pure reading of it.
 *
 *   'M'                    the router's own place, struct shapelog_place
 *   'X' slot               xids routed lately, see xidset.h
 *   'S' shape_id           shape record, see shape.h
 *   'T' shape_id           tail, struct shape_tail
 *   'L' shape_id tx op     run of entries, keyed by the first one's offset, see run.h
 *                          (tx 0: snapshot, op = chunk << 32 | run)
 *   'C' shape_id tx op     end of a closed chunk of the log -> u64 its size, u64 its number
 *   'D' shape_id           deleted: its 'L' and 'C' keys are still to be freed
 *
 * Every record has a checksum: runs their own, the others that of sealed.h.
 *
 * Integers in keys are big-endian 64-bit. A run never crosses a chunk end, nor the tail. Finding an
 * offset is one seek and one binary search. Entries beyond the tail are invisible: parts of a
 * transaction whose end has not come (I5); they are deleted at start.
 *
 * Chunk ends depend on the sequence of entries alone (I4): the sizes of the entries' JSON are
 * summed, the entry that reaches the threshold closes the chunk, also in the middle of a
 * transaction; the sum of the open chunk is part of the tail. */
#ifndef SERVICES_ROUTER_SHAPELOG_H
#define SERVICES_ROUTER_SHAPELOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"
#include "common/store/store.h"

enum { SHAPELOG_KEY_MAX = 25 };

/* The log's end. */
struct log_tail {
        struct log_offset at;          /* last visible offset; 0_inf before the first real entry */
        struct log_offset chunk_start; /* end of the last closed chunk; 0_inf: none */
        uint64_t open_bytes;           /* sum of entry sizes since chunk_start */
        uint64_t chunks;               /* closed so far */
};

#define LOG_TAIL_EMPTY ((struct log_tail){OFFSET_SNAPSHOT_END, OFFSET_SNAPSHOT_END, 0, 0})

struct shape_tail {
        struct log_tail log;
        uint32_t snapshot_chunks; /* chunks begun */
        uint32_t snapshot_closed; /* chunks that are complete and frozen */
        bool snapshot_started, snapshot_done;
};

/* How far the router is; all zero in a new store. */
struct shapelog_place {
        lsn_t applied;    /* every transaction that commits at or before it is applied */
        lsn_t commit;     /* commit LSN of the last transaction applied */
        lsn_t open;       /* commit LSN of a transaction of which only parts came; 0: none */
        uint64_t next_id; /* counter of shape ids */
        uint64_t system_id, timeline, epoch; /* of the stream last followed */
        uint64_t xid; /* of the transaction at `commit`; 0: there is none there */
};

/* ---- reading */

/* The answer to a read; see the fetch message in common/wire/messages.def. */
struct shapelog_read {
        struct log_offset end, at, tail;
        bool frozen, pending;
        uint32_t next_run; /* of a snapshot chunk: where to go on; 0: that was all */
};

struct shapelog_range {
        bool from_start; /* offset -1 */
        struct log_offset after;
        struct log_offset limit; /* {0,0}: not known */
        uint64_t max_bytes;      /* 0: only where it would end */
        uint32_t run;            /* a snapshot chunk has no offsets inside: it is read run by run */
};

/* One read of one shape, in one read transaction; `out` gets the entries without brackets.
 * ERR_NOTFOUND: no such shape; ERR_RANGE: `after` lies beyond the tail (protocol §4.5), out->tail
 * is set; ERR_CORRUPT; ERR_LIMIT: `bytes` is too small for a single run. */
int shapelog_read(struct store_txn *t, uint64_t shape_id, const struct shapelog_range *range,
                  struct shapelog_read *out, struct buf *bytes);

bool shapelog_get_place(struct store_txn *t, struct shapelog_place *out);
bool shapelog_get_tail(struct store_txn *t, uint64_t shape_id, struct shape_tail *out);
/* Borrowed as store_get() lends. */
bool shapelog_get_record(struct store_txn *t, uint64_t shape_id, struct slice *out);
bool shapelog_get_recent(struct store_txn *t, uint64_t slot, struct slice *out);
/* The shapes in order of id: the first with an id >= *id. Sets *id. */
bool shapelog_next_record(struct store_txn *t, uint64_t *id, struct slice *record);
/* The same for what waits to be freed. */
bool shapelog_next_deleted(struct store_txn *t, uint64_t *id);

/* ---- writing: the writer thread alone */

void shapelog_put_place(struct store_txn *t, const struct shapelog_place *place);
void shapelog_put_recent(struct store_txn *t, uint64_t slot, struct slice xids);
void shapelog_put_record(struct store_txn *t, uint64_t shape_id, struct slice record);
void shapelog_put_tail(struct store_txn *t, uint64_t shape_id, const struct shape_tail *tail);
/* Room for a run of the log (or NULL on a sticky error), to be filled and sealed at once. */
void *shapelog_put_run(struct store_txn *t, uint64_t shape_id, struct log_offset first,
                       size_t size);
void shapelog_put_chunk_end(struct store_txn *t, uint64_t shape_id, struct log_offset end,
                            uint64_t size, uint64_t number);
/* Entries joined by commas: run number `run` of snapshot chunk `chunk`. */
void shapelog_put_snapshot(struct store_txn *t, uint64_t shape_id, uint32_t chunk, uint32_t run,
                           struct slice entries);
/* Deletes what lies beyond `tail` in the log. */
void shapelog_trim(struct store_txn *t, uint64_t shape_id, struct log_offset tail);
/* Takes the shape's record and tail away and leaves the rest to shapelog_free(). */
void shapelog_delete(struct store_txn *t, uint64_t shape_id);
/* Frees at most `limit` keys of a deleted shape and returns how many; fewer than `limit`: nothing
 * is left of it. */
size_t shapelog_free(struct store_txn *t, uint64_t shape_id, size_t limit);

#endif
