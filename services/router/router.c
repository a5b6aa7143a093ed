#include "services/router/router.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "common/pg/membership.h"
#include "common/pg/pg.h"
#include "common/store/store.h"
#include "services/router/catalog.h"
#include "services/router/fetch.h"
#include "services/router/follow.h"
#include "services/router/graves.h"
#include "services/router/health.h"
#include "services/router/limit.h"
#include "services/router/metrics.h"
#include "services/router/notify.h"
#include "services/router/nursery.h"
#include "services/router/resolve.h"
#include "services/router/snapshot.h"
#include "services/router/subset.h"
#include "services/router/syncer.h"
#include "services/router/writer.h"
#include "services/router/zone.h"

#define AT(member) offsetof(struct router_conf, member)

const struct knob router_knobs[] = {
        SVC_KNOBS(struct router_conf, "SLUICE_ROUTER", "0"),
        {"DATABASE_URL", NULL, KNOB_URL, NULL, 0, 0, AT(database_url),
         "the database whose tables are synced"},
        {"SLUICE_POOLED_DATABASE_URL", "ELECTRIC_POOLED_DATABASE_URL ELECTRIC_QUERY_DATABASE_URL",
         KNOB_URL, "", 0, 0, AT(pooled_url),
         "the same database through a pooler of transactions, for snapshots and "
         "subsets; empty: DATABASE_URL"},
        {"SLUICE_CA_FILE", "ELECTRIC_DATABASE_CA_CERTIFICATE_FILE", KNOB_STR, "", 0, 0, AT(ca_file),
         "certificates that the database's must be signed by"},
        {"SLUICE_ROUTER_INDEX", NULL, KNOB_U64, "0", 0, 255, AT(index),
         "which of the routers this is, from 0"},
        {"SLUICE_ROUTER_DIR", NULL, KNOB_STR, NULL, 0, 0, AT(dir),
         "directory of the shape logs; nobody else's"},
        {"SLUICE_INGEST_CHANGES_URLS", NULL, KNOB_STR, NULL, 0, 0, AT(changes_urls),
         "where the ingests publish changes, comma separated"},
        {"SLUICE_INGEST_CONTROL_URLS", NULL, KNOB_STR, NULL, 0, 0, AT(control_urls),
         "where the ingests answer, in the same order"},
        {"SLUICE_ROUTER_NOTICES_URL", NULL, KNOB_STR, NULL, 0, 0, AT(notices_url),
         "where to publish notices for edges"},
        {"SLUICE_ROUTER_FETCH_URL", NULL, KNOB_STR, NULL, 0, 0, AT(fetch_url),
         "where to answer edges"},
        {"SLUICE_STREAM_ID", "ELECTRIC_REPLICATION_STREAM_ID", KNOB_STR, "default", 0, 0,
         AT(stream_id), "name of the replication stream"},
        {"SLUICE_CHUNK_BYTES", "ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", KNOB_BYTES, "10485760", 1,
         1 << 30, AT(chunk_bytes), "size at which a chunk of a shape's log is closed"},
        {"SLUICE_MAP_BYTES", NULL, KNOB_BYTES, "64g", 1 << 20, UINT64_C(1) << 46, AT(map_bytes),
         "the most that the shape logs may take on disk"},
        {"SLUICE_SNAPSHOT_CONNECTIONS", "ELECTRIC_DB_POOL_SIZE", KNOB_U64, "4", 1, 256,
         AT(snapshot_connections), "connections to the database for initial snapshots"},
        {"SLUICE_SNAPSHOT_STALL_TIMEOUT", NULL, KNOB_DURATION, "5m", 100, 86400000,
         AT(snapshot_stall_ms),
         "how long a snapshot waits for the database to send more of its rows, once some have "
         "come"},
        {"SLUICE_SNAPSHOT_TIMEOUT", NULL, KNOB_DURATION, "1440m", 0, INT32_MAX, AT(snapshot_ms),
         "statement_timeout of a snapshot's rows; 0: none"},
        {"SLUICE_SUBSET_CONNECTIONS", NULL, KNOB_U64, "4", 1, 64, AT(subset_connections),
         "connections to the database for subsets of shapes"},
        {"SLUICE_SUBSET_MAX_BYTES", NULL, KNOB_BYTES, "64m", 1024, 512 << 20, AT(subset_max_bytes),
         "the most that one subset of a shape may be, as JSON"},
        {"SLUICE_SCHEMA_PERIOD", "ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", KNOB_DURATION, "60s",
         100, 86400000, AT(schema_period_ms), "how often tables are compared with the catalog"},
        {"SLUICE_MAX_SHAPES", "ELECTRIC_MAX_SHAPES ELECTRIC_EXPERIMENTAL_MAX_SHAPES", KNOB_U64, "0",
         0, UINT64_C(1) << 40, AT(max_shapes),
         "how many shapes a router keeps; when there are more, those go that nobody "
         "has asked for the longest; 0: any number"},
        {"SLUICE_SCHEMA_GLANCE", NULL, KNOB_DURATION, "1s", 20, 86400000, AT(schema_glance_ms),
         "how often the catalog is asked whether tables in use have changed"},
};
const size_t router_n_knobs = sizeof(router_knobs) / sizeof(router_knobs[0]);

enum {
        MAX_READERS = 512,
        MAX_JOBS = 10000,
        CATALOG_QUEUE = 1000,
        CATALOG_TIMEOUT_MS = 10000,
        FIRST_ROW_TIMEOUT_MS = 30000,
        SNAPSHOT_BATCH_BYTES = 512 * 1024,
        MAX_PENDING_BYTES = 32 << 20,
        MAX_HELD_BYTES = 32 << 20,
        MAX_QUEUE_BYTES = 128 << 20,
        SUBSET_QUEUE = 64, /* together with what runs, well below FETCH_CONCURRENCY */
        FETCH_CONCURRENCY = 256
};

/* The parts, in the order in which they are opened. */
static struct router {
        const struct router_conf *conf;
        char publication[PG_PUBLICATION_NAME_BYTES];
        struct store *store;
        struct notify *notify;
        struct writer *writer;
        struct syncer *syncer;
        struct graves *graves;
        struct follow *follow;
        struct nursery nursery;
        struct snapshot_pool *snapshots;
        struct catalog *catalog;
        struct subset_pool *subsets;
        struct limit *limit;
        struct resolve *resolve;
        struct fetch *fetch;
        uint64_t epoch; /* the writer's: of the stream that it applies */
} router;

/* ---- what the writer tells */

static void on_applied(void *arg, uint64_t epoch, uint64_t seq, lsn_t applied)
{
        (void)arg;
        if (epoch != router.epoch)
                catalog_check_zones(router.catalog);
        router.epoch = epoch;
        follow_applied(router.follow, epoch, seq, applied);
}

static void on_committed(void *arg, lsn_t applied)
{
        (void)arg;
        syncer_committed(router.syncer, applied);
}

static void on_settled(void *arg)
{
        (void)arg;
        fetch_settled(router.fetch);
}

static void on_synced(void *arg, lsn_t synced)
{
        (void)arg;
        follow_synced(router.follow, synced);
}

static void on_lost(void *arg)
{
        (void)arg;
        follow_lost(router.follow);
}

static void on_full(void *arg, bool full)
{
        (void)arg;
        health_full(full);
}

static void on_gone(void *arg, const struct shape *s)
{
        (void)arg;
        snapshot_cancel(router.snapshots, s->id);
        limit_forget(router.limit, s->id);
}

static void on_table(void *arg, uint32_t oid, bool used)
{
        (void)arg;
        if (used)
                catalog_watch_add(router.catalog, oid);
        else
                catalog_watch_remove(router.catalog, oid);
}

static void on_described(void *arg, uint32_t oid)
{
        (void)arg;
        catalog_look(router.catalog, oid);
}

/* ---- what the catalog tells */

struct news {
        uint32_t oid;
        struct table *table; /* owned, NULL: gone */
};

static void run_news(void *arg, struct engine *e, bool full)
{
        const struct news *n = arg;
        (void)full;
        if (!engine_drift(e, n->oid, n->table))
                catalog_look(router.catalog, n->oid);
}

static void after_news(void *arg, int err)
{
        struct news *n = arg;
        (void)err;
        table_free(n->table);
        mem_free(n);
}

static void on_drift(void *arg, uint32_t oid, bool gone, const struct table *table)
{
        struct news *n = mem_new(struct news);
        (void)arg;
        n->oid = oid;
        if (!gone)
                n->table = table_dup(table);
        writer_post(router.writer, WRITER_COMMIT, run_news, after_news, n);
}

static void run_zone(void *arg, struct engine *e, bool full)
{
        (void)full;
        engine_zone_differs(e, arg);
}

static void after_zone(void *arg, int err)
{
        (void)arg;
        (void)err;
}

static void on_zone_differs(void *arg, const struct zone *z)
{
        (void)arg;
        log_warning("zone_differs",
                    "the database's tzdata has other rules for %.*s than this host's: shapes with "
                    "that time zone end",
                    SLICE_FMT(z->name));
        writer_post(router.writer, WRITER_COMMIT, run_zone, after_zone, (void *)(uintptr_t)z);
}

/* ---- starting and stopping */

/* The supervisor starts another one, which makes the store anew; while the shapes are loaded this
 * one does it itself. */
static void on_corrupt(void *arg)
{
        (void)arg;
        if (router.writer)
                svc_fail(1, "store_damaged",
                         "the shape logs are damaged: ending, to make them anew");
}

/* The shapes go with it, and clients begin again: what Postgres has is not lost. */
static int renew_store(struct buf *why)
{
        log_warning("store_renewed", "%.*s: the shape logs are dropped and made anew",
                    SLICE_FMT(buf_slice(why)));
        count(METRIC_STORES_RENEWED, 1);
        buf_reset(why);
        return store_wipe(router.store, why);
}

static int open_store(const struct router_conf *c, struct buf *why)
{
        bool unclean;
        struct store_options o = {.path = c->dir,
                                  .format = "sluice-router 4",
                                  .max_bytes = c->map_bytes,
                                  .max_readers = MAX_READERS,
                                  .on_corrupt = on_corrupt};
        int err = store_open(&router.store, &o, &unclean, why);
        fault_point(FAULT_ROUTER_OPEN);
        return err || !unclean ? err : renew_store(why);
}

static int open_writer(const struct router_conf *c, struct buf *why)
{
        struct writer_options o = {.engine = {.store = router.store,
                                              .chunk_bytes = c->chunk_bytes,
                                              .index = (uint32_t)c->index,
                                              .max_pending = MAX_PENDING_BYTES,
                                              .max_held = MAX_HELD_BYTES,
                                              .wall_us = clock_wall_us},
                                   .notify = router.notify,
                                   .max_queue_bytes = MAX_QUEUE_BYTES,
                                   .on_applied = on_applied,
                                   .on_committed = on_committed,
                                   .on_settled = on_settled,
                                   .on_lost = on_lost,
                                   .on_full = on_full,
                                   .on_gone = on_gone,
                                   .on_table = on_table,
                                   .on_described = on_described};
        int err = writer_open(&router.writer, &o, why);
        if (err != ERR_CORRUPT)
                return err;
        err = renew_store(why);
        return err ? err : writer_open(&router.writer, &o, why);
}

static int open_follow(struct loop *loop, const struct router_conf *c, struct buf *why)
{
        struct follow_options o = {.loop = loop,
                                   .writer = router.writer,
                                   .index = (uint32_t)c->index,
                                   .changes_urls = c->changes_urls,
                                   .control_urls = c->control_urls};
        return follow_open(&router.follow, &o, why);
}

static const char *query_url(const struct router_conf *c)
{
        return c->pooled_url[0] ? c->pooled_url : c->database_url;
}

static int open_snapshots(const struct router_conf *c, struct buf *why)
{
        router.nursery = (struct nursery){.writer = router.writer,
                                          .follow = router.follow,
                                          .graves = router.graves,
                                          .index = (uint32_t)c->index};
        struct snapshot_sink sink = nursery_sink(&router.nursery);
        struct snapshot_options o = {.database_url = query_url(c),
                                     .pooled = c->pooled_url[0] != '\0',
                                     .ca_file = c->ca_file,
                                     .workers = (uint32_t)c->snapshot_connections,
                                     .chunk_bytes = c->chunk_bytes,
                                     .batch_bytes = SNAPSHOT_BATCH_BYTES,
                                     .first_row_timeout_ms = FIRST_ROW_TIMEOUT_MS,
                                     .silence_ms = (uint32_t)c->snapshot_stall_ms,
                                     .timeout_ms = (uint32_t)c->snapshot_ms,
                                     .max_queue = MAX_JOBS,
                                     .publication = router.publication};
        return snapshot_pool_open(&router.snapshots, &o, &sink, why);
}

static int open_catalog(const struct router_conf *c, struct buf *why)
{
        struct catalog_options o = {.database_url = c->database_url,
                                    .ca_file = c->ca_file,
                                    .max_queue = CATALOG_QUEUE,
                                    .timeout_ms = CATALOG_TIMEOUT_MS,
                                    .publication = router.publication};
        return catalog_open(&router.catalog, &o, why);
}

static int open_subsets(const struct router_conf *c, struct buf *why)
{
        struct subset_options o = {.database_url = query_url(c),
                                   .pooled = c->pooled_url[0] != '\0',
                                   .ca_file = c->ca_file,
                                   .store = router.store,
                                   .writer = router.writer,
                                   .workers = (uint32_t)c->subset_connections,
                                   .max_queue = SUBSET_QUEUE,
                                   .max_bytes = c->subset_max_bytes};
        return subset_pool_open(&router.subsets, &o, why);
}

static int open_fetch(const struct router_conf *c, struct buf *why)
{
        struct resolve_options r = {.writer = router.writer,
                                    .catalog = router.catalog,
                                    .snapshots = router.snapshots,
                                    .limit = router.limit,
                                    .max_jobs = MAX_JOBS};
        router.resolve = resolve_new(&r);
        struct fetch_options o = {.url = c->fetch_url,
                                  .store = router.store,
                                  .writer = router.writer,
                                  .resolve = router.resolve,
                                  .subsets = router.subsets,
                                  .graves = router.graves,
                                  .limit = router.limit,
                                  .notices_epoch = notify_epoch(router.notify),
                                  .concurrency = FETCH_CONCURRENCY};
        return fetch_open(&router.fetch, &o, why);
}

static void watch_table(void *arg, uint32_t oid)
{
        (void)arg;
        catalog_watch_add(router.catalog, oid);
}

int router_start(struct loop *loop, void *conf, struct buf *why)
{
        const struct router_conf *c = conf;
        router.conf = c;
        health_init();
        int err = pg_check_stream_id(c->stream_id, why);
        if (err)
                return err;
        pg_publication_name(c->stream_id, router.publication);
        err = pg_check_url(c->database_url, c->ca_file, why);
        if (!err && c->pooled_url[0]) {
                err = pg_check_url(c->pooled_url, c->ca_file, why);
                if (err)
                        buf_puts(why, " (this is SLUICE_POOLED_DATABASE_URL)");
        }
        if (!err)
                err = open_store(c, why);
        if (!err)
                err = notify_open(&router.notify, c->notices_url, clock_wall_us(), why);
        if (!err)
                err = open_writer(c, why);
        fault_point(FAULT_ROUTER_LOADED);
        /* I3: what the last process committed and did not sync is about to be claimed as durable */
        if (!err && (err = store_sync(router.store)) != 0)
                buf_printf(why, "cannot sync the shape logs: %s", err_text(err));
        if (err)
                return err;
        router.graves = graves_new();
        router.limit = limit_new(loop, router.writer, c->max_shapes);
        router.syncer = syncer_new(router.store, on_synced, NULL);
        err = open_follow(loop, c, why);
        if (!err)
                err = open_snapshots(c, why);
        if (!err)
                err = open_catalog(c, why);
        if (!err)
                err = open_subsets(c, why);
        if (!err)
                err = open_fetch(c, why);
        if (err)
                return err;
        writer_each_table(router.writer, watch_table, NULL);
        catalog_watch_zones(router.catalog, on_zone_differs, NULL);
        catalog_watch(router.catalog,
                      (struct catalog_periods){.glance_ms = (uint32_t)c->schema_glance_ms,
                                               .period_ms = (uint32_t)c->schema_period_ms},
                      on_drift, NULL);
        writer_start(router.writer);
        limit_start(router.limit);
        follow_start(router.follow);
        return 0;
}

void router_drain(void)
{
        /* what is not applied is asked for again; what is applied is synced at the end */
        follow_stop(router.follow);
        svc_drained();
}

/* Nobody waits for the writer when it is gone: it goes first, and who calls it afterwards is told
 * so. */
void router_stop(void)
{
        follow_stop(router.follow);
        if (router.writer)
                writer_stop(router.writer);
        if (router.snapshots)
                snapshot_pool_close(router.snapshots);
        if (router.catalog)
                catalog_close(router.catalog);
        if (router.subsets)
                subset_pool_stop(router.subsets);
        fetch_close(router.fetch);
        if (router.subsets)
                subset_pool_free(router.subsets);
        syncer_free(router.syncer);
        follow_close(router.follow);
        resolve_free(router.resolve);
        writer_close(router.writer);
        limit_free(router.limit);
        graves_free(router.graves);
        notify_close(router.notify);
        if (router.store)
                store_close(router.store);
}
