#include "services/ingest/setup.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "services/ingest/feedback.h"

enum {
        LOCK_RETRY_MS = 200,
        SLOT_RETRY_MS = 50,
        SLOT_STALE_MS = 1000, /* how long a slot may stay in use by a connection that is ending */
        SLOT_BUSY_MS = 5000,
        LOCK_STALE_MS = 5000,   /* likewise the lock, when nothing is done with it */
        SLOT_PATIENCE_MS = 5000 /* after that, say what creating the slot waits for */
};

#define APPLICATION_NAME "sluice-ingest"

const char *setup_waiting_text(bool had_lock)
{
        return had_lock ? "Timeout waiting for replication client to be ready. Check that you "
                          "don't have pending transactions in the database. Electric has to wait "
                          "for all pending transactions to commit or rollback before it can create "
                          "the replication slot."
                        : "Timeout waiting for Postgres lock acquisition";
}

/* ---- results of a step */

static int fail(struct setup *s, enum pg_failure failure, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int fail(struct setup *s, enum pg_failure failure, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(s->why, sizeof(s->why), fmt, ap);
        va_end(ap);
        s->failure = failure;
        return ERR_DB;
}

/* ---- waiting without being deaf to cancel_fd */

/* 0 when `fd` (or -1: none) is ready or the time is over; ERR_CANCELLED. */
static int wait_for(struct setup *s, int fd, short events, int timeout_ms)
{
        struct pollfd p[2] = {{.fd = s->cancel_fd, .events = POLLIN}, {.fd = fd, .events = events}};
        int rc;
        do
                rc = poll(p, 2, timeout_ms);
        while (rc < 0 && errno == EINTR);
        SLUICE_ASSERT(rc >= 0);
        return p[0].revents ? ERR_CANCELLED : 0;
}

struct patience {
        uint64_t every_ms; /* 0: never */
        void (*each)(struct setup *s);
};

/* The last result of the statement, or NULL and *err. */
static PGresult *run_patiently(struct setup *s, const char *sql, struct patience patience, int *err)
{
        PGresult *last = NULL;
        *err = PQsendQuery(s->conn, sql) ? 0 : fail(s, PG_FAIL_RETRY, "%s", "connection lost");
        while (!*err) {
                uint64_t since = clock_mono_ms();
                while (!*err && PQisBusy(s->conn)) {
                        int timeout = patience.every_ms ? (int)patience.every_ms : -1;
                        *err = wait_for(s, PQsocket(s->conn), POLLIN, timeout);
                        if (!*err && !PQconsumeInput(s->conn))
                                break; /* the result tells */
                        if (patience.every_ms && clock_mono_ms() - since >= patience.every_ms) {
                                patience.each(s);
                                since = clock_mono_ms();
                        }
                }
                PGresult *next = *err ? NULL : PQgetResult(s->conn);
                if (!next)
                        break;
                PQclear(last);
                last = next;
                if (PQresultStatus(last) == PGRES_COPY_BOTH)
                        break;
        }
        if (*err) {
                PQclear(last);
                return NULL;
        }
        if (!last)
                *err = fail(s, PG_FAIL_RETRY, "connection lost");
        return last;
}

static bool is_ok(const PGresult *res)
{
        ExecStatusType status = PQresultStatus(res);
        return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_BOTH;
}

/* Like pg_exec(), but gives up when cancelled. On ERR_DB s->why has the error, and `state` the five
 * characters of it. */
static int run(struct setup *s, const char *sql, PGresult **out, char state[6])
{
        int err;
        PGresult *res = run_patiently(s, sql, (struct patience){0}, &err);
        if (state)
                snprintf(state, 6, "%s", res ? pg_sqlstate(res) : "");
        if (res && !is_ok(res)) {
                struct buf line;
                buf_init(&line, SETUP_WHY_BYTES);
                pg_error_line(PQresultErrorMessage(res), &line);
                err = fail(s, PG_FAIL_RETRY, "%s", buf_cstr(&line));
                buf_fini(&line);
        }
        if (!err && out) {
                *out = res;
                return 0;
        }
        PQclear(res);
        return err;
}

static int run_rows(struct setup *s, const char *sql, int columns, PGresult **out)
{
        int err = run(s, sql, out, NULL);
        if (!err && (PQresultStatus(*out) != PGRES_TUPLES_OK || PQntuples(*out) < 1 ||
                     PQnfields(*out) < columns)) {
                PQclear(*out);
                return fail(s, PG_FAIL_RETRY, "unexpected answer to %.40s", sql);
        }
        return err;
}

static bool is_true(const PGresult *res, int column)
{
        return slice_eq(pg_value(res, 0, column), SLICE_LIT("t"));
}

/* ---- connect */

static int connect_as(struct setup *s, enum pg_kind kind)
{
        struct pg_options o = {.url = s->url,
                               .ca_file = s->ca_file,
                               .application_name = APPLICATION_NAME,
                               .kind = kind,
                               .connect_timeout_s = SETUP_CONNECT_TIMEOUT_S};
        struct buf why;
        buf_init(&why, SETUP_WHY_BYTES);
        enum pg_failure failure = PG_FAIL_RETRY;
        int err = pg_connect(&o, &s->conn, &failure, &why);
        bool role = strstr(buf_cstr(&why), "walsender") || strstr(buf_cstr(&why), "WAL sender");
        if (err)
                err = fail(s, failure, "%s%s", buf_cstr(&why),
                           role ? " (mend it with: ALTER ROLE … REPLICATION)" : "");
        buf_fini(&why);
        return err;
}

static int connect_server(struct setup *s)
{
        return connect_as(s, PG_REPLICATION);
}

/* A server that cannot tell that we died would keep our lock while it waits for something: let it
 * look. Not every platform can, and nothing else depends on it. */
static int session_settings(struct setup *s)
{
        int err = run(s, "SET client_connection_check_interval = 2000", NULL, NULL);
        if (err == ERR_CANCELLED)
                return err;
        return run(s, "SET idle_session_timeout = 0", NULL, NULL);
}

/* ---- check server */

static int identify(struct setup *s)
{
        PGresult *res;
        int err = run_rows(s, "IDENTIFY_SYSTEM", 2, &res);
        if (err)
                return err;
        uint64_t timeline = 0;
        bool ok = !slice_parse_u64(pg_value(res, 0, 0), &s->term.system_id) &&
                  !slice_parse_u64(pg_value(res, 0, 1), &timeline);
        PQclear(res);
        s->term.timeline = (uint32_t)timeline;
        return ok ? 0 : fail(s, PG_FAIL_RETRY, "unexpected answer to IDENTIFY_SYSTEM");
}

static int check_server(struct setup *s)
{
        int err = session_settings(s);
        if (!err)
                err = identify(s);
        if (err)
                return err;
        if (PQserverVersion(s->conn) < 140000)
                return fail(s, PG_FAIL_FATAL, "Postgres 14 or later is needed, the server is %d",
                            PQserverVersion(s->conn) / 10000);
        PGresult *res;
        err = run_rows(s,
                       "SELECT pg_catalog.current_setting('wal_level'),"
                       " pg_catalog.pg_is_in_recovery(), (SELECT setting FROM"
                       " pg_catalog.pg_settings WHERE name = 'wal_sender_timeout')",
                       3, &res);
        if (err)
                return err;
        if (is_true(res, 1))
                err = fail(s, s->was_primary ? PG_FAIL_RETRY : PG_FAIL_FATAL,
                           "the server is a standby; DATABASE_URL must name the primary");
        else if (!slice_eq(pg_value(res, 0, 0), SLICE_LIT("logical")))
                err = fail(s, PG_FAIL_FATAL,
                           "wal_level is %s and must be logical (mend it with: ALTER SYSTEM SET "
                           "wal_level = logical, and restart Postgres)",
                           PQgetvalue(res, 0, 0));
        else if (slice_parse_u64(pg_value(res, 0, 2), &s->wal_sender_timeout_ms))
                s->wal_sender_timeout_ms = 60000;
        s->was_primary |= err == 0;
        PQclear(res);
        return err;
}

/* ---- lock */

static int end_backend(struct setup *s, uint64_t pid, const char *what)
{
        char sql[128];
        snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_terminate_backend(%u)", (unsigned)pid);
        log_warning("stale_connection_ended",
                    "process %u of Postgres serves an ingest that is gone and holds %s: ended",
                    (unsigned)pid, what);
        return run(s, sql, NULL, NULL);
}

/* A leader streams, or a statement of its setup runs. A connection that holds the lock, has done
 * nothing for a while and does not use the slot belongs to an ingest that is gone, though the
 * server does not know it (protocol §7.2). */
static int end_stale_holder(struct setup *s)
{
        char sql[1024];
        snprintf(sql, sizeof(sql),
                 "SELECT a.pid::text FROM pg_catalog.pg_locks l"
                 " JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
                 " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
                 " AND l.database = (SELECT oid FROM pg_catalog.pg_database"
                 "  WHERE datname = pg_catalog.current_database())"
                 " AND (l.classid::int8 << 32 | l.objid::int8) = hashtext('%s')::int8"
                 " AND a.state = 'idle' AND a.usename = current_user"
                 " AND a.application_name = '" APPLICATION_NAME "'"
                 " AND a.state_change < pg_catalog.clock_timestamp() - interval '%d ms'"
                 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots"
                 "  WHERE slot_name = '%s' AND active)",
                 s->names.slot, LOCK_STALE_MS, s->names.slot);
        PGresult *res;
        uint64_t pid = 0;
        int err = run(s, sql, &res, NULL);
        if (err)
                return err;
        bool stale = PQntuples(res) > 0 && slice_parse_u64(pg_value(res, 0, 0), &pid) == 0;
        PQclear(res);
        return stale ? end_backend(s, pid, "the leader's lock") : 0;
}

static int try_lock(struct setup *s, bool *got)
{
        char sql[256];
        PGresult *res;
        snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_try_advisory_lock(hashtext('%s'))",
                 s->names.slot);
        int err = run_rows(s, sql, 1, &res);
        if (err)
                return err;
        *got = is_true(res, 0);
        PQclear(res);
        return 0;
}

static int take_lock(struct setup *s)
{
        bool waiting = false;
        uint64_t looked_ms = clock_mono_ms();
        for (;;) {
                bool got;
                int err = try_lock(s, &got);
                if (err)
                        return err;
                if (got) {
                        s->had_lock = true;
                        svc_set_state(SVC_STARTING, setup_waiting_text(true));
                        if (waiting)
                                log_info("leader", "the other ingest has gone: taking over");
                        return 0;
                }
                if (!waiting) {
                        svc_set_state(SVC_WAITING, setup_waiting_text(false));
                        log_info("standby", "another ingest holds the lock of %s: standing by",
                                 s->names.slot);
                        waiting = true;
                }
                err = wait_for(s, -1, 0, LOCK_RETRY_MS);
                if (!err && clock_mono_ms() - looked_ms >= LOCK_STALE_MS) {
                        looked_ms = clock_mono_ms();
                        err = end_stale_holder(s);
                }
                if (err)
                        return err;
        }
}

/* ---- publication */

/* It exists: does it publish what we need, and if not, may we change it? */
static int check_publication(struct setup *s)
{
        char sql[512];
        snprintf(sql, sizeof(sql),
                 "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate,"
                 " pg_catalog.pg_has_role(pubowner, 'USAGE')"
                 " FROM pg_catalog.pg_publication WHERE pubname = '%s'",
                 s->names.publication);
        PGresult *res;
        int err = run_rows(s, sql, 2, &res);
        if (err)
                return err;
        bool complete = is_true(res, 0), ours = is_true(res, 1);
        PQclear(res);
        if (complete)
                return 0;
        struct buf repair;
        buf_init(&repair, sizeof(sql));
        publication_sql_repair(&repair, s->names.publication);
        err = ours ? run(s, buf_cstr(&repair), NULL, NULL)
                   : fail(s, PG_FAIL_FATAL,
                          "publication %s does not publish insert, update, delete and truncate, "
                          "and "
                          "belongs to another role (mend it with: %s)",
                          s->names.publication, buf_cstr(&repair));
        buf_fini(&repair);
        return err;
}

static int find_publication(struct setup *s, bool *found)
{
        char sql[256];
        snprintf(sql, sizeof(sql),
                 "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_publication WHERE pubname = "
                 "'%s'",
                 s->names.publication);
        PGresult *res;
        int err = run_rows(s, sql, 1, &res);
        if (err)
                return err;
        *found = is_true(res, 0);
        PQclear(res);
        return 0;
}

static int create_publication(struct setup *s)
{
        char state[6];
        struct buf sql;
        buf_init(&sql, 512);
        publication_sql_create(&sql, s->names.publication, PQserverVersion(s->conn));
        int err = run(s, buf_cstr(&sql), NULL, state);
        buf_fini(&sql);
        if (err == ERR_DB && strcmp(state, "42501") == 0) {
                char reason[SETUP_WHY_BYTES];
                snprintf(reason, sizeof(reason), "%s", s->why);
                return fail(s, PG_FAIL_FATAL,
                            "cannot create publication %s: %s (mend it with: GRANT CREATE ON "
                            "DATABASE, or create it yourself)",
                            s->names.publication, reason);
        }
        return err;
}

/* A publication made anew publishes nothing of what an old slot still has to tell (protocol §7.2).
 */
static int make_publication(struct setup *s)
{
        bool found = false;
        int err = find_publication(s, &found);
        if (err)
                return err;
        if (found)
                return check_publication(s);
        err = create_publication(s);
        if (!err) {
                s->drop_slot = true;
                log_info("publication_created", "publication %s was created", s->names.publication);
        }
        return err;
}

/* ---- slot */

struct slot {
        bool exists, active, lost;
        bool stale; /* active for a connection of an ingest, though we hold the lock */
        uint64_t pid;
        lsn_t confirmed;
        char user[PG_NAME_BYTES]; /* application name of the connection that uses it */
};

static int check_slot_kind(struct setup *s, const PGresult *res)
{
        if (slice_eq(pg_value(res, 0, 0), SLICE_LIT("pgoutput")) && is_true(res, 1))
                return 0;
        return fail(s, PG_FAIL_FATAL,
                    "replication slot %s exists, but is not a pgoutput slot of this database (mend "
                    "it with: another SLUICE_STREAM_ID)",
                    s->names.slot);
}

static int look_at_slot(struct setup *s, struct slot *out)
{
        char sql[512];
        snprintf(sql, sizeof(sql),
                 "SELECT plugin, database = pg_catalog.current_database(), active,"
                 " wal_status IS NOT DISTINCT FROM 'lost', confirmed_flush_lsn,"
                 " coalesce(active_pid, 0)::text, application_name,"
                 " application_name = '" APPLICATION_NAME "' AND usename = current_user"
                 " FROM pg_catalog.pg_replication_slots"
                 " LEFT JOIN pg_catalog.pg_stat_activity ON pid = active_pid"
                 " WHERE slot_name = '%s'",
                 s->names.slot);
        PGresult *res;
        int err = run(s, sql, &res, NULL);
        if (err)
                return err;
        *out = (struct slot){.exists = PQntuples(res) > 0};
        if (out->exists) {
                err = check_slot_kind(s, res);
                out->active = is_true(res, 2);
                out->lost = is_true(res, 3);
                (void)lsn_parse(pg_value(res, 0, 4), &out->confirmed);
                (void)slice_parse_u64(pg_value(res, 0, 5), &out->pid);
                snprintf(out->user, sizeof(out->user), "%s", PQgetvalue(res, 0, 6));
                out->stale = is_true(res, 7);
        }
        PQclear(res);
        return err;
}

/* The last leader's connection may need a moment to let go of it. One that does not is not a
 * leader's any more: we hold the lock. */
static int wait_for_slot(struct setup *s, struct slot *out)
{
        uint64_t since = clock_mono_ms(), ended = 0;
        for (;;) {
                int err = look_at_slot(s, out);
                if (err || !out->active)
                        return err;
                uint64_t waited = clock_mono_ms() - since;
                if (waited >= SLOT_STALE_MS && out->stale && ended != out->pid) {
                        err = end_backend(s, out->pid, s->names.slot);
                        ended = out->pid;
                }
                if (!err && waited >= SLOT_BUSY_MS)
                        return fail(s, PG_FAIL_RETRY,
                                    "replication slot %s is in use by another connection, process "
                                    "%u of Postgres, application '%s'",
                                    s->names.slot, (unsigned)out->pid, out->user);
                if (err)
                        return err;
                err = wait_for(s, -1, 0, SLOT_RETRY_MS);
                if (err)
                        return err;
        }
}

static int drop_slot(struct setup *s, const char *reason)
{
        char sql[256];
        snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_drop_replication_slot('%s')",
                 s->names.slot);
        int err = run(s, sql, NULL, NULL);
        if (!err)
                log_warning("slot_dropped", "replication slot %s was dropped: %s", s->names.slot,
                            reason);
        return err;
}

/* On a connection of its own: the other one is busy creating the slot. From Postgres 16 on this is
 * the record that an idle server would write only in its own time. */
static void hasten_slot(struct setup *s)
{
        struct pg_options o = {.url = s->url,
                               .ca_file = s->ca_file,
                               .application_name = APPLICATION_NAME,
                               .connect_timeout_s = SETUP_CONNECT_TIMEOUT_S,
                               .statement_timeout_ms = SLOT_PATIENCE_MS};
        PGconn *conn;
        struct buf why;
        if (!s->complained)
                log_warning("slot_waits",
                            "creating replication slot %s waits for transactions that were running "
                            "before it; end them if it takes long",
                            s->names.slot);
        s->complained = true;
        if (PQserverVersion(s->conn) < 160000)
                return;
        buf_init(&why, SETUP_WHY_BYTES);
        if (!pg_connect(&o, &conn, NULL, &why)) {
                (void)pg_exec(conn, "SELECT pg_catalog.pg_log_standby_snapshot()", 0, NULL, NULL,
                              NULL, &why);
                PQfinish(conn);
        }
        buf_fini(&why);
}

static int create_slot(struct setup *s)
{
        char sql[256];
        int err;
        snprintf(sql, sizeof(sql),
                 "CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput NOEXPORT_SNAPSHOT",
                 s->names.slot);
        struct patience patience = {SLOT_PATIENCE_MS, hasten_slot};
        PGresult *res = run_patiently(s, sql, patience, &err);
        if (err)
                return err;
        if (!is_ok(res)) {
                struct buf line;
                buf_init(&line, SETUP_WHY_BYTES);
                pg_error_line(PQresultErrorMessage(res), &line);
                enum pg_failure failure =
                        strcmp(pg_sqlstate(res), "42501") == 0 ? PG_FAIL_FATAL : PG_FAIL_RETRY;
                err = fail(s, failure, "cannot create replication slot %s: %s", s->names.slot,
                           buf_cstr(&line));
                buf_fini(&line);
        } else {
                s->made_slot = true;
                log_info("slot_created", "replication slot %s was created", s->names.slot);
                fault_point(FAULT_INGEST_SLOT);
        }
        PQclear(res);
        return err;
}

static int make_slot(struct setup *s)
{
        struct slot slot = {0};
        fault_point(FAULT_INGEST_PUBLICATION);
        int err = wait_for_slot(s, &slot);
        if (!err && slot.exists && (s->drop_slot || slot.lost)) {
                err = drop_slot(
                        s, slot.lost ? "Postgres has removed WAL that it needs"
                                     : "its publication was made anew, or Postgres refused it");
                slot.exists = false;
        }
        if (!err && !slot.exists)
                err = create_slot(s);
        if (!err)
                err = wait_for_slot(s, &slot);
        if (!err && (!slot.exists || slot.confirmed.v == 0))
                err = fail(s, PG_FAIL_RETRY, "replication slot %s has no position", s->names.slot);
        s->drop_slot = err != 0 && s->drop_slot;
        s->term.start = feedback_position(slot.confirmed);
        return err;
}

/* ---- term */

/* The epoch: Postgres makes it grow, and forgets it only together with the database. The message
 * makes the commit wait for its flush, so that a crash cannot hand out the same xid again; the
 * timeline in front makes the epoch grow where a promoted standby had not yet heard of the last
 * one. */
static int begin_term(struct setup *s)
{
        PGresult *res;
        int err = run_rows(s,
                           "SELECT pg_catalog.pg_current_xact_id()::text,"
                           " pg_catalog.pg_logical_emit_message(true, 'sluice', 'epoch')::text",
                           1, &res);
        uint64_t xid = 0;
        if (err)
                return err;
        bool ok = !slice_parse_u64(pg_value(res, 0, 0), &xid);
        PQclear(res);
        err = ok ? run_rows(s, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text", 1, &res)
                 : fail(s, PG_FAIL_RETRY, "unexpected answer to pg_current_xact_id()");
        if (err)
                return err;
        ok = !lsn_parse(pg_value(res, 0, 0), &s->term.known);
        PQclear(res);
        s->term.epoch = (uint64_t)(s->term.timeline & 0xffff) << 48 | (xid & 0xffffffffffffULL);
        if (s->made_slot)
                s->slot_epoch = s->term.epoch;
        s->made_slot = false;
        s->term.slot_epoch = s->slot_epoch;
        return ok ? 0 : fail(s, PG_FAIL_RETRY, "unexpected answer to pg_current_wal_insert_lsn()");
}

/* ---- start */

static int start_streaming(struct setup *s)
{
        char sql[512], state[6];
        lsn_t from = feedback_flush_lsn(s->term.start);
        fault_point(FAULT_INGEST_TERM);
        snprintf(sql, sizeof(sql),
                 "START_REPLICATION SLOT \"%s\" LOGICAL %X/%X (proto_version '1', "
                 "publication_names '\"%s\"')",
                 s->names.slot, (unsigned)(from.v >> 32), (unsigned)(from.v & UINT32_MAX),
                 s->names.publication);
        PGresult *res;
        int err = run(s, sql, &res, state);
        if (err) {
                s->drop_slot = err == ERR_DB && strcmp(state, "55000") == 0 &&
                               strstr(s->why, "can no longer get changes");
                return err;
        }
        bool streams = PQresultStatus(res) == PGRES_COPY_BOTH;
        PQclear(res);
        if (!streams)
                return fail(s, PG_FAIL_RETRY, "the server does not stream");
        SLUICE_ASSERT(PQsetnonblocking(s->conn, 1) == 0);
        return 0;
}

void setup_run(struct setup *s)
{
        static int (*const steps[])(struct setup *) = {connect_server,   check_server, take_lock,
                                                       make_publication, make_slot,    begin_term,
                                                       start_streaming};
        SLUICE_ASSERT(s->conn == NULL);
        s->err = 0;
        s->had_lock = s->complained = s->made_slot = false;
        s->why[0] = '\0';
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !s->err; i++)
                s->err = steps[i](s);
        if (s->err) {
                PQfinish(s->conn);
                s->conn = NULL;
        }
}

/* A standby that waits for the lock comes first: it goes on with the slot. */
static int take_lock_again(struct setup *s)
{
        uint64_t since = clock_mono_ms();
        int waited = wait_for(s, -1, 0, 5 * LOCK_RETRY_MS);
        if (waited)
                return waited;
        for (;;) {
                bool got = false;
                int err = try_lock(s, &got);
                if (err || got)
                        return err;
                if (clock_mono_ms() - since >= 10 * LOCK_RETRY_MS)
                        return fail(s, PG_FAIL_RETRY, "another ingest has taken over");
                err = wait_for(s, -1, 0, SLOT_RETRY_MS);
                if (err)
                        return err;
        }
}

void setup_drop_slot(struct setup *s)
{
        struct slot slot = {0};
        SLUICE_ASSERT(s->conn == NULL);
        int err = connect_as(s, PG_NORMAL);
        if (!err)
                err = take_lock_again(s);
        if (!err)
                err = wait_for_slot(s, &slot);
        if (!err && slot.exists)
                err = drop_slot(s, "SLUICE_DROP_SLOT is set, and this ingest ends");
        if (err)
                log_warning("slot_left", "replication slot %s was not dropped: %s", s->names.slot,
                            err == ERR_CANCELLED ? "cancelled" : s->why);
        PQfinish(s->conn);
        s->conn = NULL;
}
