/* One change to many clients of one shape: first a single row to more and more clients, then larger
 * transactions to 200. Seen: from sending the write to the last row parsed, per client; "last" is
 * the last client's, the median of the rounds. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/bench/db.h"
#include "tests/bench/machine.h"
#include "tests/bench/plain.h"
#include "tests/bench/report.h"
#include "tests/bench/stats.h"

enum { ROUNDS = 10, WARM_UP = 2, CLAIM_CLIENTS = 1000, BULK_CLIENTS = 200, ROUND_SECONDS = 60 };

static const struct target target = {AT_MOST, "ms", 25, 8};

static const struct list_of_numbers default_clients = {4, {1, 100, 1000, 10000}};
static const struct list_of_numbers default_rows = {3, {10, 410, 1910}};

static const struct column columns[] = {
        {"clients", "clients", 0},
        {"rows", "rows", 0},
        {"p50_ms", "p50 ms", 2},
        {"p99_ms", "p99 ms", 2},
        {"last_ms", "last ms", 2},
        {"plain_ms", "plain ms", 2},
        {"ratio", "last/plain", 2},
        {"mb_per_s", "MB/s", 1},
        {"server_us_per_row", "server us", 2},
};

struct fanout {
        struct bench *b;
        struct crowd crowd;
        struct writer writer;
        struct hist *seen;
        struct samples last, plain;
        char table[80];
        uint64_t next_id;
};

static void on_committed(void *arg, uint64_t took_ns)
{
        (void)arg;
        (void)took_ns;
}

static void one_round(struct fanout *f, uint64_t rows)
{
        uint64_t stamp = now_ns();
        crowd_expect(&f->crowd, f->next_id + rows - 1);
        writer_send(&f->writer,
                    "insert into %s select i, 0, 'fanout', " DB_PAYLOAD(
                            "%llu") " from generate_series(%llu, %llu) i",
                    f->table, (unsigned long long)stamp, (unsigned long long)f->next_id,
                    (unsigned long long)(f->next_id + rows - 1));
        f->next_id += rows;
        crowd_wait(&f->crowd, ROUND_SECONDS);
        if (f->crowd.seen)
                samples_add(&f->last, (double)(f->crowd.last_ns - stamp) / 1e6);
        crowd_settle(&f->crowd);
}

static void report(struct fanout *f, uint64_t rows, uint64_t rounds, uint64_t bytes,
                   uint64_t server_us)
{
        char label[64];
        double clients = (double)f->crowd.count, last = samples_median(&f->last),
               plain = samples_median(&f->plain);
        snprintf(label, sizeof label, "%zu clients, %llu row%s", f->crowd.count,
                 (unsigned long long)rows, rows > 1 ? "s" : "");
        report_row(f->b->report, label,
                   (double[]){clients, (double)rows, (double)hist_quantile(f->seen, 0.5) / 1e6,
                              (double)hist_quantile(f->seen, 0.99) / 1e6, last, plain, last / plain,
                              (double)bytes * clients / last / 1e3,
                              f->b->machine->count
                                      ? (double)server_us / (clients * (double)(rows * rounds))
                                      : REPORT_NONE});
        report_hist(f->b->report, label, f->seen);
        if (rows == 1 && f->crowd.count == CLAIM_CLIENTS)
                report_claim(f->b->report, &target, last, "fanout, %s: last client", label);
}

static void one_case(struct bench *b, int number, size_t clients, uint64_t rows)
{
        struct fanout *f = mem_new(struct fanout);
        char name[32];
        uint64_t rounds = b->opt->repeat ? b->opt->repeat : ROUNDS;
        *f = (struct fanout){.b = b, .seen = hist_new(), .next_id = 1};
        snprintf(name, sizeof name, "items_%d", number);
        snprintf(f->table, sizeof f->table, "%s.%s", b->name, name);
        db_create_items(b, name, 0);
        char *definition = shape_definition(b->name, name, NULL);
        note(b, "connecting %zu clients", clients);
        crowd_open(&f->crowd, b, definition, clients, b->opt->sse ? SHAPE_SSE : SHAPE_POLL);
        writer_open(&f->writer, b->net, b->opt->database_url, on_committed, f);
        for (int i = 0; i < WARM_UP; i++)
                one_round(f, rows);
        f->crowd.seen = f->seen;
        uint64_t bytes = crowd_bytes(&f->crowd), cpu = machine_server_use(b->machine).cpu_us;
        for (uint64_t i = 0; i < rounds; i++)
                one_round(f, rows);
        bytes = (crowd_bytes(&f->crowd) - bytes) / (rounds * clients);
        cpu = machine_server_use(b->machine).cpu_us - cpu;
        writer_close(&f->writer);
        crowd_close(&f->crowd);
        plain_fanout(b, clients, (size_t)bytes, (int)rounds, &f->plain);
        report(f, rows, rounds, bytes, cpu);
        samples_fini(&f->last);
        samples_fini(&f->plain);
        mem_free(f->seen);
        mem_free(definition);
        mem_free(f);
}

void mode_fanout(struct bench *b)
{
        const struct list_of_numbers *clients =
                b->opt->clients.count ? &b->opt->clients : &default_clients;
        const struct list_of_numbers *rows = b->opt->rows.count ? &b->opt->rows : &default_rows;
        int number = 0;
        report_table(b->report,
                     "one transaction to all clients of a shape, against the same bytes over plain "
                     "sockets",
                     columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < clients->count; i++)
                one_case(b, number++, (size_t)clients->at[i], 1);
        for (int i = 0; i < rows->count; i++)
                one_case(b, number++, BULK_CLIENTS, rows->at[i]);
}
