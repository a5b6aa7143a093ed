/* How fast changes become durable and are acknowledged, with some or many shapes on the table of
 * which one matches every row and nobody follows. The clock runs from the first write to the
 * server's slot at the end of the WAL; the rate at which rows are written is the ceiling. The
 * reference drains the same WAL right after, from a slot that was made before the writes. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/machine.h"
#include "tests/bench/maker.h"
#include "tests/bench/recvlogical.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"
#include "tests/bench/slots.h"

enum {
        DEFAULT_CHANGES = 1000000,
        SINGLE_PART = 10,
        ROWS_PER_TX = 1000,
        SYNC_SECONDS = 60,
        RUN_SECONDS = 900
};

static const struct list_of_numbers default_shapes = {4, {1, 1000, 10000, 100000}};

static const struct column columns[] = {
        {"shapes", "shapes", 0},
        {"rows", "rows", 0},
        {"written_rows_per_s", "written/s", 0},
        {"acknowledged_rows_per_s", "acknowledged/s", 0},
        {"recvlogical_rows_per_s", "recvlogical", 0},
        {"ratio", "ratio", 2},
        {"server_us_per_row", "server us", 2},
};

enum workload { BULK, SINGLE };

static const struct target targets[] = {{AT_LEAST, "x", 0.7, 0.95}, {AT_LEAST, "x", 0.4, 0.9}};

struct replicate {
        struct bench *b;
        char table[80];
        uint64_t shapes, next_id;
        bool synced;
};

static void no_row(struct shape_client *c, const struct row *row)
{
        (void)c;
        fail("replicate: a row %llu in an empty table", (unsigned long long)row->id);
}

static void on_synced(struct shape_client *c)
{
        struct replicate *r = c->arg;
        r->synced = true;
}

/* The shape that all rows match; it stays when its client has gone. */
static void make_matching(struct replicate *r, const char *name)
{
        static const struct shape_events events = {.on_row = no_row, .on_synced = on_synced};
        struct shape_client client;
        char *definition = shape_definition(r->b->name, name, "name = 'replicate'");
        shape_init(&client, r->b, definition, SHAPE_SYNC, &events, r);
        shape_start(&client);
        bench_wait(r->b, &r->synced, SYNC_SECONDS, "the written shape made");
        shape_fini(&client);
        mem_free(definition);
}

/* Committed by a loop in the server without waiting for the disk: with a client's round trips the
 * figure would be the disk's. The message at the end takes all before it there. */
static void write_rows(struct replicate *r, uint64_t rows, uint64_t per_tx)
{
        unsigned long long first = r->next_id, last = first + rows - 1;
        db_exec(r->b->db, "set synchronous_commit = off");
        db_exec(r->b->db,
                "do $$ begin for i in 0..%llu loop insert into %s select n, n %% 1000, "
                "'replicate', " DB_PAYLOAD(
                        "0") " from generate_series(%llu + i * %llu, least(%llu, %llu + (i + 1) * "
                             "%llu - 1)) n; commit; end loop; end $$",
                (unsigned long long)((rows - 1) / per_tx), r->table, first,
                (unsigned long long)per_tx, last, first, (unsigned long long)per_tx);
        db_exec(r->b->db, "set synchronous_commit = on");
        db_exec(r->b->db, "select pg_logical_emit_message(true, 'sluice-bench', '')");
        r->next_id += rows;
}

static void run(struct replicate *r, enum workload workload, uint64_t rows)
{
        struct bench *b = r->b;
        char label[80];
        slots_require(b);
        recvlogical_create(b, 0);
        uint64_t cpu = machine_server_use(b->machine).cpu_us, began = now_ns();
        write_rows(r, rows, workload == BULK ? ROWS_PER_TX : 1);
        double wrote_s = (double)(now_ns() - began) / 1e9;
        char *end_lsn = db_text(b->db, "select pg_current_wal_flush_lsn()");
        slots_wait_confirmed(b, end_lsn, RUN_SECONDS);
        double took_s = (double)(now_ns() - began) / 1e9;
        cpu = machine_server_use(b->machine).cpu_us - cpu;
        double reference_s = (double)recvlogical_drain(b, 0, end_lsn) / 1e9, n = (double)rows;
        recvlogical_drop(b, 0);
        mem_free(end_lsn);
        snprintf(label, sizeof label, "%llu shapes, %s", (unsigned long long)r->shapes,
                 workload == BULK ? "1,000-row tx" : "single-row tx");
        report_row(b->report, label,
                   (double[]){(double)r->shapes, n, n / wrote_s, n / took_s, n / reference_s,
                              reference_s / took_s,
                              b->machine->count ? (double)cpu / n : REPORT_NONE});
        report_claim(b->report, &targets[workload], reference_s / took_s,
                     "replicate, %s: speed to pg_recvlogical", label);
}

void mode_replicate(struct bench *b)
{
        const struct list_of_numbers *shapes =
                b->opt->shapes.count ? &b->opt->shapes : &default_shapes;
        uint64_t changes = b->opt->changes ? b->opt->changes : DEFAULT_CHANGES;
        struct replicate r = {.b = b, .next_id = 1};
        struct maker others = {.b = b, .operator= "=", .table = "items", .next = 1};
        snprintf(r.table, sizeof r.table, "%s.items", b->name);
        db_create_items(b, "items", 0);
        make_matching(&r, "items");
        report_table(
                b->report,
                "rows/s durable and acknowledged, against pg_recvlogical draining the same WAL",
                columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < shapes->count; i++) {
                maker_make(&others, shapes->at[i]);
                r.shapes = shapes->at[i];
                run(&r, BULK, changes);
                run(&r, SINGLE, changes / SINGLE_PART ? changes / SINGLE_PART : 1);
        }
}
