/* How fast a stream of changes reaches one live client. Two workloads: transactions of 1,000 rows,
 * and of one row. Two senses, both printed:
 *
 * While writing: the clock runs from the first write sent to the last row parsed; Postgres writes,
 * decodes and is read from at the same time, so the writer's own rate (rows/s written, printed
 * beside it) is the ceiling.
 *
 * Drain a backlog: Postgres' walsender of the server is stopped (SIGSTOP) while the rows are
 * written; the clock runs from SIGCONT to the last row parsed. Stopping the server instead would
 * not do: the walsender would decode ahead into the socket's buffers. Needs a Postgres on this
 * machine and the right to signal it.
 *
 * The reference in both is pg_recvlogical to /dev/null, draining the same WAL from a slot that was
 * made before the writes, right after. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/machine.h"
#include "tests/bench/recvlogical.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"
#include "tests/bench/stats.h"

enum {
        DEFAULT_CHANGES = 1000000,
        SINGLE_PART = 10,
        SYNC_SECONDS = 60,
        RUN_SECONDS = 900,
        ROWS_PER_TX = 1000,
        SINGLES_PER_STATEMENT = 10000
};

#define WALSENDERS                                                                                 \
        "from pg_stat_replication r join pg_stat_activity a using (pid) "                          \
        "where a.datname = current_database() and r.state in ('streaming', 'catchup')"

static const struct column columns[] = {
        {"rows", "rows", 0},
        {"written_rows_per_s", "written/s", 0},
        {"client_rows_per_s", "client/s", 0},
        {"recvlogical_rows_per_s", "recvlogical", 0},
        {"ratio", "ratio", 2},
        {"lag_after_last_write_ms", "lag ms", 1},
        {"server_us_per_row", "server us", 2},
};

enum { REFERENCES = 2 };

enum workload { BULK, SINGLE };

/* Of pg_recvlogical's rate; the aims are those of the durable path. */
static const struct target targets[] = {{AT_LEAST, "x", 0.7, 0.95}, {AT_LEAST, "x", 0.7, 0.9}};

struct tail {
        struct bench *b;
        struct writer writer;
        struct shape_client client;
        enum workload workload;
        char table[80];
        uint64_t rows, written; /* rows sent so far */
        uint64_t next_id;       /* the client's */
        uint64_t began_ns, wrote_ns, seen_ns;
        bool synced, all_written, all_seen;
};

static void on_row(struct shape_client *c, const struct row *row)
{
        struct tail *t = c->arg;
        if (row->kind != ROW_INSERT || row->id != t->next_id)
                fail("tail: the client got row %llu when row %llu was due",
                     (unsigned long long)row->id, (unsigned long long)t->next_id);
        if (t->next_id++ == t->rows) {
                t->seen_ns = now_ns();
                t->all_seen = true;
        }
}

static void on_synced(struct shape_client *c)
{
        struct tail *t = c->arg;
        t->synced = true;
}

static uint64_t minimum(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* The next statement. Single-row transactions are committed one by one by a loop in the server: a
 * client's round trips would measure fsync. Only the last statement waits for the disk; it takes
 * all before it along. */
static void write_more(struct tail *t)
{
        unsigned long long first = t->written + 1;
        if (t->workload == BULK) {
                t->written += minimum(ROWS_PER_TX, t->rows - t->written);
                writer_send(&t->writer,
                            "insert into %s select i, i %% 1000, 'tail', " DB_PAYLOAD(
                                    "0") " from generate_series(%llu, %llu) i",
                            t->table, first, (unsigned long long)t->written);
                return;
        }
        t->written += minimum(SINGLES_PER_STATEMENT, t->rows - t->written);
        writer_send(&t->writer,
                    "do $$ begin for i in %llu..%llu loop insert into %s values (i, i %% 1000, "
                    "'tail', " DB_PAYLOAD("0") "); commit; "
                                               "end loop; end $$",
                    first, (unsigned long long)t->written, t->table);
}

static void on_written(void *arg, uint64_t took_ns)
{
        (void)took_ns;
        struct tail *t = arg;
        if (t->written < t->rows) {
                write_more(t);
        } else {
                t->wrote_ns = now_ns();
                t->all_written = true;
        }
}

static void write_all(struct tail *t)
{
        writer_open(&t->writer, t->b->net, t->b->opt->database_url, on_written, t);
        PQclear(PQexec(t->writer.conn, t->workload == SINGLE ? "set synchronous_commit = off"
                                                             : "set synchronous_commit = on"));
        t->began_ns = now_ns();
        write_more(t);
        bench_wait(t->b, &t->all_written, RUN_SECONDS, "all rows written");
        writer_close(&t->writer);
        /* what was committed without waiting for the disk goes there now, or the WAL writer would
         * decide when it is seen */
        db_exec(t->b->db, "select pg_logical_emit_message(true, 'sluice-bench', '')");
}

/* The walsenders of the server: those of this database that are at work before the reference
 * starts. Waits until they are idle, so that none is stopped while it holds a lock. */
static bool find_walsenders(struct bench *b)
{
        uint64_t until = now_ns() + SYNC_SECONDS * 1000000000ULL;
        while (db_number(b->db, "select count(*) " WALSENDERS
                                " and a.wait_event is distinct from 'WalSenderWaitForWAL'") > 0) {
                if (now_ns() > until)
                        fail("tail: the walsender does not come to rest");
                net_poll(b->net, now_ns() + 10000000);
        }
        char *pids =
                db_text(b->db, "select coalesce(string_agg(a.pid::text, ' '), '') " WALSENDERS);
        int count = 0;
        for (const char *at = pids; *at && count < LIST_MAX;) {
                char *end;
                b->shared->stopped[count++] = (pid_t)strtol(at, &end, 10);
                at = end;
        }
        mem_free(pids);
        return count > 0;
}

static bool may_stop_walsenders(struct bench *b)
{
        bool may = b->machine->postmaster && kill(b->machine->postmaster, 0) == 0;
        if (!may)
                report_note(b->report, "drain a backlog: not measured, Postgres' processes cannot "
                                       "be stopped from here");
        return may;
}

static void stop_walsenders(struct bench *b)
{
        if (!find_walsenders(b))
                fail("tail: the server has no replication connection");
        for (int i = 0; i < LIST_MAX && b->shared->stopped[i]; i++)
                if (kill(b->shared->stopped[i], SIGSTOP))
                        fail("tail: cannot stop the walsender %d", (int)b->shared->stopped[i]);
}

static void continue_walsenders(struct bench *b)
{
        for (int i = 0; i < LIST_MAX && b->shared->stopped[i]; i++) {
                kill(b->shared->stopped[i], SIGCONT);
                b->shared->stopped[i] = 0;
        }
}

static void drain_reference(struct bench *b, int number, struct samples *out)
{
        char *end_lsn = db_text(b->db, "select pg_current_wal_flush_lsn()");
        samples_add(out, (double)recvlogical_drain(b, number, end_lsn) / 1e9);
        recvlogical_drop(b, number);
        mem_free(end_lsn);
}

static void report(struct tail *t, const char *label, uint64_t from_ns, double reference_s,
                   uint64_t server_us, bool backlog)
{
        double rows = (double)t->rows;
        double client = rows / ((double)(t->seen_ns - from_ns) / 1e9),
               reference = rows / reference_s;
        double lag = t->seen_ns > t->wrote_ns ? (double)(t->seen_ns - t->wrote_ns) / 1e6 : 0;
        report_row(t->b->report, label,
                   (double[]){rows, rows / ((double)(t->wrote_ns - t->began_ns) / 1e9), client,
                              reference, client / reference, backlog ? REPORT_NONE : lag,
                              t->b->machine->count ? (double)server_us / rows : REPORT_NONE});
        report_claim(t->b->report, &targets[t->workload], client / reference,
                     "tail, %s: speed to pg_recvlogical", label);
}

/* The client follows, the rows are written, and it has seen them. Returns when the clock began. */
static uint64_t write_and_follow(struct tail *t, bool backlog, struct samples *references)
{
        struct bench *b = t->b;
        shape_start(&t->client);
        bench_wait(b, &t->synced, SYNC_SECONDS, "the client is up to date");
        if (backlog)
                stop_walsenders(b);
        write_all(t);
        if (backlog)
                drain_reference(b, 0,
                                references); /* one before and one after: the machine is noisy */
        uint64_t from_ns = backlog ? now_ns() : t->began_ns;
        if (backlog)
                continue_walsenders(b);
        bench_wait(b, &t->all_seen, RUN_SECONDS, "all rows seen by the client");
        return from_ns;
}

static void run(struct bench *b, int number, enum workload workload, uint64_t rows, bool backlog)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        struct tail *t = mem_new(struct tail);
        struct samples references = {0};
        char name[32], label[80];
        *t = (struct tail){.b = b, .workload = workload, .rows = rows, .next_id = 1};
        snprintf(name, sizeof name, "items_%d", number);
        snprintf(t->table, sizeof t->table, "%s.%s", b->name, name);
        db_create_items(b, name, 0);
        for (int i = 0; i < REFERENCES; i++)
                recvlogical_create(b, i);
        char *definition = shape_definition(b->name, name, NULL);
        shape_init(&t->client, b, definition, b->opt->sse ? SHAPE_SSE : SHAPE_POLL, &events, t);
        uint64_t cpu = machine_server_use(b->machine).cpu_us;
        uint64_t from_ns = write_and_follow(t, backlog, &references);
        cpu = machine_server_use(b->machine).cpu_us - cpu;
        for (int i = backlog ? 1 : 0; i < REFERENCES; i++)
                drain_reference(b, i, &references);
        snprintf(label, sizeof label, "%s, %s", workload == BULK ? "1,000-row tx" : "single-row tx",
                 backlog ? "drain a backlog" : "while writing");
        report(t, label, from_ns, samples_median(&references), cpu, backlog);
        samples_fini(&references);
        shape_fini(&t->client);
        db_exec(b->db, "drop table %s", t->table);
        mem_free(definition);
        mem_free(t);
}

void mode_tail(struct bench *b)
{
        uint64_t changes = b->opt->changes ? b->opt->changes : DEFAULT_CHANGES;
        uint64_t singles = changes / SINGLE_PART ? changes / SINGLE_PART : 1;
        report_table(
                b->report,
                "rows/s that reach one live client, against pg_recvlogical draining the same WAL",
                columns, sizeof columns / sizeof *columns);
        run(b, 0, BULK, changes, false);
        run(b, 1, SINGLE, singles, false);
        if (may_stop_walsenders(b)) {
                run(b, 2, BULK, changes, true);
                run(b, 3, SINGLE, singles, true);
        }
}
