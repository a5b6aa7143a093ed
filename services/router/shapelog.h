/* The log of all shapes on disk: what is stored under which key, and the pure reading of it.
 *
 *   'M' name                              meta: applied LSN, synced-before LSN, next shape id, system id, timeline, recent xids
 *   'S' shape_id                          shape record: handle, definition, table, snapshot, state
 *   'T' shape_id                          tail: last visible offset, bytes in the open chunk, snapshot progress
 *   'L' shape_id tx op                    run: entries, keyed by the first one's offset (tx 0: snapshot, op = chunk << 32 | run)
 *   'C' shape_id tx op                    end of a closed chunk -> its size and its number
 *
 * Integers in keys are big-endian 64-bit. A run is
 *
 *   u64 checksum (xxh3 of the rest) · u32 n · n × { u64 tx, u64 op, u32 end } · bytes
 *
 * little-endian; `end` is where entry i ends in `bytes`, which is the entries joined by commas. A run never crosses a chunk end. Finding an offset is
 * one seek and one binary search. Entries beyond the tail are invisible: parts of a transaction whose end has not come (I5); they are deleted at start. */
#ifndef SERVICES_ROUTER_SHAPELOG_H
#define SERVICES_ROUTER_SHAPELOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"
#include "common/store/store.h"

struct shape_tail {
        struct log_offset at;         /* last visible offset; 0_inf before the first real entry */
        struct log_offset chunk_start; /* end of the last closed chunk; 0_inf: none */
        uint64_t open_bytes;          /* sum of entry sizes since chunk_start */
        uint32_t snapshot_chunks;     /* chunks begun */
        uint32_t snapshot_closed;     /* chunks that are complete and frozen */
        bool snapshot_started, snapshot_done;
};

/* The answer to a read; see the fetch message in common/wire/messages.def. */
struct shapelog_read {
        struct log_offset end, at, tail;
        bool frozen, pending;
};

struct shapelog_range {
        bool from_start;          /* offset -1 */
        struct log_offset after;
        struct log_offset limit;  /* {0,0}: not known */
        uint64_t max_bytes;
};

/* One read of one shape, in one read transaction; `out` gets the entries without brackets. ERR_NOTFOUND: no such shape; ERR_RANGE: `after` lies beyond the tail (protocol
 * §4.5), out->tail is set; ERR_CORRUPT. */
int shapelog_read(struct store_txn *t, uint64_t shape_id, const struct shapelog_range *range,
                  struct shapelog_read *out, struct buf *bytes);

#endif
