/* Reading one snapshot. The order of the steps is what makes invariant I2 hold; the numbers are
 * those of docs/architecture.md, "Creating a shape".
 *
 * (2) ensure_table: changes of the table appear in the stream from here on.
 *
 * BEGIN, LOCK TABLE: nobody may rewrite or drop the table between the snapshot and the reading,
 * because a rewritten table looks empty to an older snapshot. Neither statement takes a snapshot.
 *
 * (3) hold: from here on the writer keeps what arrives.
 *
 * (4) The snapshot, and the insert position after it.
 *
 * (5) begin: the writer may want a younger snapshot; then all is done again from BEGIN on.
 *
 * The catalog, inside the transaction: is this still the table that the shape believes in?
 *
 * (7) The rows.
 *
 * COMMIT, when what the snapshot saw is on the database's disk: a crash before that fails the
 * snapshot, one after it forgets nothing of it. The last step, for the writer may now end it. */
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/obs/log.h"
#include "services/router/snapshot_run.h"

enum {
        RETRY_FOR_MS = 30000, /* how long a younger snapshot is tried for */
        RETRY_FIRST_MS = 5,
        RETRY_MAX_MS = 100,
        WHY_MAX_BYTES = 16 * 1024
};

int run_ensure_table(struct run *run)
{
        const struct snapshot_sink *sink = run->reader->sink;
        struct snapshot_failure failure = {0};
        struct trouble *t = &run->trouble;
        int err = sink->ensure_table(sink->arg, run->table, &failure, &t->body);
        if (!err || err == ERR_CANCELLED) {
                run->gone = err != 0;
                return err;
        }
        if (failure.status == 0) {
                trouble_no_connection(t);
                return err;
        }
        t->status = failure.status;
        t->retry_after_s = failure.retry_after_s;
        if (failure.body.p != t->body.p) {
                buf_reset(&t->body);
                buf_put_slice(&t->body, failure.body);
        }
        return err;
}

/* Waits until the reader is woken or the time is over. True when it was woken. */
static bool pause_ms(struct run *run, uint64_t ms)
{
        return pgwait_pause(run->reader->wake_fd, ms) == ERR_CANCELLED;
}

/* A transaction that was routed already becomes visible when its backend has left the list of
 * running ones. Postgres has no event for that; it is a matter of microseconds unless the backend
 * is starved. */
static int get_snapshot(struct run *run)
{
        uint64_t give_up_ms = clock_mono_ms() + RETRY_FOR_MS, wait_ms = RETRY_FIRST_MS;
        int err;
        while ((err = run_try_snapshot(run)) == ERR_AGAIN) {
                if (clock_mono_ms() >= give_up_ms) {
                        trouble_slow_start(&run->trouble);
                        return ERR_TIMEOUT;
                }
                if (pause_ms(run, wait_ms))
                        return ERR_CANCELLED;
                wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
        }
        return err;
}

static int check_table(struct run *run)
{
        struct table *now = NULL;
        int err = run_look_at_table(run, &now);
        if (!err && !run_still_fits(run->job->projection, now)) {
                trouble_refetch(&run->trouble);
                err = ERR_NOTFOUND;
        }
        table_free(now);
        return err;
}

static int run_steps(struct run *run)
{
        int err = run_ensure_table(run);
        if (!err)
                err = get_snapshot(run);
        if (!err)
                err = check_table(run);
        if (!err)
                err = run_read_rows(run);
        run_close_transaction(run);
        return err;
}

/* What the clients are told may be less than what the database said; the sink logs the former. */
static void report_failure(struct run *run)
{
        const struct snapshot_sink *sink = run->reader->sink;
        struct snapshot_failure f = trouble_failure(&run->trouble);
        if (run->why.len > 0)
                log_warning("snapshot_database_error", "shape %llu: %.*s",
                            (unsigned long long)run->job->shape_id,
                            SLICE_FMT(buf_slice(&run->why)));
        sink->failed(sink->arg, run->job->shape_id, &f);
}

int snapshot_read(struct snapshot_reader *r, const struct snapshot_job *job)
{
        struct run run = {.reader = r, .job = job, .table = projection_table(job->projection)};
        trouble_init(&run.trouble);
        buf_init(&run.why, WHY_MAX_BYTES);
        int err = run_steps(&run);
        if (err && err != ERR_CANCELLED)
                report_failure(&run);
        if (run.gone)
                err = 0;
        pg_snapshot_fini(&run.snapshot);
        buf_fini(&run.why);
        trouble_fini(&run.trouble);
        return err == ERR_CANCELLED ? err : 0;
}

void snapshot_disconnect(struct snapshot_reader *r)
{
        PQfinish(r->conn);
        r->conn = NULL;
}
