/* What changes take on disk: of the server, per byte that a client reads of them, and against the
 * WAL that Postgres wrote for them. First new rows, then as many updates of the same few keys: what
 * a day leaves behind of a table whose size does not change. */
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"
#include "tests/bench/slots.h"

enum { DEFAULT_CHANGES = 1000000, KEYS = 1000, SECONDS = 900, BLOCK_BYTES = 512 };

static const struct column columns[] = {
        {"changes", "changes", 0},         {"read_mb", "read MB", 1},
        {"disk_mb", "disk MB", 1},         {"wal_mb", "WAL MB", 1},
        {"disk_per_read", "disk/read", 2}, {"disk_per_wal", "disk/WAL", 2},
};

struct disk {
        struct bench *b;
        char *definition;
        char handle[80], offset[48];
        uint64_t changes, seen;
        bool synced;
};

static uint64_t walked_bytes;

/* Files are sparse: what they take, not how long they are. */
static int add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        if (ftw->level == 1 && strncmp(path + ftw->base, "postgres", 8) == 0)
                return FTW_SKIP_SUBTREE;
        if (type == FTW_F)
                walked_bytes += (uint64_t)st->st_blocks * BLOCK_BYTES;
        return FTW_CONTINUE;
}

static double disk_bytes(const struct bench *b)
{
        walked_bytes = 0;
        if (nftw(b->opt->disk, add_file, 16, FTW_PHYS | FTW_ACTIONRETVAL))
                fail("disk: cannot look through %s", b->opt->disk);
        return (double)walked_bytes;
}

static void on_row(struct shape_client *c, const struct row *row)
{
        struct disk *d = c->arg;
        (void)row;
        d->seen++;
}

static void on_synced(struct shape_client *c)
{
        struct disk *d = c->arg;
        d->synced = true;
}

/* What a client reads from where the last one ended. */
static uint64_t read_on(struct disk *d)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        struct shape_client client;
        shape_init(&client, d->b, d->definition, SHAPE_SYNC, &events, d);
        if (d->handle[0]) {
                memcpy(client.handle, d->handle, sizeof client.handle);
                memcpy(client.offset, d->offset, sizeof client.offset);
        }
        d->synced = false;
        d->seen = 0;
        shape_start(&client);
        bench_wait(d->b, &d->synced, SECONDS, "the client is up to date");
        memcpy(d->handle, client.handle, sizeof d->handle);
        memcpy(d->offset, client.offset, sizeof d->offset);
        uint64_t bytes = client.body_bytes;
        shape_fini(&client);
        return bytes;
}

static void measure(struct disk *d, const char *label, const char *statement)
{
        struct bench *b = d->b;
        double before = disk_bytes(b);
        char *began = db_text(b->db, "select pg_current_wal_insert_lsn()");
        db_exec(b->db, "%s", statement);
        char *ended = db_text(b->db, "select pg_current_wal_flush_lsn()");
        double wal = (double)db_number(b->db, "select '%s'::pg_lsn - '%s'", ended, began);
        slots_wait_confirmed(b, ended, SECONDS);
        double disk = disk_bytes(b) - before, body = (double)read_on(d);
        if (d->seen != d->changes)
                fail("disk: a client got %llu changes of %llu", (unsigned long long)d->seen,
                     (unsigned long long)d->changes);
        report_row(b->report, label,
                   (double[]){(double)d->changes, body / 1e6, disk / 1e6, wal / 1e6, disk / body,
                              disk / wal});
        mem_free(began);
        mem_free(ended);
}

void mode_disk(struct bench *b)
{
        struct disk d = {.b = b, .changes = b->opt->changes ? b->opt->changes : DEFAULT_CHANGES};
        char statement[1024];
        unsigned long long changes = d.changes;
        if (!b->opt->disk[0])
                fail("disk: --disk or SLUICE_DATA_DIR must say where the server's files are");
        db_create_items(b, "items", 0);
        slots_require(b);
        d.definition = shape_definition(b->name, "items", NULL);
        read_on(&d);
        report_table(b->report, "bytes on disk, against what a client reads and against the WAL",
                     columns, sizeof columns / sizeof *columns);
        snprintf(statement, sizeof statement,
                 "do $$ begin for i in 0..%llu loop insert into %s.items select n, n %% 1000, "
                 "'disk', " DB_PAYLOAD("0") " from generate_series(i * 1000 + 1, least(%llu, (i + "
                                            "1) * 1000)) n; commit; end loop; end $$",
                 (changes - 1) / 1000, b->name, changes);
        measure(&d, "new rows", statement);
        snprintf(statement, sizeof statement,
                 "do $$ begin for i in 1..%llu loop update %s.items set grp = grp + 1 where id = 1 "
                 "+ i %% %d; if i %% 1000 = 0 then commit; end if; end loop; end $$",
                 changes, b->name, KEYS);
        measure(&d, "updates of the same 1,000 keys", statement);
        mem_free(d.definition);
}
