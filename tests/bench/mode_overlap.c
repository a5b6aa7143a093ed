/* Many shapes of one table that all match one transaction of 50 rows: how long until the last
 * client has the last row. First with a client for each shape, then with one client in all. Against
 * the same with one shape. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/bench/db.h"
#include "tests/bench/report.h"
#include "tests/bench/stats.h"

enum { ROWS = 50, WARM_UP = 2, ROUNDS = 10, ROUND_SECONDS = 120, CLAIM_SHAPES = 1500 };

static const struct list_of_numbers default_shapes = {5, {100, 500, 1000, 1500, 3000}};

static const struct target target = {AT_MOST, "ms", 150, 50};

static const struct column columns[] = {
        {"shapes", "shapes", 0},   {"clients", "clients", 0},    {"last_ms", "last ms", 1},
        {"most_ms", "most ms", 1}, {"ratio", "last/1 shape", 1},
};

struct overlap {
        struct bench *b;
        struct crowd crowd;
        struct writer writer;
        char table[80];
        size_t shapes;
        uint64_t next_id;
        double alone_ms;
};

static void on_committed(void *arg, uint64_t took_ns)
{
        (void)arg;
        (void)took_ns;
}

/* Milliseconds until the last client has the last row. */
static double one_round(struct overlap *o)
{
        uint64_t stamp = now_ns(), last = o->next_id + ROWS - 1;
        crowd_expect(&o->crowd, last);
        writer_send(&o->writer,
                    "insert into %s select i, 0, 'overlap', " DB_PAYLOAD(
                            "%llu") " from generate_series(%llu, %llu) i",
                    o->table, (unsigned long long)stamp, (unsigned long long)o->next_id,
                    (unsigned long long)last);
        o->next_id = last + 1;
        crowd_wait(&o->crowd, ROUND_SECONDS);
        double ms = (double)(o->crowd.last_ns - stamp) / 1e6;
        crowd_settle(&o->crowd);
        return ms;
}

static void measure(struct overlap *o)
{
        struct samples last = {0};
        char label[80];
        double most = 0;
        uint64_t rounds = o->b->opt->repeat ? o->b->opt->repeat : ROUNDS;
        for (int i = 0; i < WARM_UP; i++)
                one_round(o);
        for (uint64_t i = 0; i < rounds; i++) {
                double ms = one_round(o);
                most = ms > most ? ms : most;
                samples_add(&last, ms);
        }
        double median = samples_median(&last);
        if (o->alone_ms == 0)
                o->alone_ms = median;
        snprintf(label, sizeof label, "%zu shapes, %zu clients", o->shapes, o->crowd.count);
        report_row(o->b->report, label,
                   (double[]){(double)o->shapes, (double)o->crowd.count, median, most,
                              median / o->alone_ms});
        if (o->shapes == CLAIM_SHAPES)
                report_claim(o->b->report, &target, median, "overlap, %s: last client", label);
        samples_fini(&last);
}

static void one_case(struct overlap *o, int number, size_t shapes)
{
        struct bench *b = o->b;
        char name[32], where[64];
        char **definitions = mem_array(shapes, sizeof *definitions);
        snprintf(name, sizeof name, "items_%d", number);
        snprintf(o->table, sizeof o->table, "%s.%s", b->name, name);
        o->shapes = shapes;
        o->next_id = 1;
        db_create_items(b, name, 0);
        for (size_t i = 0; i < shapes; i++) {
                snprintf(where, sizeof where, "name = 'overlap' AND id > -%zu", i + 1);
                definitions[i] = shape_definition(b->name, name, where);
        }
        note(b, "making %zu shapes", shapes);
        crowd_open_each(&o->crowd, b, definitions, shapes, SHAPE_POLL);
        writer_open(&o->writer, b->net, b->opt->database_url, on_committed, o);
        measure(o);
        if (shapes > 1) {
                crowd_keep(&o->crowd, 1);
                measure(o);
        }
        writer_close(&o->writer);
        crowd_close(&o->crowd);
        for (size_t i = 0; i < shapes; i++)
                mem_free(definitions[i]);
        mem_free(definitions);
}

void mode_overlap(struct bench *b)
{
        const struct list_of_numbers *shapes =
                b->opt->shapes.count ? &b->opt->shapes : &default_shapes;
        struct overlap o = {.b = b};
        report_table(b->report, "one transaction of 50 rows that every shape matches", columns,
                     sizeof columns / sizeof *columns);
        one_case(&o, 0, 1);
        for (int i = 0; i < shapes->count; i++)
                if (shapes->at[i] > 1)
                        one_case(&o, i + 1, (size_t)shapes->at[i]);
}
