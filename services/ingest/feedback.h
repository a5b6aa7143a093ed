/* What Postgres is told: how far it may forget (I3), and when. Pure; time is a parameter.
 *
 * Postgres sends, after a restart, the transactions whose commit record starts at or after
 * confirmed_flush (snapbuild.c, SnapBuildXactNeedsSkip: skipped when commit record <
 * start_decoding_at). A position P of ours covers the transactions whose commit record starts at or
 * before P, so the exact value to confirm for P is P + 1: the transaction at P is not sent again,
 * one whose record starts right behind it is. */
#ifndef SERVICES_INGEST_FEEDBACK_H
#define SERVICES_INGEST_FEEDBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "services/ingest/peers.h"

static inline lsn_t feedback_flush_lsn(lsn_t position)
{
        return (lsn_t){position.v + 1};
}
static inline lsn_t feedback_position(lsn_t flush)
{
        return (lsn_t){flush.v ? flush.v - 1 : 0};
}

/* The one place where I3 is decided: raises p->confirmed to the least position that every
 * configured router has synced, and returns it. A router not heard of in this epoch counts as the
 * slot's own position at its start. Never goes back: Postgres 14 to 17 would follow. */
lsn_t feedback_confirm(struct peers *p);

/* Standby status update: everything up to `received` has arrived, everything up to `confirmed` is
 * durable everywhere. */
enum { FEEDBACK_STATUS_BYTES = 34 };
void feedback_status(lsn_t received, lsn_t confirmed, uint64_t wall_us,
                     char out[FEEDBACK_STATUS_BYTES]);

/* How often to speak unasked: a third of wal_sender_timeout (0: none), between 100 ms and 15 s. */
uint64_t feedback_interval_ms(uint64_t wal_sender_timeout_ms);

#endif
