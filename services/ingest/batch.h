/* Turns decoded replication messages into the batches of common/wire/change.h: counts operations,
 * tells unchanged values apart, splits transactions that are too large for one batch. Pure: no I/O,
 * no clock.
 *
 * Positions. Everything here means "every transaction whose commit record starts at or before": a
 * transaction's own position is the start of its commit record (its commit LSN, I1). A keepalive's
 * position P is the end of the last record that was decoded; a commit record may start exactly
 * there, so it stands for P - 1. (Two commit records may be adjacent: the end of one can be the
 * start of the next. Using ends would make `<=` ambiguous by one transaction.)
 *
 * A batch says two positions: `end` is what is complete once it is applied (in the body, see
 * change.h); `reach` is the last transaction of which it holds anything. They differ only while a
 * transaction travels in parts, and then `end` stays below that transaction (I5): who has applied
 * less than `reach` still needs the batch. */
#ifndef SERVICES_INGEST_BATCH_H
#define SERVICES_INGEST_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "services/ingest/pgoutput.h"

struct batch_out {
        lsn_t end;
        lsn_t reach;
        struct slice body; /* borrowed for the duration of the call */
};

typedef void batch_emit(void *arg, const struct batch_out *out);

struct batch_counts {
        uint64_t txns, changes; /* since batch_new() */
};

struct batch;

/* batch_bytes: a batch is cut by the change that reaches it; it is larger only by that change. */
struct batch *batch_new(size_t batch_bytes, batch_emit *emit, void *arg);
void batch_free(struct batch *b);
/* A replication stream begins: what was open is dropped, relations are forgotten. */
void batch_begin(struct batch *b, lsn_t start);
/* One pgoutput message; emits at most one batch. ERR_FORMAT with a line in *why when the message
 * makes no sense here: the stream cannot go on. */
int batch_message(struct batch *b, const struct pgoutput_msg *m, struct buf *why);
/* Everything before `decoded` was sent. */
void batch_keepalive(struct batch *b, lsn_t decoded);
/* Emits what there is: changes, or the bare position when it has moved; nothing otherwise. */
void batch_cut(struct batch *b);

bool batch_has_txns(const struct batch *b); /* whole transactions (or a last part) wait for a cut */
bool batch_in_txn(const struct batch *b);   /* between begin and commit */
size_t batch_bytes(const struct batch *b);  /* waiting for a cut */
uint32_t batch_xid(const struct batch *b);  /* of the transaction that is open */
bool batch_has_moved(const struct batch *b); /* the position is beyond what was emitted */
lsn_t batch_position(const struct batch *b);
/* Largest `reach` emitted: who starts with the next batch needs nothing up to here. */
lsn_t batch_reach(const struct batch *b);
struct batch_counts batch_counts(const struct batch *b);

#endif
