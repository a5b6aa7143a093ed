#include "services/ingest/conf.h"

#define AT(member) offsetof(struct ingest_conf, member)

const struct knob ingest_knobs[] = {
        SVC_KNOBS(struct ingest_conf, "SLUICE_INGEST", "0"),
        {"DATABASE_URL", NULL, KNOB_URL, NULL, 0, 0, AT(database_url),
         "Postgres to replicate: postgres://user:password@host:port/database"},
        {"SLUICE_CA_FILE", "ELECTRIC_DATABASE_CA_CERTIFICATE_FILE", KNOB_STR, "", 0, 0, AT(ca_file),
         "certificates that Postgres' own is verified with, and its host name; empty: no "
         "verification"},
        {"SLUICE_INGEST_CHANGES_URL", NULL, KNOB_STR, NULL, 0, 0, AT(changes_url),
         "where changes are published to routers (listens)"},
        {"SLUICE_INGEST_CONTROL_URL", NULL, KNOB_STR, NULL, 0, 0, AT(control_url),
         "where routers' requests are answered (listens)"},
        {"SLUICE_STREAM_ID", "ELECTRIC_REPLICATION_STREAM_ID", KNOB_STR, "default", 0, 0,
         AT(stream_id), "suffix of the names of the publication and the replication slot"},
        {"SLUICE_ROUTERS", NULL, KNOB_U64, "1", 1, 256, AT(routers),
         "how many routers must acknowledge a change before Postgres may forget it"},
        {"SLUICE_WINDOW_BYTES", NULL, KNOB_BYTES, "64m", 65536, (uint64_t)64 << 30,
         AT(window_bytes),
         "changes kept for routers that have not acknowledged them; when it is full, Postgres is "
         "not read"},
        {"SLUICE_BATCH_BYTES", NULL, KNOB_BYTES, "1m", 1024, (uint64_t)256 << 20, AT(batch_bytes),
         "size at which a batch of changes is sent; larger transactions travel in parts"},
        {"SLUICE_MANUAL_PUBLISHING", "ELECTRIC_MANUAL_TABLE_PUBLISHING", KNOB_BOOL, "false", 0, 0,
         AT(manual_publishing),
         "never add tables to the publication or change their replica identity: an operator does"},
        {"SLUICE_DROP_SLOT", "CLEANUP_REPLICATION_SLOTS_ON_SHUTDOWN", KNOB_BOOL, "false", 0, 0,
         AT(drop_slot),
         "drop the replication slot when a leader ends in order: every shape begins again at the "
         "next start"},
};
const size_t ingest_n_knobs = sizeof(ingest_knobs) / sizeof(ingest_knobs[0]);

struct metric ingest_metrics[INGEST_N_METRICS] = {
#define METRIC(member, type_, name_, what_)                                                        \
        [INGEST_METRIC_##member] = {.name = name_, .type = METRIC_##type_, .what = what_},
        INGEST_METRICS(METRIC)
#undef METRIC
};
