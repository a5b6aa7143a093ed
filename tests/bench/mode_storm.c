/* Clients that come back, all within a second, each from an old offset of its own: after an edge or
 * a network has failed. The time runs from the first to the last one that is up to date with
 * exactly the rows it had missed. */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/bench/db.h"
#include "tests/bench/hist.h"
#include "tests/bench/machine.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"

enum {
        OFFSETS = 200,
        SPREAD_MS = 1000,
        LOOK_MS = 100, /* at the memory */
        ROUND_SECONDS = 60,
        STORM_SECONDS = 300
};

static const struct list_of_numbers default_clients = {1, {10000}};

static const struct column columns[] = {
        {"clients", "clients", 0},
        {"p50_ms", "p50 ms", 1},
        {"p99_ms", "p99 ms", 1},
        {"last_ms", "last ms", 1},
        {"all_ms", "all ms", 0},
        {"refused", "503s", 0},
        {"mb", "MB sent", 0},
        {"edges_before_mb", "edges MB", 1},
        {"edges_most_mb", "most MB", 1},
};

/* Where a client was that had rows 1 to the index. */
struct history {
        char handle[80];
        char offsets[OFFSETS][48];
};

struct storm {
        struct bench *b;
        const struct history *history;
        struct shape_client *clients;
        uint64_t *began_ns;
        size_t count, started, synced;
        struct hist *took;
        uint64_t random, edges_most;
        bool all;
};

static void on_committed(void *arg, uint64_t took_ns)
{
        bool *committed = arg;
        (void)took_ns;
        *committed = true;
}

/* One client follows row after row: what offsets are is the server's business. */
static void make_history(struct bench *b, const char *table, const char *definition,
                         struct history *h)
{
        struct crowd one;
        struct writer writer;
        bool committed;
        crowd_open(&one, b, definition, 1, SHAPE_POLL);
        writer_open(&writer, b->net, b->opt->database_url, on_committed, &committed);
        writer_prepare_insert(&writer, table);
        for (uint64_t id = 1; id <= OFFSETS; id++) {
                memcpy(h->offsets[id - 1], one.clients[0].offset, sizeof h->offsets[0]);
                committed = false;
                crowd_expect(&one, id);
                writer_insert(&writer, id, 0, "storm");
                crowd_wait(&one, ROUND_SECONDS);
                bench_wait(b, &committed, ROUND_SECONDS, "the insert is committed");
        }
        memcpy(h->handle, one.clients[0].handle, sizeof h->handle);
        writer_close(&writer);
        crowd_close(&one);
}

static uint64_t edges_pss(const struct bench *b)
{
        int count;
        return machine_server_use_of(b->machine, "edge", &count).pss_bytes;
}

/* The client's tag is the row it must get next. */
static void on_row(struct shape_client *c, const struct row *row)
{
        if (row->id != c->tag)
                fail("storm: a client got row %llu when row %llu was due",
                     (unsigned long long)row->id, (unsigned long long)c->tag);
        c->tag++;
}

static void on_synced(struct shape_client *c)
{
        struct storm *s = c->arg;
        if (c->tag != OFFSETS + 1)
                fail("storm: a client is up to date without row %llu", (unsigned long long)c->tag);
        hist_add(s->took, now_ns() - s->began_ns[c - s->clients]);
        s->all = ++s->synced == s->count;
}

static void start_one(struct storm *s)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        size_t i = s->started++;
        struct shape_client *c = &s->clients[i];
        s->random = s->random * 6364136223846793005u + 1442695040888963407u;
        uint64_t had = (s->random >> 33) % OFFSETS;
        c->tag = had + 1;
        c->events = &events;
        memcpy(c->offset, s->history->offsets[had], sizeof s->history->offsets[0]);
        memcpy(c->handle, s->history->handle, sizeof c->handle);
        s->began_ns[i] = now_ns();
        shape_start(c);
}

/* Milliseconds from the first to the last. */
static double blow(struct storm *s)
{
        uint64_t began = now_ns(), spread = (uint64_t)SPREAD_MS * 1000000, look = began;
        while (!s->all) {
                uint64_t now = now_ns(), since = now - began;
                while (s->started < s->count && s->started * spread <= since * s->count)
                        start_one(s);
                if (since > (uint64_t)STORM_SECONDS * 1000000000)
                        fail("storm: %zu of %zu clients are served", s->synced, s->count);
                if (now >= look) {
                        uint64_t pss = edges_pss(s->b);
                        s->edges_most = pss > s->edges_most ? pss : s->edges_most;
                        look = now_ns() + (uint64_t)LOOK_MS * 1000000;
                }
                net_poll(s->b->net, now + spread / 1000);
        }
        return (double)(now_ns() - began) / 1e6;
}

static void report(struct storm *s, double all_ms, uint64_t edges_before)
{
        char label[64];
        double refused = 0, bytes = 0;
        bool measured = s->b->machine->count > 0;
        for (size_t i = 0; i < s->count; i++) {
                refused += s->clients[i].retries;
                bytes += (double)s->clients[i].conn.bytes_received;
        }
        snprintf(label, sizeof label, "%zu clients", s->count);
        report_row(s->b->report, label,
                   (double[]){(double)s->count, (double)hist_quantile(s->took, 0.5) / 1e6,
                              (double)hist_quantile(s->took, 0.99) / 1e6,
                              (double)hist_quantile(s->took, 1) / 1e6, all_ms, refused, bytes / 1e6,
                              measured ? (double)edges_before / 1e6 : REPORT_NONE,
                              measured ? (double)s->edges_most / 1e6 : REPORT_NONE});
        report_hist(s->b->report, label, s->took);
}

static void one_case(struct bench *b, int number, size_t clients)
{
        char name[32], table[80];
        struct history *history = mem_new(struct history);
        struct storm s = {.b = b,
                          .history = history,
                          .count = clients,
                          .clients = mem_array(clients, sizeof *s.clients),
                          .began_ns = mem_array(clients, sizeof *s.began_ns),
                          .took = hist_new(),
                          .random = 1};
        snprintf(name, sizeof name, "items_%d", number);
        snprintf(table, sizeof table, "%s.%s", b->name, name);
        db_create_items(b, name, 0);
        char *definition = shape_definition(b->name, name, NULL);
        make_history(b, table, definition, history);
        for (size_t i = 0; i < clients; i++)
                shape_init(&s.clients[i], b, definition, SHAPE_SYNC, NULL, &s);
        uint64_t before = edges_pss(b);
        double all_ms = blow(&s);
        report(&s, all_ms, before);
        for (size_t i = 0; i < clients; i++)
                shape_fini(&s.clients[i]);
        mem_free(s.clients);
        mem_free(s.began_ns);
        mem_free(s.took);
        mem_free(definition);
        mem_free(history);
}

void mode_storm(struct bench *b)
{
        const struct list_of_numbers *clients =
                b->opt->clients.count ? &b->opt->clients : &default_clients;
        report_table(b->report, "clients come back within a second, each from an old offset",
                     columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < clients->count; i++)
                one_case(b, i, (size_t)clients->at[i]);
}
