/* The published stream of changes: from replication messages to numbered frames, kept in a window
 * until the routers have them. One thread: the loop's.
 *
 * Credit. The stream asks for input only while the window has room (stream_has_room()); otherwise
 * the replication connection is not read and WAL waits in the slot (I7). Frames are dropped when
 * every router heard of in this epoch has applied them. A configured router not heard of holds the
 * window for GRACE_MS after the epoch's start, so that all can find their place, and later only as
 * long as there is room; so does one that has said nothing for SILENT_MS while others have.
 *
 * When to cut a batch: when it is full, or when the socket has run dry and no transaction is open.
 * A transaction that is open is about to be followed by the rest of itself; only if whole
 * transactions wait behind it for HOLD_MS is it cut in two. A bare position (keepalives, empty
 * transactions) is published every QUIET_MS at most, or at once when Postgres asks.
 *
 * While rows come in quick succession the socket is left alone for moments (pace.h).
 *
 * When a relation is described the stream asks which partitioned tables it is part of (lineage.h),
 * and has no room until it is told: what comes next may be a change that their shapes must see. */
#ifndef SERVICES_INGEST_STREAM_H
#define SERVICES_INGEST_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/bus/bus.h"
#include "common/svc/loop.h"
#include "common/wire/msg.h"
#include "services/ingest/lineage.h"
#include "services/ingest/peers.h"

struct stream;

struct stream_options {
        size_t window_bytes, batch_bytes;
        uint32_t routers;
        struct pub *pub; /* borrowed */
        /* On the loop, from timers and routers' requests; never from within stream_message() and
         * its like, on_bare_relation and on_relation apart. */
        void (*on_room)(void *arg);      /* there is room again */
        void (*on_confirmed)(void *arg); /* stream_confirmed() has moved */
        void (*on_restart)(void *arg);   /* a router needs what only the slot still has */
        /* A relation without REPLICA IDENTITY FULL was described. */
        void (*on_bare_relation)(void *arg, uint32_t oid);
        /* A relation was described in a transaction: stream_lineage() must be told, later. */
        void (*on_relation)(void *arg, uint32_t oid, uint32_t xid, uint64_t ticket);
        void *arg;
};

/* How many frames may be unacknowledged: also the queue that the publisher's socket needs. */
uint32_t stream_max_frames(size_t window_bytes, size_t batch_bytes);

struct stream *stream_new(struct loop *loop, const struct stream_options *o);
void stream_free(struct stream *s);

/* A replication stream begins at term->start, with a new epoch. */
void stream_begin(struct stream *s, const struct term *term);
/* The replication connection is gone. What was published can still be replayed and acknowledged. */
void stream_end(struct stream *s);

bool stream_has_room(const struct stream *s);
/* Only while stream_has_room(). ERR_FORMAT with a line in *why: the stream cannot go on. */
int stream_message(struct stream *s, struct slice pgoutput, struct buf *why);
/* The answer to on_relation; one that is not waited for any more is ignored. ERR_FORMAT and
 * lineage's errors with a line in *why: the stream cannot go on. */
int stream_lineage(struct stream *s, const struct lineage_answer *answer, struct buf *why);
void stream_keepalive(struct stream *s, lsn_t decoded, bool asked);
/* Nothing more to read for now. True: look again in PACE_REST_MS, not before. */
bool stream_dry(struct stream *s);

lsn_t stream_received(const struct stream *s);
lsn_t stream_applied(const struct stream *s); /* by every router */
lsn_t stream_confirmed(const struct stream *s);
uint64_t stream_epoch(const struct stream *s); /* 0 before the first */

/* Requests of routers: the answer, or 0 and a line in *refusal (HTTP status, why). `frames` holds
 * what a replay's answer borrows. */
struct refusal {
        uint64_t status;
        const char *message; /* static */
};
bool stream_hello(struct stream *s, const struct msg_hello *m, union msg *ok, struct refusal *no);
bool stream_ack(struct stream *s, const struct msg_ack *m, struct refusal *no);
void stream_replay(struct stream *s, const struct msg_replay *m, struct buf *frames, union msg *ok);

#endif
