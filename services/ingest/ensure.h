/* Makes a table's changes appear in the stream: a worker thread with a connection of its own.
 *
 * For each request: look at the table; add it to the publication and give it REPLICA IDENTITY FULL,
 * its partitions too, in one transaction; then wait until every transaction that had written to it
 * by then has ended (I2b). Such a transaction is decoded with the catalog as it was when it wrote,
 * so what it wrote before is not published, even though it commits later: a snapshot must not begin
 * while one is left, for it would see neither.
 *
 * Altering takes locks and may wait for them: one table at a time, and whatever needs no altering
 * goes first.
 *
 * A table that was found in order once in this epoch is only looked at again: one query. Waiting
 * requests are polled together, so one that waits for a long transaction does not hold up the
 * others; both queues are bounded by the number of calls that control.c takes. */
#ifndef SERVICES_INGEST_ENSURE_H
#define SERVICES_INGEST_ENSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/wire/msg.h"
#include "services/ingest/publisher.h"

struct ensure;

/* What a sweep has seen of the WAL; on the worker. */
typedef void ensure_wal_callback(const struct wal_facts *f);
struct ensure *ensure_new(const struct publisher_options *o, ensure_wal_callback *on_wal);
/* Takes the call; answers it from the worker. */
void ensure_submit(struct ensure *e, struct rpc_call *call, const struct msg_ensure_table *m,
                   uint64_t epoch);
/* A relation without REPLICA IDENTITY FULL was seen in the stream: if it is published, or part of a
 * table that is, give it its identity. Dropped when too much is to be done. */
void ensure_repair(struct ensure *e, uint32_t oid);
/* Look for tables that lost it, and partitions that came after their table was published, and do
 * the same. */
void ensure_sweep(struct ensure *e); /* and say where the WAL ends */
/* Ends the worker; calls that are not answered yet stay so. */
void ensure_free(struct ensure *e);

#endif
