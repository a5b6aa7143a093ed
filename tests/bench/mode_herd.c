/* Many clients at once on one shape of 500 rows that does not exist yet: all connect, all ask, and
 * the time runs until the last is up to date with every row. Against one client on another shape of
 * the same size. How often the table was read says whether the herd was collapsed. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/hist.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"
#include "tests/bench/stats.h"

enum { CLAIM_CLIENTS = 2000, ROWS = 500, REPEATS = 3, HERD_SECONDS = 300, STATISTICS_SECONDS = 12 };

static const struct target target = {AT_MOST, "ms", 1000, 300};

static const struct list_of_numbers default_clients = {4, {50, 200, 1000, 2000}};

static const struct column columns[] = {
        {"clients", "clients", 0},         {"p50_ms", "p50 ms", 1},  {"last_ms", "last ms", 1},
        {"one_client_ms", "one ms", 1},    {"ratio", "last/one", 2}, {"refused", "503s", 0},
        {"table_reads", "table reads", 0},
};

struct herd {
        struct shape_client *clients;
        size_t count, synced;
        uint64_t began_ns, refused;
        struct hist *took;
        bool all;
};

static void on_row(struct shape_client *c, const struct row *row)
{
        if (row->kind != ROW_INSERT || row->id < 1 || row->id > ROWS)
                fail("herd: unexpected row %llu", (unsigned long long)row->id);
        c->tag++;
}

static void on_synced(struct shape_client *c)
{
        struct herd *h = c->arg;
        if (c->tag != ROWS)
                fail("herd: a client got %llu of %d rows", (unsigned long long)c->tag, ROWS);
        hist_add(h->took, now_ns() - h->began_ns);
        h->all = ++h->synced == h->count;
}

/* Milliseconds until the last. */
static double run_herd(struct bench *b, const char *table, size_t clients, struct hist *took,
                       uint64_t *refused)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        struct herd h = {
                .count = clients, .clients = mem_array(clients, sizeof *h.clients), .took = took};
        char *definition = shape_definition(b->name, table, NULL);
        db_create_items(b, table, ROWS);
        h.began_ns = now_ns();
        for (size_t i = 0; i < clients; i++) {
                shape_init(&h.clients[i], b, definition, SHAPE_SYNC, &events, &h);
                shape_start(&h.clients[i]);
        }
        bench_wait(b, &h.all, HERD_SECONDS, "the herd is up to date");
        double ms = (double)(now_ns() - h.began_ns) / 1e6;
        for (size_t i = 0; i < clients; i++) {
                *refused += (uint64_t)h.clients[i].retries;
                shape_fini(&h.clients[i]);
        }
        mem_free(h.clients);
        mem_free(definition);
        return ms;
}

/* How often the tables of the herds of this size were read, by Postgres' own statistics. Its
 * sessions tell them up to ten seconds late. */
static uint64_t table_reads(struct bench *b, size_t clients, uint64_t at_least)
{
        uint64_t reads, until = now_ns() + STATISTICS_SECONDS * 1000000000ULL;
        do {
                reads = db_number(
                        b->db,
                        "select coalesce(sum(seq_scan + idx_scan), 0) from pg_stat_user_tables "
                        "where schemaname = '%s' and relname like 'herd\\_%zu\\_%%'",
                        b->name, clients);
                net_poll(b->net, now_ns() + 100000000);
        } while (reads < at_least && now_ns() < until);
        return reads;
}

static void one_case(struct bench *b, size_t clients)
{
        struct samples one = {0}, last = {0};
        struct hist *took = hist_new(), *ignored = hist_new();
        uint64_t refused = 0, none = 0, repeat = b->opt->repeat ? b->opt->repeat : REPEATS;
        char table[64], label[64];
        for (uint64_t i = 0; i < repeat; i++) {
                snprintf(table, sizeof table, "one_%zu_%llu", clients, (unsigned long long)i);
                samples_add(&one, run_herd(b, table, 1, ignored, &none));
                snprintf(table, sizeof table, "herd_%zu_%llu", clients, (unsigned long long)i);
                samples_add(&last, run_herd(b, table, clients, took, &refused));
        }
        snprintf(label, sizeof label, "%zu clients", clients);
        double one_ms = samples_median(&one), last_ms = samples_median(&last);
        report_row(b->report, label,
                   (double[]){(double)clients, (double)hist_quantile(took, 0.5) / 1e6, last_ms,
                              one_ms, last_ms / one_ms, (double)refused,
                              (double)table_reads(b, clients, repeat) / (double)repeat});
        report_hist(b->report, label, took);
        if (clients == CLAIM_CLIENTS)
                report_claim(b->report, &target, last_ms, "herd, %s: last client", label);
        samples_fini(&one);
        samples_fini(&last);
        mem_free(took);
        mem_free(ignored);
}

void mode_herd(struct bench *b)
{
        const struct list_of_numbers *clients =
                b->opt->clients.count ? &b->opt->clients : &default_clients;
        report_table(b->report, "all at once on a new shape of 500 rows, against one client",
                     columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < clients->count; i++)
                one_case(b, (size_t)clients->at[i]);
}
