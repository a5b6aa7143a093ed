/* Connection strings are judged before libpq sees them for real, because libpq's own messages
 * repeat what they could not make sense of, and that may be a piece of the password: a password
 * with an unescaped '/' or '@' is read as a host, a port or a database name. So whatever libpq says
 * about *parsing* is never shown, and what remains to be said about a connection names host, user
 * and database only.
 *
 * Poolers in the manner of pgbouncer refuse the start-up parameter `options`, which carries the
 * display settings, and give every transaction another session. What works through them is a
 * transaction that brings its own settings: snapshots and subsets. DATABASE_URL must name the
 * server itself, for replication and for statements outside of transactions.
 */
#include "common/pg/pg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/pg/kept.h"

/* ---- connection strings */

static const char *conninfo_get(const PQconninfoOption *info, const char *keyword)
{
        for (; info->keyword; info++)
                if (strcmp(info->keyword, keyword) == 0)
                        return info->val;
        return NULL;
}

static const char *after_scheme(const char *url)
{
        static const char *const schemes[] = {"postgres://", "postgresql://"};
        for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
                if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
                        return url + strlen(schemes[i]);
        return NULL;
}

/* True when '@' stands where only an unescaped password can have brought it: behind the first slash
 * or a second time, but not in the query. Like libpq, a '@' before the first slash ends the
 * credentials. */
static bool has_stray_at(const char *authority)
{
        const char *at = strchr(authority, '@');
        const char *slash = strchr(authority, '/'), *query = strchr(authority, '?');
        if (!at)
                return false;
        if (slash && slash < at)
                return !query || at < query;
        return at[1 + strcspn(at + 1, "@?")] == '@';
}

static bool is_port_list(const char *port)
{
        return !port || port[strspn(port, "0123456789,")] == '\0';
}

/* NULL, or what is wrong with `sslmode` (protocol §7.8). */
static const char *ssl_mistake(const char *sslmode, bool has_ca)
{
        static const char *const known[] = {"disable", "allow",     "prefer",
                                            "require", "verify-ca", "verify-full"};
        bool found = false;
        if (!sslmode)
                return NULL;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
                found |= strcmp(sslmode, known[i]) == 0;
        if (!found)
                return "sslmode must be disable, allow, prefer or require";
        if (strncmp(sslmode, "verify-", 7) == 0 && !has_ca)
                return "sslmode verify-ca and verify-full need SLUICE_CA_FILE, which verifies the "
                       "certificate and the host name";
        if (strcmp(sslmode, "disable") == 0 && has_ca)
                return "sslmode=disable contradicts SLUICE_CA_FILE";
        return NULL;
}

static int refuse(struct buf *why, const char *what)
{
        buf_printf(why, "DATABASE_URL: %s", what);
        return ERR_CONF;
}

static const char *const bad_url =
        "not a Postgres connection string, expected postgres://user:password@host:port/database "
        "(special characters in user or password must be percent-encoded)";

static int check_options(const PQconninfoOption *info, bool has_ca, struct buf *why)
{
        if (conninfo_get(info, "replication"))
                return refuse(why, "the replication option is not allowed, Sluice sets it itself");
        if (!is_port_list(conninfo_get(info, "port")))
                return refuse(why, bad_url);
        const char *mistake = ssl_mistake(conninfo_get(info, "sslmode"), has_ca);
        return mistake ? refuse(why, mistake) : 0;
}

/* *out (on success): PQconninfoFree. */
static int parse_url(const char *url, const char *ca_file, PQconninfoOption **out, struct buf *why)
{
        bool has_ca = ca_file && ca_file[0];
        const char *authority = after_scheme(url);
        if (url[0] == '\0')
                return refuse(why, "is empty");
        if (!authority && !strchr(url, '='))
                return refuse(why, bad_url);
        if (!authority && strstr(url, "://") && strstr(url, "://") < strchr(url, '='))
                return refuse(why, "the scheme must be postgres:// or postgresql://");
        if (authority && has_stray_at(authority))
                return refuse(why, bad_url);
        if (has_ca && access(ca_file, R_OK) != 0) {
                buf_printf(why, "SLUICE_CA_FILE: cannot read %s: %s", ca_file, strerror(errno));
                return ERR_CONF;
        }
        char *message = NULL;
        PQconninfoOption *info = PQconninfoParse(url, &message);
        PQfreemem(message);
        if (!info)
                return refuse(why, bad_url);
        int err = check_options(info, has_ca, why);
        if (err)
                PQconninfoFree(info);
        else
                *out = info;
        return err;
}

int pg_check_url(const char *url, const char *ca_file, struct buf *why)
{
        SLUICE_ASSERT(url != NULL && why != NULL);
        PQconninfoOption *info = NULL;
        int err = parse_url(url, ca_file, &info, why);
        if (!err)
                PQconninfoFree(info);
        return err;
}

/* ---- parameters of a connection */

enum { PARAMS_MAX = 96 };

struct params {
        const char *keywords[PARAMS_MAX + 1];
        const char *values[PARAMS_MAX + 1];
        size_t n;
};

/* Sets or replaces; both strings are borrowed. */
static void params_set(struct params *p, const char *keyword, const char *value)
{
        size_t i = 0;
        while (i < p->n && strcmp(p->keywords[i], keyword) != 0)
                i++;
        SLUICE_ASSERT(i < PARAMS_MAX);
        p->keywords[i] = keyword;
        p->values[i] = value;
        if (i == p->n)
                p->n++;
}

/* A dead peer is noticed within half a minute; the connection string may say otherwise. */
static const char *const transport_defaults[][2] = {
        {"keepalives", "1"},       {"keepalives_idle", "10"},     {"keepalives_interval", "5"},
        {"keepalives_count", "4"}, {"tcp_user_timeout", "30000"},
};

/* The settings that decide how values look as text (protocol §3.3), and those that the role or the
 * database may have set to something that breaks us. Without row_security a query fails where
 * policies would hide rows from it: the stream knows none, and a snapshot must not either. What we
 * commit is to be on the server's disk, whatever others are content with (pg_put_commit_durably());
 * no standby is waited for. */
static const struct {
        const char *name, *value;
} session_settings[] = {
        {"bytea_output", "hex"},       {"DateStyle", "ISO, DMY"},
        {"TimeZone", "UTC"},           {"extra_float_digits", "1"},
        {"IntervalStyle", "iso_8601"}, {"standard_conforming_strings", "on"},
        {"row_security", "off"},       {"synchronous_commit", "local"},
};

static void put_option(struct buf *out, const char *name, const char *value)
{
        buf_printf(out, "-c %s=", name);
        for (; *value; value++) {
                if (*value == ' ')
                        buf_putc(out, '\\');
                buf_putc(out, *value);
        }
        buf_putc(out, ' ');
}

static void put_session_options(struct buf *out, const struct pg_options *o, const char *given)
{
        if (given)
                buf_printf(out, "%s ", given);
        for (size_t i = 0; i < sizeof(session_settings) / sizeof(session_settings[0]); i++)
                put_option(out, session_settings[i].name, session_settings[i].value);
        buf_printf(out, "-c statement_timeout=%u -c lock_timeout=%u", o->statement_timeout_ms,
                   o->lock_timeout_ms);
}

void pg_put_local_settings(struct buf *out, const struct pg_options *o)
{
        if (!o->pooled)
                return;
        for (size_t i = 0; i < sizeof(session_settings) / sizeof(session_settings[0]); i++)
                buf_printf(out, "SET LOCAL %s = '%s'; ", session_settings[i].name,
                           session_settings[i].value);
        buf_printf(out, "SET LOCAL statement_timeout = %u; SET LOCAL lock_timeout = %u; ",
                   o->statement_timeout_ms, o->lock_timeout_ms);
}

void pg_put_commit_durably(struct buf *out, lsn_t seen)
{
        buf_printf(out,
                   "SELECT CASE WHEN pg_catalog.pg_current_wal_flush_lsn() < '%X/%X' THEN "
                   "pg_catalog.pg_logical_emit_message(true, 'sluice', 'snapshot') END; COMMIT",
                   (unsigned)(seen.v >> 32), (unsigned)(seen.v & UINT32_MAX));
}

static void fill_params(struct params *p, const struct pg_options *o, const PQconninfoOption *info,
                        const char *session_options)
{
        for (size_t i = 0; i < sizeof(transport_defaults) / sizeof(transport_defaults[0]); i++)
                params_set(p, transport_defaults[i][0], transport_defaults[i][1]);
        params_set(p, "sslmode", "prefer");
        for (; info->keyword; info++)
                if (info->val)
                        params_set(p, info->keyword, info->val);
        if (!o->pooled)
                params_set(p, "options", session_options);
        params_set(p, "client_encoding", "UTF8");
        if (o->application_name)
                params_set(p, "application_name", o->application_name);
        if (o->ca_file && o->ca_file[0]) {
                params_set(p, "sslmode", "verify-full");
                params_set(p, "sslrootcert", o->ca_file);
        }
        if (o->kind == PG_REPLICATION)
                params_set(p, "replication", "database");
}

/* ---- failures of a connection */

/* With verbose errors a server's refusal reads "FATAL:  28P01: text". The state at `p` or NULL. */
static const char *next_sqlstate(const char *p)
{
        while ((p = strstr(p, ":  "))) {
                size_t len = strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
                if (len == 5 && strncmp(p + 8, ": ", 2) == 0)
                        return p + 3;
                p += 3;
        }
        return NULL;
}

struct verdict {
        const char *sign;
        enum pg_failure failure;
};

/* Protocol §7.7. By the beginning of SQLSTATE. */
static const struct verdict state_verdicts[] = {
        {"28", PG_FAIL_FATAL},    /* authentication, pg_hba.conf, role */
        {"3D000", PG_FAIL_FATAL}, /* unknown database */
        {"42", PG_FAIL_FATAL},    /* 42501: no REPLICATION privilege; 42704: unknown setting */
        {"22", PG_FAIL_FATAL},    /* a setting's value is refused */
        {"08P01", PG_FAIL_FATAL}, /* a pooler that refuses our start-up parameters */
        {"0A", PG_FAIL_FATAL},    /* protocol or feature not supported */
        {"", PG_FAIL_RETRY},      /* 53300 57P01 57P03 55006 … */
};

/* What libpq or the system says when there was no server to speak; the first that occurs decides.
 */
static const struct verdict text_verdicts[] = {
        {"Temporary failure in name resolution", PG_FAIL_RETRY},
        {"could not translate host name", PG_FAIL_FATAL},
        {"does not support SSL, but SSL was required", PG_FAIL_FATAL},
        {"certificate verify failed", PG_FAIL_FATAL},
        {"does not match host name", PG_FAIL_FATAL},
        {"root certificate file", PG_FAIL_FATAL},
        {"certificate present, but not private key", PG_FAIL_FATAL},
        {"could not read certificate file", PG_FAIL_FATAL},
        {"no password supplied", PG_FAIL_FATAL},
        {"authentication method", PG_FAIL_FATAL},
        {"SCRAM", PG_FAIL_FATAL},
        {"invalid ", PG_FAIL_FATAL},
        {"", PG_FAIL_RETRY},
};

static enum pg_failure judge(const char *message)
{
        const char *state = NULL, *next = message;
        while ((next = next_sqlstate(next)))
                state = next; /* the last host or the last ssl mode tried has the last word */
        if (state) {
                const struct verdict *v = state_verdicts;
                while (strncmp(state, v->sign, strlen(v->sign)) != 0)
                        v++;
                return v->failure;
        }
        const struct verdict *v = text_verdicts;
        while (!strstr(message, v->sign))
                v++;
        return v->failure;
}

/* Appends the message without the SQLSTATEs that verbosity brought. */
static void put_without_states(struct buf *out, const char *message)
{
        const char *state;
        while ((state = next_sqlstate(message))) {
                buf_put(out, message, (size_t)(state - message));
                message = state + 7;
        }
        buf_puts(out, message);
}

static void explain_connection(const char *message, struct buf *why)
{
        struct buf plain;
        buf_init(&plain, 16 * 1024);
        put_without_states(&plain, message);
        pg_error_line(buf_cstr(&plain), why);
        buf_fini(&plain);
}

/* ---- connecting */

static void ignore_notice(void *unused, const PGresult *res)
{
        (void)unused;
        (void)res;
}

/* Waits until libpq can go on. ERR_TIMEOUT, ERR_IO. */
static int wait_socket(PGconn *conn, PostgresPollingStatusType wants, uint64_t deadline_us)
{
        struct pollfd p = {.fd = PQsocket(conn),
                           .events = wants == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        for (;;) {
                uint64_t now = clock_mono_us();
                if (now >= deadline_us)
                        return ERR_TIMEOUT;
                int rc = poll(&p, 1, (int)((deadline_us - now + 999) / 1000));
                if (rc > 0)
                        return 0;
                if (rc < 0 && errno != EINTR)
                        return ERR_IO;
        }
}

/* Not PQconnectdbParams(): verbosity must be set before the first answer, so that a refusal has its
 * SQLSTATE; its text alone depends on the server's language. */
static int finish_connecting(PGconn *conn, uint32_t timeout_s)
{
        uint64_t deadline_us = clock_mono_us() + (uint64_t)timeout_s * 1000000;
        PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
        if (PQstatus(conn) == CONNECTION_BAD)
                return ERR_DB;
        PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
        while (wants == PGRES_POLLING_READING || wants == PGRES_POLLING_WRITING) {
                int err = wait_socket(conn, wants, deadline_us);
                if (err)
                        return err;
                wants = PQconnectPoll(conn);
        }
        PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
        return wants == PGRES_POLLING_OK ? 0 : ERR_DB;
}

static PGconn *start_connecting(const struct pg_options *o, const PQconninfoOption *info)
{
        struct params params = {.n = 0};
        struct buf session_options;
        buf_init(&session_options, 16 * 1024);
        put_session_options(&session_options, o, conninfo_get(info, "options"));
        fill_params(&params, o, info, buf_cstr(&session_options));
        PGconn *conn = PQconnectStartParams(params.keywords, params.values, 0);
        SLUICE_ASSERT(conn != NULL); /* NULL: out of memory */
        buf_fini(&session_options);
        return conn;
}

int pg_connect(const struct pg_options *o, PGconn **out, enum pg_failure *failure, struct buf *why)
{
        SLUICE_ASSERT(o && o->url && out && why && o->connect_timeout_s > 0);
        PQconninfoOption *info = NULL;
        enum pg_failure verdict = PG_FAIL_FATAL;
        int err = parse_url(o->url, o->ca_file, &info, why);
        if (err) {
                if (failure)
                        *failure = verdict;
                return ERR_DB;
        }
        PGconn *conn = start_connecting(o, info);
        PQconninfoFree(info);
        PQsetNoticeReceiver(conn, ignore_notice, NULL);
        err = finish_connecting(conn, o->connect_timeout_s);
        if (!err) {
                if (o->kind == PG_NORMAL && !o->pooled)
                        pg_kept_begin(conn);
                *out = conn;
                return 0;
        }
        if (err == ERR_DB) {
                verdict = judge(PQerrorMessage(conn));
                explain_connection(PQerrorMessage(conn), why);
        } else {
                verdict = PG_FAIL_RETRY;
                buf_printf(why, "no connection to the database within %u s", o->connect_timeout_s);
        }
        PQfinish(conn);
        if (failure)
                *failure = verdict;
        return ERR_DB;
}
