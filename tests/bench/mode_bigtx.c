/* One large transaction: how long it takes to reach a live client of its table, how much memory it
 * costs each service, and what the clients of other shapes notice of it. The reference drains the
 * same WAL right after, from a slot that was made before. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/memory.h"
#include "tests/bench/recvlogical.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"
#include "tests/bench/slots.h"
#include "tests/bench/steady.h"

enum { QUIET_SECONDS = 5, SYNC_SECONDS = 60, RUN_SECONDS = 3600 };

static const struct list_of_numbers default_rows = {2, {1000000, 10000000}};

static const struct column columns[] = {
        {"rows", "rows", 0},
        {"written_s", "written s", 2},
        {"after_commit_s", "after it s", 2},
        {"acknowledged_s", "acked s", 2},
        {"recvlogical_s", "recvlogical", 2},
        {"ratio", "ratio", 2},
};

static const struct column other_columns[] = {
        {"rows", "rows", 0},     {"p50_ms", "p50 ms", 2}, {"p95_ms", "p95 ms", 2},
        {"p99_ms", "p99 ms", 2}, {"max_ms", "max ms", 2},
};

struct bigtx {
        struct bench *b;
        struct writer writer;
        struct shape_client client;
        uint64_t rows, next_id;
        uint64_t began_ns, committed_ns, seen_ns, acknowledged_ns;
        bool synced, committed, all_seen;
};

static void on_row(struct shape_client *c, const struct row *row)
{
        struct bigtx *t = c->arg;
        if (row->kind != ROW_INSERT || row->id != t->next_id)
                fail("bigtx: the client got row %llu when row %llu was due",
                     (unsigned long long)row->id, (unsigned long long)t->next_id);
        if (t->next_id++ == t->rows) {
                t->seen_ns = now_ns();
                t->all_seen = true;
        }
}

static void on_synced(struct shape_client *c)
{
        struct bigtx *t = c->arg;
        t->synced = true;
}

static void on_committed(void *arg, uint64_t took_ns)
{
        (void)took_ns;
        struct bigtx *t = arg;
        t->committed_ns = now_ns();
        t->committed = true;
}

/* Until the client has seen every row and Postgres may forget them. */
static char *write_and_wait(struct bigtx *t, const char *table)
{
        struct bench *b = t->b;
        writer_open(&t->writer, b->net, b->opt->database_url, on_committed, t);
        t->began_ns = now_ns();
        writer_send(&t->writer,
                    "insert into %s.%s select i, i %% 1000, 'big', " DB_PAYLOAD(
                            "0") " from generate_series(1, %llu) i",
                    b->name, table, (unsigned long long)t->rows);
        bench_wait(b, &t->committed, RUN_SECONDS, "the transaction is committed");
        writer_close(&t->writer);
        note(b, "committed");
        char *end_lsn = db_text(b->db, "select pg_current_wal_flush_lsn()");
        bench_wait(b, &t->all_seen, RUN_SECONDS, "all rows seen by the client");
        slots_wait_confirmed(b, end_lsn, RUN_SECONDS);
        t->acknowledged_ns = now_ns();
        return end_lsn;
}

static void report_others(struct bench *b, const char *label, const struct hist *seen)
{
        report_row(b->report, label,
                   (double[]){(double)seen->count, (double)hist_quantile(seen, 0.5) / 1e6,
                              (double)hist_quantile(seen, 0.95) / 1e6,
                              (double)hist_quantile(seen, 0.99) / 1e6,
                              (double)hist_quantile(seen, 1) / 1e6});
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
        return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

static void report(const struct bigtx *t, const char *label, uint64_t reference_ns)
{
        double after = seconds(t->committed_ns, t->seen_ns), reference = (double)reference_ns / 1e9;
        report_table(t->b->report,
                     "one transaction to one live client, against pg_recvlogical draining the same "
                     "WAL",
                     columns, sizeof columns / sizeof *columns);
        report_row(t->b->report, label,
                   (double[]){(double)t->rows, seconds(t->began_ns, t->committed_ns), after,
                              seconds(t->committed_ns, t->acknowledged_ns), reference,
                              after / reference});
}

static void measure_others(struct bench *b, struct steady *others)
{
        uint64_t until = now_ns() + QUIET_SECONDS * 1000000000ULL;
        steady_begin(others);
        while (now_ns() < until)
                net_poll(b->net, until);
        steady_end(others, SYNC_SECONDS);
        report_table(b->report, "rows seen by a client of another shape", other_columns,
                     sizeof other_columns / sizeof *other_columns);
        report_others(b, "before", others->seen);
}

static void one_case(struct bench *b, struct steady *others, int number, uint64_t rows)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        struct bigtx t = {.b = b, .rows = rows, .next_id = 1};
        struct memory memory;
        char table[32], label[80];
        snprintf(table, sizeof table, "big_%d", number);
        snprintf(label, sizeof label, "bigtx, %llu rows", (unsigned long long)rows);
        db_create_items(b, table, 0);
        recvlogical_create(b, 0);
        char *definition = shape_definition(b->name, table, NULL);
        shape_init(&t.client, b, definition, SHAPE_POLL, &events, &t);
        shape_start(&t.client);
        bench_wait(b, &t.synced, SYNC_SECONDS, "the client is up to date");
        measure_others(b, others);
        memory_watch(&memory, b);
        steady_begin(others);
        char *end_lsn = write_and_wait(&t, table);
        steady_end(others, RUN_SECONDS);
        report_others(b, "meanwhile", others->seen);
        memory_report(&memory, label);
        shape_fini(&t.client);
        report(&t, label, recvlogical_drain(b, 0, end_lsn));
        recvlogical_drop(b, 0);
        db_exec(b->db, "drop table %s.%s", b->name, table);
        mem_free(end_lsn);
        mem_free(definition);
}

void mode_bigtx(struct bench *b)
{
        const struct list_of_numbers *rows = b->opt->rows.count ? &b->opt->rows : &default_rows;
        struct steady others;
        db_create_schema(b);
        steady_open(&others, b, "others");
        for (int i = 0; i < rows->count; i++)
                one_case(b, &others, i, rows->at[i]);
        steady_close(&others);
}
