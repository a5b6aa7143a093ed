/* What a waiting client costs: memory of the edges per idle keep-alive connection (the reference),
 * per parked client, and per parked client after a wake; and how long one change takes to wake them
 * all. Fresh server processes give true figures: memory that an earlier run left in their
 * allocators would be taken for free. */
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/bench/db.h"
#include "tests/bench/machine.h"
#include "tests/bench/report.h"
#include "tests/bench/stats.h"

enum {
        CLAIM_CLIENTS = 10000,
        WAKES = 5,
        WAKE_SECONDS = 120,
        CONNECT_SECONDS = 120,
        ON_THEIR_WAY = 256
};

static const struct target memory_target = {AT_MOST, "KB", 12, 4},
                           wake_target = {AT_MOST, "ms", 250, 100};

static const struct list_of_numbers default_clients = {2, {1000, 10000}};

static const struct column columns[] = {
        {"clients", "clients", 0},         {"keepalive_kb", "idle KB", 2},
        {"parked_kb", "parked KB", 2},     {"ratio", "parked/idle", 2},
        {"after_wakes_kb", "woken KB", 2}, {"wake_last_ms", "wake ms", 1},
        {"wake_p50_ms", "wake p50", 1},
};

/* Connections that have had one answer and are kept. */
struct keepers {
        struct http_conn *conns;
        size_t count, started, answered;
        bool all;
};

static void on_head(void *arg, const struct http_head *head)
{
        (void)arg;
        if (head->status != 200 || !head->keep_alive)
                fail("park: GET / answered %d%s", head->status,
                     head->keep_alive ? "" : " and closed the connection");
}

static void on_body(void *arg, const char *bytes, size_t len)
{
        (void)arg;
        (void)bytes;
        (void)len;
}

static void start_more(struct keepers *k)
{
        while (k->started < k->count && k->started - k->answered < ON_THEIR_WAY)
                http_get(&k->conns[k->started++], "/", "");
}

static void on_end(void *arg)
{
        struct keepers *k = arg;
        k->all = ++k->answered == k->count;
        start_more(k);
}

static void on_fail(void *arg, const char *why)
{
        (void)arg;
        fail("park: %s", why);
}

static uint64_t edges_pss(const struct bench *b)
{
        int count;
        struct process_use use = machine_server_use_of(b->machine, "edge", &count);
        return count ? use.pss_bytes : machine_server_use(b->machine).pss_bytes;
}

static double per_client_kb(uint64_t before, uint64_t after, size_t clients)
{
        return after > before ? (double)(after - before) / 1024 / (double)clients : 0;
}

static double measure_keepalive(struct bench *b, size_t clients, uint64_t before)
{
        static const struct http_events events = {on_head, on_body, on_end, on_fail};
        struct keepers k = {.count = clients, .conns = mem_array(clients, sizeof *k.conns)};
        for (size_t i = 0; i < clients; i++)
                http_init(&k.conns[i], b->net, &b->target, &events, &k);
        start_more(&k);
        bench_wait(b, &k.all, CONNECT_SECONDS, "all connections answered");
        double kb = per_client_kb(before, edges_pss(b), clients);
        for (size_t i = 0; i < clients; i++)
                http_fini(&k.conns[i]);
        mem_free(k.conns);
        return kb;
}

static void on_committed(void *arg, uint64_t took_ns)
{
        (void)arg;
        (void)took_ns;
}

/* Returns the median of the last client's time in ms. */
static double wake(struct bench *b, struct crowd *crowd, const char *table)
{
        struct writer writer;
        struct samples last = {0};
        writer_open(&writer, b->net, b->opt->database_url, on_committed, NULL);
        writer_prepare_insert(&writer, table);
        for (uint64_t id = 1; id <= WAKES; id++) {
                crowd_expect(crowd, id);
                uint64_t stamp = writer_insert(&writer, id, 0, "wake");
                crowd_wait(crowd, WAKE_SECONDS);
                samples_add(&last, (double)(crowd->last_ns - stamp) / 1e6);
                crowd_settle(crowd);
        }
        writer_close(&writer);
        double median = samples_median(&last);
        samples_fini(&last);
        return median;
}

static void one_case(struct bench *b, int number, size_t clients)
{
        struct crowd crowd;
        char name[32], table[80], label[64];
        snprintf(name, sizeof name, "items_%d", number);
        snprintf(table, sizeof table, "%s.%s", b->name, name);
        db_create_items(b, name, 0);
        char *definition = shape_definition(b->name, name, NULL);
        uint64_t before = edges_pss(b);
        double idle = measure_keepalive(b, clients, before);
        note(b, "parking %zu clients", clients);
        crowd_open(&crowd, b, definition, clients, b->opt->sse ? SHAPE_SSE : SHAPE_POLL);
        double parked = per_client_kb(before, edges_pss(b), clients);
        struct hist *seen = crowd.seen = hist_new();
        double last = wake(b, &crowd, table);
        double woken = per_client_kb(before, edges_pss(b), clients);
        snprintf(label, sizeof label, "%zu %s", clients,
                 b->opt->sse ? "event streams" : "long polls");
        report_row(b->report, label,
                   (double[]){(double)clients, idle, parked, idle > 0 ? parked / idle : REPORT_NONE,
                              woken, last, (double)hist_quantile(seen, 0.5) / 1e6});
        report_hist(b->report, label, seen);
        report_claim(b->report, &memory_target, woken, "park, %s: memory each", label);
        if (clients == CLAIM_CLIENTS)
                report_claim(b->report, &wake_target, last, "park, %s: wake all", label);
        crowd_close(&crowd);
        mem_free(seen);
        mem_free(definition);
}

void mode_park(struct bench *b)
{
        const struct list_of_numbers *clients =
                b->opt->clients.count ? &b->opt->clients : &default_clients;
        if (b->machine->count == 0)
                fail("park: --pids or SLUICE_DATA_DIR must say which processes to look at");
        report_table(b->report,
                     "memory of the edges per client, against an idle keep-alive connection; time "
                     "to wake all",
                     columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < clients->count; i++)
                one_case(b, i, (size_t)clients->at[i]);
}
