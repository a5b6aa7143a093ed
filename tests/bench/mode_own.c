/* Many clients, each with a shape of its own (`grp = i`); every insert belongs to one of them.
 * Against one client alone. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/feed.h"
#include "tests/bench/hist.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"

enum {
        ON_THEIR_WAY = 32,
        OPEN_SECONDS = 600,
        WARM_UP = 20,
        DEFAULT_SECONDS = 10,
        DEFAULT_RATE = 20,
        GRACE_SECONDS = 60
};

static const struct list_of_numbers default_clients = {2, {1, 1000}};

static const struct column columns[] = {
        {"clients", "clients", 0},       {"p50_ms", "p50 ms", 3}, {"p95_ms", "p95 ms", 3},
        {"p99_ms", "p99 ms", 3},         {"max_ms", "max ms", 3}, {"ratio", "p50/1 client", 2},
        {"opened_per_s", "opened/s", 0},
};

struct own {
        struct shape_client *clients;
        char **definitions;
        uint64_t count, started, synced;
        uint64_t next_id, last_id;
        struct hist *seen;
        bool all_synced, done;
};

/* Client i's rows are those whose id is i modulo the number of clients; commits are in order, but
 * responses to different clients need not be. */
static void on_row(struct shape_client *c, const struct row *row)
{
        struct own *o = c->arg;
        uint64_t me = (uint64_t)(c - o->clients);
        if (row->id % o->count != me || row->id < c->tag)
                fail("own: client %llu got row %llu", (unsigned long long)me,
                     (unsigned long long)row->id);
        c->tag = row->id + 1;
        if (row->id > WARM_UP)
                hist_add(o->seen, now_ns() - row->stamp_ns);
        o->done = ++o->next_id > o->last_id;
}

static void start_more(struct own *o)
{
        while (o->started < o->count && o->started - o->synced < ON_THEIR_WAY)
                shape_start(&o->clients[o->started++]);
}

static void on_synced(struct shape_client *c)
{
        struct own *o = c->arg;
        o->all_synced = ++o->synced == o->count;
        start_more(o);
}

static double open_all(struct bench *b, struct own *o, const char *table)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        for (uint64_t i = 0; i < o->count; i++) {
                char where[40];
                snprintf(where, sizeof where, "grp = %llu", (unsigned long long)i);
                o->definitions[i] = shape_definition(b->name, table, where);
                shape_init(&o->clients[i], b, o->definitions[i],
                           b->opt->sse ? SHAPE_SSE : SHAPE_POLL, &events, o);
        }
        uint64_t began = now_ns();
        start_more(o);
        bench_wait(b, &o->all_synced, OPEN_SECONDS, "all clients are up to date");
        return (double)o->count / ((double)(now_ns() - began) / 1e9);
}

static double one_case(struct bench *b, int number, uint64_t clients, double alone_ms)
{
        struct feed feed;
        char name[32], table[80], label[64];
        uint64_t rate = b->opt->rate ? b->opt->rate : DEFAULT_RATE;
        uint64_t rows = WARM_UP + rate * (b->opt->seconds ? b->opt->seconds : DEFAULT_SECONDS);
        struct own o = {.count = clients, .next_id = 1, .last_id = rows, .seen = hist_new()};
        o.clients = mem_array(clients, sizeof *o.clients);
        o.definitions = mem_array(clients, sizeof *o.definitions);
        snprintf(name, sizeof name, "items_%d", number);
        snprintf(table, sizeof table, "%s.%s", b->name, name);
        db_create_items(b, name, 0);
        double opened = open_all(b, &o, name);
        feed_init(&feed, b, table, 1, rows, rate);
        feed.groups = clients;
        feed_start(&feed);
        bench_wait(b, &o.done, rows / rate * 3 + GRACE_SECONDS, "all rows seen");
        bench_wait(b, &feed.done, GRACE_SECONDS, "all rows committed");
        feed_fini(&feed);
        double p50 = (double)hist_quantile(o.seen, 0.5) / 1e6;
        snprintf(label, sizeof label, "%llu client%s", (unsigned long long)clients,
                 clients > 1 ? "s" : "");
        report_row(b->report, label,
                   (double[]){(double)clients, p50, (double)hist_quantile(o.seen, 0.95) / 1e6,
                              (double)hist_quantile(o.seen, 0.99) / 1e6,
                              (double)hist_quantile(o.seen, 1) / 1e6,
                              alone_ms > 0 ? p50 / alone_ms : 1, opened});
        report_hist(b->report, label, o.seen);
        for (uint64_t i = 0; i < clients; i++) {
                shape_fini(&o.clients[i]);
                mem_free(o.definitions[i]);
        }
        mem_free(o.clients);
        mem_free(o.definitions);
        mem_free(o.seen);
        return p50;
}

void mode_own(struct bench *b)
{
        const struct list_of_numbers *clients =
                b->opt->clients.count ? &b->opt->clients : &default_clients;
        int number = 0;
        report_table(b->report, "a shape each, one insert to one client, against one client alone",
                     columns, sizeof columns / sizeof *columns);
        double alone = one_case(b, number++, 1, 0);
        for (int i = 0; i < clients->count; i++)
                if (clients->at[i] > 1)
                        one_case(b, number++, clients->at[i], alone);
}
