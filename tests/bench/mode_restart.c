/* How long the server does not serve when a part of it dies, or all of it, with few or many shapes:
 * kill -9, a row written at once, and the log of a shape asked for until that row is in it. The
 * handle must survive. Whatever watches the services (the supervisor, a cluster) starts them again;
 * its own patience is in the figures. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/machine.h"
#include "tests/bench/maker.h"
#include "tests/bench/probe.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"

enum {
        SYNC_SECONDS = 60,
        DEAD_SECONDS = 120,
        LOOK_MS = 5,
        /* A service that dies soon after its start is started later and later: the supervisor calls
         * one that has lived for 10 s stable. */
        REST_SECONDS = 11
};

static const struct list_of_numbers default_shapes = {3, {1, 10000, 100000}};

static const struct target target = {AT_MOST, "s", 2, 0.3};

static const struct column columns[] = {
        {"shapes", "shapes", 0},
        {"serving_ms", "serving ms", 1},
        {"whole_ms", "with the row ms", 1},
        {"router_mb", "router MB", 1},
        {"edge_mb", "edge MB", 1},
};

struct restart {
        struct bench *b;
        struct probe probe;
        uint64_t shapes, next_id;
        bool synced;
};

static void no_row(struct shape_client *c, const struct row *row)
{
        (void)c;
        fail("restart: a row %llu in an empty table", (unsigned long long)row->id);
}

static void on_synced(struct shape_client *c)
{
        struct restart *r = c->arg;
        r->synced = true;
}

/* The shape that is asked for, and where its log begins. */
static void make_shape(struct restart *r)
{
        static const struct shape_events events = {.on_row = no_row, .on_synced = on_synced};
        struct shape_client client;
        char *definition = shape_definition(r->b->name, "items", "name = 'restart'");
        shape_init(&client, r->b, definition, SHAPE_SYNC, &events, r);
        shape_start(&client);
        bench_wait(r->b, &r->synced, SYNC_SECONDS, "the shape is made");
        probe_open(&r->probe, r->b, definition, client.handle, client.offset);
        shape_fini(&client);
        mem_free(definition);
}

static pid_t read_pid(const struct bench *b, const char *service)
{
        char path[512];
        long pid = 0;
        snprintf(path, sizeof path, "%s/%s.pid", b->opt->pids, service);
        FILE *f = fopen(path, "r");
        if (!f)
                return 0;
        if (fscanf(f, "%ld", &pid) != 1)
                pid = 0;
        fclose(f);
        return (pid_t)pid;
}

static bool is_meant(const struct process *p, const char *which)
{
        return strncmp(p->name, which, strlen(which)) == 0;
}

/* Until each has a successor. */
static void wait_restarted(struct bench *b, const char *which)
{
        uint64_t until = now_ns() + (uint64_t)DEAD_SECONDS * 1000000000;
        for (int i = 0; i < b->machine->count; i++) {
                struct process *p = &b->machine->server[i];
                pid_t now = 0;
                while (is_meant(p, which) && ((now = read_pid(b, p->name)) <= 0 || now == p->pid)) {
                        if (now_ns() > until)
                                fail("restart: nobody has started %s again", p->name);
                        net_poll(b->net, now_ns() + (uint64_t)LOOK_MS * 1000000);
                }
                if (now > 0)
                        p->pid = now;
        }
}

static void rest(struct bench *b)
{
        uint64_t until = now_ns() + (uint64_t)REST_SECONDS * 1000000000;
        while (now_ns() < until)
                net_poll(b->net, until);
}

static void write_row(struct restart *r)
{
        db_exec(r->b->db, "insert into %s.items values (%llu, 0, 'restart', '')", r->b->name,
                (unsigned long long)r->next_id);
}

static double pss_mb(const struct bench *b, const char *service)
{
        int count;
        return (double)machine_server_use_of(b->machine, service, &count).pss_bytes / 1e6;
}

/* `which`: the beginning of the services' names, "" for all of them. */
static void one_kill(struct restart *r, const char *which)
{
        struct bench *b = r->b;
        char label[80];
        rest(b);
        uint64_t killed_ns = now_ns();
        for (int i = 0; i < b->machine->count; i++)
                if (is_meant(&b->machine->server[i], which) &&
                    kill(b->machine->server[i].pid, SIGKILL))
                        fail("restart: cannot kill %s", b->machine->server[i].name);
        write_row(r);
        probe_begin(&r->probe, r->next_id++);
        bench_wait(b, &r->probe.done, DEAD_SECONDS, "the row written after kill -9 is served");
        wait_restarted(b, which);
        double whole_s = (double)(r->probe.found_ns - killed_ns) / 1e9;
        snprintf(label, sizeof label, "%llu shapes, kill -9 %s", (unsigned long long)r->shapes,
                 which[0] ? which : "all");
        report_row(b->report, label,
                   (double[]){(double)r->shapes, (double)(r->probe.answered_ns - killed_ns) / 1e6,
                              whole_s * 1e3, pss_mb(b, "router"), pss_mb(b, "edge")});
        report_claim(b->report, &target, whole_s, "restart, %s: until it serves all", label);
}

void mode_restart(struct bench *b)
{
        static const char *const victims[] = {"ingest", "router", "edge", ""};
        const struct list_of_numbers *shapes =
                b->opt->shapes.count ? &b->opt->shapes : &default_shapes;
        struct restart r = {.b = b, .next_id = 1};
        struct maker others = {.b = b, .operator= "=", .table = "items", .next = 1};
        if (b->machine->count == 0 || b->opt->pids[0] != '/')
                fail("restart: --pids or SLUICE_DATA_DIR must name the directory of pid files");
        db_create_items(b, "items", 0);
        make_shape(&r);
        report_table(b->report,
                     "from kill -9 until a shape is served, and with the row written "
                     "after it",
                     columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < shapes->count; i++) {
                maker_make(&others, shapes->at[i]);
                r.shapes = shapes->at[i];
                for (size_t v = 0; v < sizeof victims / sizeof *victims; v++)
                        one_kill(&r, victims[v]);
        }
        probe_close(&r.probe);
}
