/* What an ingest can be told, and what it counts. */
#ifndef SERVICES_INGEST_CONF_H
#define SERVICES_INGEST_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf/conf.h"
#include "common/obs/metric.h"
#include "common/svc/svc.h"

struct ingest_conf {
        struct svc_conf svc;
        const char *database_url;
        const char *ca_file;
        const char *changes_url;
        const char *control_url;
        const char *stream_id;
        uint64_t routers;
        uint64_t window_bytes;
        uint64_t batch_bytes;
        bool manual_publishing;
        bool drop_slot;
};

extern const struct knob ingest_knobs[];
extern const size_t ingest_n_knobs;

/* METRIC(member, type, name, what) */
#define INGEST_METRICS(METRIC)                                                                     \
        METRIC(transactions, COUNTER, "sluice_ingest_transactions_total",                          \
               "transactions published that changed a published table")                            \
        METRIC(changes, COUNTER, "sluice_ingest_changes_total", "row changes and truncates read")  \
        METRIC(batches, COUNTER, "sluice_ingest_batches_total", "batches published")               \
        METRIC(batch_bytes, COUNTER, "sluice_ingest_batch_bytes_total", "bytes of those batches")  \
        METRIC(replayed, COUNTER, "sluice_ingest_replayed_batches_total",                          \
               "batches that a router missed and asked for again")                                 \
        METRIC(streams, COUNTER, "sluice_ingest_streams_total",                                    \
               "replication streams started, one epoch each")                                      \
        METRIC(window_bytes, GAUGE, "sluice_ingest_window_bytes",                                  \
               "bytes kept for routers that have not acknowledged them")                           \
        METRIC(window_batches, GAUGE, "sluice_ingest_window_batches", "batches kept for them")     \
        METRIC(paused, GAUGE, "sluice_ingest_paused",                                              \
               "1 while the window is full and Postgres is not read")                              \
        METRIC(routers, GAUGE, "sluice_ingest_routers", "routers that follow the current epoch")   \
        METRIC(position, GAUGE, "sluice_ingest_position_lsn",                                      \
               "WAL position up to which everything is published")                                 \
        METRIC(confirmed, GAUGE, "sluice_ingest_confirmed_flush_lsn",                              \
               "WAL position that Postgres was told it may forget")                                \
        METRIC(published_lag, GAUGE, "sluice_ingest_published_lag_bytes",                          \
               "WAL that Postgres has and routers were not sent")                                  \
        METRIC(published_lag_ms, GAUGE, "sluice_ingest_published_lag_ms",                          \
               "how long it has had the oldest of it")                                             \
        METRIC(applied_lag, GAUGE, "sluice_ingest_applied_lag_bytes",                              \
               "WAL that Postgres has and not every router has applied")                           \
        METRIC(applied_lag_ms, GAUGE, "sluice_ingest_applied_lag_ms",                              \
               "how long it has had the oldest of it")                                             \
        METRIC(synced_lag, GAUGE, "sluice_ingest_synced_lag_bytes",                                \
               "WAL that Postgres has and not every router has on disk")                           \
        METRIC(synced_lag_ms, GAUGE, "sluice_ingest_synced_lag_ms",                                \
               "how long it has had the oldest of it")                                             \
        METRIC(slot_retained, GAUGE, "sluice_ingest_slot_retained_bytes",                          \
               "WAL that Postgres keeps for the slot")                                             \
        METRIC(slot_lag, GAUGE, "sluice_ingest_slot_lag_bytes",                                    \
               "WAL behind the slot's confirmed position")                                         \
        METRIC(tables_ensured, COUNTER, "sluice_ingest_tables_ensured_total",                      \
               "requests to publish a table that succeeded")                                       \
        METRIC(tables_refused, COUNTER, "sluice_ingest_tables_refused_total",                      \
               "requests to publish a table that failed")

enum ingest_metric {
#define METRIC(member, type, name, what) INGEST_METRIC_##member,
        INGEST_METRICS(METRIC)
#undef METRIC
                INGEST_N_METRICS
};

extern struct metric ingest_metrics[INGEST_N_METRICS];

#define METRIC_OF(member) (&ingest_metrics[INGEST_METRIC_##member])

#endif
