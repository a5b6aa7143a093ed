/* What the parts of snapshot_read.c share: one job on its way. A step returns 0, ERR_CANCELLED
 * (nobody wants the job any more), ERR_AGAIN (a younger snapshot is wanted) or any other code, and
 * then `trouble` says what the clients get. */
#ifndef SERVICES_ROUTER_SNAPSHOT_RUN_H
#define SERVICES_ROUTER_SNAPSHOT_RUN_H

#include "services/router/pgwait.h"
#include "services/router/snapshot_read.h"
#include "services/router/snapshot_trouble.h"

enum { SNAPSHOT_STATEMENT_TIMEOUT_MS = 15000 /* for everything but the rows */ };

struct run {
        struct snapshot_reader *reader;
        const struct snapshot_job *job;
        const struct table *table;
        struct trouble trouble;
        struct buf why; /* for the log: what the database said last */
        struct pg_snapshot snapshot;
        bool in_transaction;
        bool gone;            /* a callback has returned ERR_CANCELLED */
        uint64_t deadline_ms; /* for all of it, by clock_mono_ms(); 0: none */
};

/* ---- snapshot_read.c */

int run_ensure_table(struct run *run);

/* ---- snapshot_txn.c */

/* BEGIN, LOCK TABLE. */
int run_open_transaction(struct run *run);
int run_take_snapshot(struct run *run);
/* BEGIN, LOCK TABLE, hold, snapshot, begin. */
int run_try_snapshot(struct run *run);
/* The table as seen from inside the transaction; *now is the caller's. */
int run_look_at_table(struct run *run, struct table **now);
/* Whether it is still what a shape believes. */
bool run_still_fits(const struct projection *p, const struct table *now);
/* After 0 no crash of the database can undo what the snapshot saw: only then may it be said to be
 * complete. */
int run_commit(struct run *run);
/* Rolls back what was not committed: nothing was written, so a failure only costs the connection.
 */
void run_close_transaction(struct run *run);

struct pgwait run_wait_ms(const struct run *run, uint64_t ms);
/* What becomes of the job and of the connection when a statement has failed; returns err. */
int run_statement_failed(struct run *run, int err, const char *state, uint64_t started_ms);
/* Cancels what the server does and drops the connection. */
void run_abandon(struct run *run);
/* The writer's verdict on a callback: gone, or its own failure; returns err. */
int run_sink_said(struct run *run, int err);

/* ---- snapshot_rows.c */

/* The rows, the commit, snapshot-end. */
int run_read_rows(struct run *run);
/* Rows and snapshot-end of a small shape; *out was made by buf_init(). ERR_LIMIT: it is none. */
int run_read_whole(struct run *run, struct buf *out);

#endif
