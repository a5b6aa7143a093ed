/* What the stack costs when nothing happens: memory as PSS and CPU of each process, before there is
 * a shape and with one that a client waits on. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/machine.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"

enum { DEFAULT_SECONDS = 10, SYNC_SECONDS = 60 };

static const struct column columns[] = {{"pss_mb", "PSS MB", 2}, {"cpu_percent", "CPU %", 3}};

static void on_row(struct shape_client *c, const struct row *row)
{
        (void)c;
        (void)row;
}

static void on_synced(struct shape_client *c)
{
        *(bool *)c->arg = true;
}

/* Returns the sum of all processes in MB. */
static double measure_idle(struct bench *b, const char *title)
{
        struct process_use before[MACHINE_PROCESSES];
        const struct machine *m = b->machine;
        uint64_t seconds = b->opt->seconds ? b->opt->seconds : DEFAULT_SECONDS;
        struct process_use sum = {0};
        for (int i = 0; i < m->count; i++)
                before[i] = process_use(m->server[i].pid);
        uint64_t began = now_ns(), until = began + seconds * 1000000000ULL;
        while (now_ns() < until)
                net_poll(b->net, until);
        double elapsed_us = (double)(now_ns() - began) / 1e3;
        report_table(b->report, title, columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < m->count; i++) {
                struct process_use use = process_use(m->server[i].pid);
                use.cpu_us -= before[i].cpu_us;
                report_row(b->report, m->server[i].name,
                           (double[]){(double)use.pss_bytes / 1e6,
                                      (double)use.cpu_us / elapsed_us * 100});
                sum.cpu_us += use.cpu_us;
                sum.pss_bytes += use.pss_bytes;
        }
        report_row(b->report, "all",
                   (double[]){(double)sum.pss_bytes / 1e6, (double)sum.cpu_us / elapsed_us * 100});
        return (double)sum.pss_bytes / 1e6;
}

void mode_idle(struct bench *b)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        static const struct target target = {AT_MOST, "MB", 30, 15};
        struct shape_client client;
        bool synced = false;
        if (b->machine->count == 0)
                fail("idle: --pids or SLUICE_DATA_DIR must say which processes to look at");
        measure_idle(b, "nothing to do");
        db_create_items(b, "items", 1000);
        char *definition = shape_definition(b->name, "items", NULL);
        shape_init(&client, b, definition, SHAPE_POLL, &events, &synced);
        shape_start(&client);
        bench_wait(b, &synced, SYNC_SECONDS, "the client is up to date");
        double mb = measure_idle(b, "one shape of 1,000 rows, one client waiting");
        report_claim(b->report, &target, mb, "idle: whole stack with one shape");
        shape_fini(&client);
        mem_free(definition);
}
