/* One client syncs a table.
 *
 * Cold: nothing knows the shape; measured from the first request to up-to-date, rows parsed and
 * each id seen once. Against psql's own \timing of `\copy (select …) to /dev/null`, run before and
 * after each cold sync. Hot: the same requests again over a kept connection, bodies read and
 * checked by length, alternating with nginx that serves the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/fetch.h"
#include "tests/bench/ids.h"
#include "tests/bench/machine.h"
#include "tests/bench/nginx.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"
#include "tests/bench/spawn.h"
#include "tests/bench/stats.h"

enum {
        SYNC_SECONDS = 600,
        COLD_REPEATS = 3,
        HOT_PASSES_MIN = 5,
        HOT_PASSES_MAX = 500,
        BIG_TABLE = 1000000,
        CLAIM_ROWS = 10000 /* below, one round trip is all the time there is */
};

static const struct target cold_target = {AT_MOST, "x", 1.6, 1.1},
                           hot_target = {AT_LEAST, "x", 1, 1.5};

static const struct list_of_numbers default_rows = {5, {1, 1000, 10000, 100000, 1000000}};

static const struct column columns[] = {
        {"rows", "rows", 0},         {"megabytes", "MB", 1},         {"copy_ms", "\\copy ms", 2},
        {"cold_ms", "cold ms", 2},   {"cold_ratio", "cold/copy", 2}, {"requests", "requests", 0},
        {"nginx_ms", "nginx ms", 3}, {"hot_ms", "hot ms", 3},        {"hot_speed", "nginx/hot", 2},
};

/* Whose CPU a cold sync takes. The client's includes parsing. */
enum { CPU_POSTGRES, CPU_ROUTER, CPU_EDGE, CPU_CLIENT, CPU_OWNERS };

struct cpu {
        struct samples ms[CPU_OWNERS];
};

struct cold {
        struct shape_client client;
        struct ids ids;
        bool done;
};

static void on_row(struct shape_client *client, const struct row *row)
{
        struct cold *c = client->arg;
        if (row->kind != ROW_INSERT || !row->has_id || !ids_see(&c->ids, row->id))
                fail("initial: id %llu is wrong or came twice", (unsigned long long)row->id);
}

static void on_synced(struct shape_client *client)
{
        struct cold *c = client->arg;
        c->done = true;
}

static uint64_t sync_cold(struct bench *b, const char *definition, uint64_t rows, uint64_t *bytes)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        struct cold c = {0};
        ids_init(&c.ids, 1, rows);
        uint64_t began = now_ns();
        shape_init(&c.client, b, definition, SHAPE_SYNC, &events, &c);
        shape_start(&c.client);
        bench_wait(b, &c.done, SYNC_SECONDS, "the shape synced");
        uint64_t took = now_ns() - began;
        if (c.ids.seen != rows)
                fail("initial: %llu of %llu rows arrived", (unsigned long long)c.ids.seen,
                     (unsigned long long)rows);
        *bytes = c.client.body_bytes;
        shape_fini(&c.client);
        ids_fini(&c.ids);
        return took;
}

/* Milliseconds as psql's \timing says: without its start and its connection. */
static double copy_ms(struct bench *b, const char *table)
{
        char copy[256];
        struct buf out;
        snprintf(copy, sizeof copy, "\\copy (select * from %s.%s) to /dev/null", b->name, table);
        buf_init(&out, 4096);
        spawn_run((const char *[]){spawn_pg_program("psql"), "-X", "-d", b->opt->database_url, "-c",
                                   "\\timing on", "-c", copy, NULL},
                  &out);
        const char *time = strstr(buf_cstr(&out), "Time: ");
        if (!time)
                fail("psql did not tell the time: %s", buf_cstr(&out));
        double ms = strtod(time + 6, NULL);
        buf_fini(&out);
        return ms;
}

static void read_cpu(const struct bench *b, double ms[CPU_OWNERS])
{
        int count;
        ms[CPU_POSTGRES] = (double)machine_postgres_cpu_us(b->machine) / 1e3;
        ms[CPU_ROUTER] = (double)machine_server_use_of(b->machine, "router", &count).cpu_us / 1e3;
        ms[CPU_EDGE] = (double)machine_server_use_of(b->machine, "edge", &count).cpu_us / 1e3;
        ms[CPU_CLIENT] = (double)process_use(getpid()).cpu_us / 1e3;
}

static void report_cpu(struct bench *b, struct cpu *cpu)
{
        if (b->machine->count > 0 && b->machine->postmaster)
                report_note(b->report,
                            "CPU of a cold sync, ms: Postgres %.0f, router %.0f, edge %.0f, "
                            "client %.0f",
                            samples_median(&cpu->ms[CPU_POSTGRES]),
                            samples_median(&cpu->ms[CPU_ROUTER]),
                            samples_median(&cpu->ms[CPU_EDGE]),
                            samples_median(&cpu->ms[CPU_CLIENT]));
        for (int i = 0; i < CPU_OWNERS; i++)
                samples_fini(&cpu->ms[i]);
}

static void cold_case(struct bench *b, const char *table, uint64_t rows, struct samples *copies,
                      struct samples *colds, struct cpu *cpu, uint64_t *bytes)
{
        double before[CPU_OWNERS], after[CPU_OWNERS];
        char *definition = shape_definition(b->name, table, NULL);
        copy_ms(b, table); /* brings the table into the cache */
        samples_add(copies, copy_ms(b, table));
        read_cpu(b, before);
        samples_add(colds, (double)sync_cold(b, definition, rows, bytes) / 1e6);
        read_cpu(b, after);
        for (int i = 0; i < CPU_OWNERS; i++)
                samples_add(&cpu->ms[i], after[i] - before[i]);
        samples_add(copies, copy_ms(b, table));
        mem_free(definition);
}

static void hot_case(struct bench *b, const char *table, struct samples *hots, struct samples *refs,
                     int *requests)
{
        char dir[128];
        struct nginx nginx;
        struct page *pages;
        char *definition = shape_definition(b->name, table, NULL);
        snprintf(dir, sizeof dir, "%s/%s", bench_temp_dir(b), table);
        mkdir(dir, 0755);
        int count = fetch_capture(b, definition, dir, &pages);
        nginx_start(&nginx, b, dir);
        fetch_pages(b, &b->target, FETCH_SERVER, pages, count, FETCH_HASHES);
        fetch_pages(b, &nginx.target, FETCH_REFERENCE, pages, count, FETCH_HASHES);
        uint64_t stop = now_ns() + 2000000000ULL;
        for (int i = 0; i < HOT_PASSES_MAX && (i < HOT_PASSES_MIN || now_ns() < stop); i++) {
                samples_add(refs, (double)fetch_pages(b, &nginx.target, FETCH_REFERENCE, pages,
                                                      count, FETCH_LENGTHS) /
                                          1e6);
                samples_add(hots, (double)fetch_pages(b, &b->target, FETCH_SERVER, pages, count,
                                                      FETCH_LENGTHS) /
                                          1e6);
        }
        fetch_pages(b, &b->target, FETCH_SERVER, pages, count, FETCH_HASHES);
        nginx_stop(&nginx);
        *requests = count;
        fetch_free(pages, count);
        mem_free(definition);
}

static void one_size(struct bench *b, uint64_t rows)
{
        struct samples copies = {0}, colds = {0}, hots = {0}, refs = {0};
        struct cpu cpu = {0};
        uint64_t repeat = b->opt->repeat      ? b->opt->repeat
                          : rows >= BIG_TABLE ? 1
                                              : COLD_REPEATS,
                 bytes = 0;
        char table[64], label[64];
        int requests;
        for (uint64_t i = 0; i < repeat; i++) {
                snprintf(table, sizeof table, "items_%llu_%llu", (unsigned long long)rows,
                         (unsigned long long)i);
                note(b, "loading %s", table);
                db_create_items(b, table, rows);
                cold_case(b, table, rows, &copies, &colds, &cpu, &bytes);
        }
        hot_case(b, table, &hots, &refs, &requests);
        double copy = samples_median(&copies), cold = samples_median(&colds),
               hot = samples_median(&hots), ref = samples_median(&refs);
        snprintf(label, sizeof label, "%llu rows", (unsigned long long)rows);
        report_row(b->report, label,
                   (double[]){(double)rows, (double)bytes / 1e6, copy, cold, cold / copy, requests,
                              ref, hot, ref / hot});
        report_cpu(b, &cpu);
        if (rows >= CLAIM_ROWS) {
                report_claim(b->report, &cold_target, cold / copy,
                             "initial, %s cold: time to \\copy's", label);
                report_claim(b->report, &hot_target, ref / hot, "initial, %s hot: speed to nginx's",
                             label);
        }
        samples_fini(&copies);
        samples_fini(&colds);
        samples_fini(&hots);
        samples_fini(&refs);
}

void mode_initial(struct bench *b)
{
        const struct list_of_numbers *rows = b->opt->rows.count ? &b->opt->rows : &default_rows;
        report_table(
                b->report,
                "one client; cold against psql's \\copy to /dev/null, hot against nginx; medians",
                columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < rows->count; i++)
                one_size(b, rows->at[i]);
}
