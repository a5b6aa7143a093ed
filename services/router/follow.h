/* Following the leader's change stream: introduces the router until a leader answers, keeps the
 * numbered frames in order and complete, and acknowledges.
 *
 *   SEEKING   hello to every ingest, again and again, until a leader says where to begin
 *   FOLLOWING frames of its epoch go to the writer. Frames missing: kept apart while the missing
 * ones are replayed. Replay has nothing, an acknowledgement is refused or unanswered, another epoch
 * appears, the writer is lost: SEEKING
 *
 * What the bus believes of its connection is not relied upon: when the leader says that it has more
 * and no frame comes, they are fetched as if they were missing, and the leader is dialed again.
 *
 * Frames arrive on NNG's threads; a lock guards the state. */
#ifndef SERVICES_ROUTER_FOLLOW_H
#define SERVICES_ROUTER_FOLLOW_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/svc/loop.h"
#include "services/router/writer.h"

struct follow;

struct follow_options {
        struct loop *loop;     /* for timers; open and close are called on its thread */
        struct writer *writer; /* not started yet */
        uint32_t index;
        const char *changes_urls, *control_urls; /* comma separated, pairs */
};

/* Does not begin yet: follow_start(). ERR_CONF with a line in *why. */
int follow_open(struct follow **out, const struct follow_options *o, struct buf *why);
void follow_start(struct follow *f);
/* No more input to the writer; who waits in follow_ask() gets ERR_CANCELLED. */
void follow_stop(struct follow *f);
/* Nobody may be in follow_ask(). */
void follow_close(struct follow *f);

/* ---- any thread */

/* Batch `seq` of `epoch` is applied, and with it everything up to `applied`. */
void follow_applied(struct follow *f, uint64_t epoch, uint64_t seq, lsn_t applied);
void follow_synced(struct follow *f, lsn_t synced);
/* The writer cannot continue the stream. */
void follow_lost(struct follow *f);
/* A request to the leader, blocking: its reply is appended to `reply`. When there is no leader, one
 * is waited for, and when another takes over it is asked again: the request must be idempotent.
 * ERR_CLOSED: no leader within `leader_ms`; ERR_TIMEOUT, ERR_CANCELLED. */
int follow_ask(struct follow *f, struct slice request, uint32_t timeout_ms, uint32_t leader_ms,
               struct buf *reply);

#endif
