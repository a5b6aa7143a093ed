/* Latency of one shape while many others stand on the same table and are not written: `name =
 * 'x<i>'`, then `name ILIKE 'x<i>%'`. One client, one written shape; against the same with no other
 * shape. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/feed.h"
#include "tests/bench/hist.h"
#include "tests/bench/maker.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"

enum {
        WARM_UP = 10,
        DEFAULT_SECONDS = 10,
        DEFAULT_RATE = 20,
        GRACE_SECONDS = 60,
        ILIKE_MAX = 10000
};

static const struct target equal_target = {AT_MOST, "x", 1.1, 1.0},
                           ilike_target = {AT_MOST, "ms", 10, 2};

static const struct list_of_numbers default_shapes = {5, {1, 100, 1000, 10000, 100000}};

static const struct column columns[] = {
        {"shapes", "shapes", 0},       {"p50_ms", "p50 ms", 3}, {"p95_ms", "p95 ms", 3},
        {"p99_ms", "p99 ms", 3},       {"max_ms", "max ms", 3}, {"ratio", "p50/1 shape", 2},
        {"shapes_per_s", "made/s", 0},
};

struct watch {
        struct hist *seen;
        uint64_t next_id, last_id, measured_from;
        bool synced, done;
};

static void on_row(struct shape_client *c, const struct row *row)
{
        struct watch *w = c->arg;
        if (row->id != w->next_id)
                fail("unrelated: got row %llu when row %llu was due", (unsigned long long)row->id,
                     (unsigned long long)w->next_id);
        if (w->next_id++ >= w->measured_from)
                hist_add(w->seen, now_ns() - row->stamp_ns);
        w->done = row->id == w->last_id;
}

static void on_synced(struct shape_client *c)
{
        struct watch *w = c->arg;
        w->synced = true;
}

static void measure_latency(struct bench *b, struct watch *w, const char *table)
{
        struct feed feed;
        uint64_t rate = b->opt->rate ? b->opt->rate : DEFAULT_RATE;
        uint64_t rows = WARM_UP + rate * (b->opt->seconds ? b->opt->seconds : DEFAULT_SECONDS);
        w->measured_from = w->next_id + WARM_UP;
        w->last_id = w->next_id + rows - 1;
        w->done = false;
        hist_reset(w->seen);
        feed_init(&feed, b, table, w->next_id, rows, rate);
        feed.name = "written";
        feed_start(&feed);
        bench_wait(b, &w->done, rows / rate * 3 + GRACE_SECONDS, "all rows seen");
        bench_wait(b, &feed.done, GRACE_SECONDS, "all rows committed");
        feed_fini(&feed);
}

static void one_operator(struct bench *b, const char *name, const char *operator,
                         const char * where, uint64_t most)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        const struct list_of_numbers *shapes =
                b->opt->shapes.count ? &b->opt->shapes : &default_shapes;
        struct watch w = {.seen = hist_new(), .next_id = 1};
        struct maker m = {.b = b, .operator= operator, .table = name, .next = 1};
        struct shape_client client;
        char table[80], label[80];
        double alone_ms = 0;
        snprintf(table, sizeof table, "%s.%s", b->name, name);
        db_create_items(b, name, 0);
        char *definition = shape_definition(b->name, name, where);
        shape_init(&client, b, definition, SHAPE_POLL, &events, &w);
        shape_start(&client);
        bench_wait(b, &w.synced, GRACE_SECONDS, "the client is up to date");
        for (int i = -1; i < shapes->count; i++) {
                uint64_t count = i < 0 ? 1 : shapes->at[i];
                if ((i >= 0 && count == 1) || count > most)
                        continue;
                double made = maker_make(&m, count);
                measure_latency(b, &w, table);
                double p50 = (double)hist_quantile(w.seen, 0.5) / 1e6;
                if (i < 0)
                        alone_ms = p50;
                snprintf(label, sizeof label, "%llu shape%s, %s", (unsigned long long)count,
                         count > 1 ? "s" : "", operator);
                report_row(b->report, label,
                           (double[]){(double)count, p50, (double)hist_quantile(w.seen, 0.95) / 1e6,
                                      (double)hist_quantile(w.seen, 0.99) / 1e6,
                                      (double)hist_quantile(w.seen, 1) / 1e6, p50 / alone_ms,
                                      made});
                report_hist(b->report, label, w.seen);
                if (operator[0] == '=' && i >= 0)
                        report_claim(b->report, &equal_target, p50 / alone_ms,
                                     "unrelated, %s: p50 to one shape's", label);
                else if (i >= 0)
                        report_claim(b->report, &ilike_target, p50, "unrelated, %s: p50", label);
        }
        shape_fini(&client);
        mem_free(definition);
        mem_free(w.seen);
}

void mode_unrelated(struct bench *b)
{
        report_table(b->report, "one written shape among many, against that shape alone", columns,
                     sizeof columns / sizeof *columns);
        one_operator(b, "items_equal", "=", "name = 'written'", UINT64_MAX);
        one_operator(b, "items_ilike", "ILIKE", "name ILIKE 'written%'", ILIKE_MAX);
}
