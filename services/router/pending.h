/* What one shape's log has gained in memory and not on disk yet: entries in order, the chunk ends
 * among them, and how much of it belongs to complete transactions. Lives as long as there is
 * something to write or a transaction is in progress; the writer thread's.
 *
 * The last entry of a transaction for the shape says so (protocol §3.2, `last`), which is known
 * only when the transaction ends: the newest entry is kept without its closing bytes, and out of
 * the log, until the next one or the end closes it. */
#ifndef SERVICES_ROUTER_PENDING_H
#define SERVICES_ROUTER_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/offset.h"
#include "common/store/store.h"
#include "services/router/shapelog.h"

struct shape;

struct pending {
        uint32_t magic;
        struct list touched; /* in the list of the transaction in progress */
        struct shape *shape; /* borrowed */
        struct buf index;    /* struct pending_entry, closed entries only */
        struct buf bytes;    /* their JSON joined by commas, then the open entry */
        struct buf ends;     /* struct pending_end */
        uint32_t n;          /* closed entries */
        uint32_t n_settled;  /* of complete transactions */
        bool has_open;
        struct log_offset open_at;
        size_t open_start;
        uint64_t open_tx;        /* commit LSN of the transaction in progress, 0: none */
        struct log_tail settled; /* the tail when what is settled is on disk */
        struct log_tail working; /* the same for everything closed */
        bool spilled; /* entries of the transaction in progress are on disk, beyond the tail */
        bool behind;  /* settled entries are on disk already: what is in memory is not all since the
                         tail */
        bool trim; /* a transaction was rolled back: what is on disk beyond trim_at must go first */
        struct log_offset trim_at;
};

enum { PENDING_MAGIC = 0x9e4d1e01, PENDING_RUN_BYTES = 64 * 1024 };

struct pending *pending_new(struct shape *shape, const struct log_tail *tail);
void pending_free(struct pending *p);

/* Appends an entry, rendered without its closing bytes, of the transaction that commits at at.tx.
 * Returns the bytes that this added. */
size_t pending_add(struct pending *p, struct log_offset at, struct slice entry,
                   uint64_t chunk_bytes);
/* The transaction in progress has ended. */
void pending_settle(struct pending *p, uint64_t chunk_bytes);
/* The transaction in progress will be sent again from its start: forget what came of it. */
void pending_rollback(struct pending *p);

/* ERR_LIMIT: an entry was too large to keep; the log has a hole and must not be written. */
int pending_status(const struct pending *p);
/* Writes everything closed into `t`; may be repeated with another transaction when that failed. */
void pending_write(const struct pending *p, struct store_txn *t, uint64_t shape_id);
/* The settled entries when they are few, close no chunk and are all that came since the tail; else
 * empty. */
struct slice pending_inline(const struct pending *p, size_t max_bytes);
/* What pending_write() wrote is committed. True when nothing is left: the object can go. */
bool pending_written(struct pending *p);

#endif
