/* One live client and a trickle of inserts. Seen: from sending the insert to Postgres to the row
 * parsed in the client. The same rows are read, in the same loop, by a bare pgoutput reader, so
 * both meet the same commits and the same noise; what is left between them is the server. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/feed.h"
#include "tests/bench/hist.h"
#include "tests/bench/pgwal.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"

enum { WARM_UP = 20, DEFAULT_SECONDS = 60, DEFAULT_RATE = 20, GRACE_SECONDS = 30 };

static const struct column columns[] = {
        {"rows", "rows", 0},           {"p50_ms", "p50 ms", 3},
        {"p95_ms", "p95 ms", 3},       {"p99_ms", "p99 ms", 3},
        {"max_ms", "max ms", 3},       {"p50_over_reader_ms", "p50-reader", 3},
        {"p99_ratio", "p99 ratio", 2},
};

/* One who sees rows 1, 2, 3 … */
struct watcher {
        const char *name;
        struct hist *seen;
        uint64_t next_id, last_id;
        bool done;
};

struct live {
        struct watcher client, reader;
        bool synced;
};

static void watch(struct watcher *w, uint64_t id, uint64_t stamp_ns)
{
        if (id != w->next_id)
                fail("live: the %s got row %llu when row %llu was due", w->name,
                     (unsigned long long)id, (unsigned long long)w->next_id);
        w->next_id++;
        if (id > WARM_UP)
                hist_add(w->seen, now_ns() - stamp_ns);
        w->done = id == w->last_id;
}

static void on_client_row(struct shape_client *c, const struct row *row)
{
        struct live *l = c->arg;
        watch(&l->client, row->id, row->stamp_ns);
}

static void on_reader_row(void *arg, uint64_t id, uint64_t stamp_ns)
{
        struct live *l = arg;
        watch(&l->reader, id, stamp_ns);
}

static void on_synced(struct shape_client *c)
{
        struct live *l = c->arg;
        l->synced = true;
}

static double quantile_ms(const struct hist *h, double q)
{
        return (double)hist_quantile(h, q) / 1e6;
}

static void report(struct bench *b, const char *label, const struct hist *h,
                   const struct hist *reference)
{
        bool compare = reference != NULL;
        report_row(b->report, label,
                   (double[]){(double)h->count, quantile_ms(h, 0.5), quantile_ms(h, 0.95),
                              quantile_ms(h, 0.99), quantile_ms(h, 1),
                              compare ? quantile_ms(h, 0.5) - quantile_ms(reference, 0.5)
                                      : REPORT_NONE,
                              compare ? quantile_ms(h, 0.99) / quantile_ms(reference, 0.99)
                                      : REPORT_NONE});
        report_hist(b->report, label, h);
}

static void report_claims(struct bench *b, const struct hist *client, const struct hist *reader)
{
        static const struct target p50 = {AT_MOST, "ms", 0.5, 0.2}, p99 = {AT_MOST, "x", 3, 1.5};
        const char *how = b->opt->sse ? "event stream" : "long poll";
        report_claim(b->report, &p50, quantile_ms(client, 0.5) - quantile_ms(reader, 0.5),
                     "live, %s: p50 over the bare reader's", how);
        report_claim(b->report, &p99, quantile_ms(client, 0.99) / quantile_ms(reader, 0.99),
                     "live, %s: p99 to the bare reader's", how);
}

void mode_live(struct bench *b)
{
        static const struct shape_events events = {.on_row = on_client_row, .on_synced = on_synced};
        uint64_t rate = b->opt->rate ? b->opt->rate : DEFAULT_RATE;
        uint64_t rows = WARM_UP + rate * (b->opt->seconds ? b->opt->seconds : DEFAULT_SECONDS);
        struct live l = {.client = {"client", hist_new(), 1, rows, false},
                         .reader = {"bare reader", hist_new(), 1, rows, false}};
        struct shape_client client;
        struct feed feed;
        char table[80];
        snprintf(table, sizeof table, "%s.items", b->name);
        db_create_items(b, "items", 0);
        struct pgwal *reader = pgwal_open(b->net, b->opt->database_url, b->name, on_reader_row, &l);
        char *definition = shape_definition(b->name, "items", NULL);
        shape_init(&client, b, definition, b->opt->sse ? SHAPE_SSE : SHAPE_POLL, &events, &l);
        shape_start(&client);
        bench_wait(b, &l.synced, GRACE_SECONDS, "the client is up to date");
        feed_init(&feed, b, table, 1, rows, rate);
        feed.unmeasured = WARM_UP;
        feed_start(&feed);
        bench_wait(b, &feed.done, rows / rate * 2 + GRACE_SECONDS, "all rows written");
        bench_wait(b, &l.client.done, GRACE_SECONDS, "all rows seen by the client");
        bench_wait(b, &l.reader.done, GRACE_SECONDS, "all rows seen by the bare reader");
        report_table(b->report, "seen: from sending the insert to the row parsed", columns,
                     sizeof columns / sizeof *columns);
        report(b, "commit acknowledged", feed.commit, NULL);
        report(b, "bare pgoutput reader", l.reader.seen, NULL);
        report(b, b->opt->sse ? "client, server-sent events" : "client, long poll", l.client.seen,
               l.reader.seen);
        report_claims(b, l.client.seen, l.reader.seen);
        feed_fini(&feed);
        shape_fini(&client);
        pgwal_close(reader);
        mem_free(definition);
        mem_free(l.client.seen);
        mem_free(l.reader.seen);
}
