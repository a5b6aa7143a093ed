/* The door to libpq for ordinary and replication connections: connection strings, display settings,
 * errors with SQLSTATE, and text that can be shown to a person (never a password). Blocking calls
 * are for worker threads only. */
#ifndef COMMON_PG_PG_H
#define COMMON_PG_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"

enum pg_kind { PG_NORMAL, PG_REPLICATION };

/* Fatal errors will not go away by waiting; the others are tried again with backoff (protocol
 * §7.7). */
enum pg_failure { PG_FAIL_RETRY, PG_FAIL_FATAL };

struct pg_options {
        const char *url;     /* DATABASE_URL: postgres:// or postgresql:// or key=value */
        const char *ca_file; /* NULL or "": none; else the server's certificate and host name are
                                verified */
        const char *application_name;
        enum pg_kind kind;
        uint32_t connect_timeout_s;
        uint32_t statement_timeout_ms; /* 0: none */
        uint32_t lock_timeout_ms;      /* 0: none */
        /* A pooler is between us and the server, which gives each transaction any session: nothing
         * is set for the session, every transaction begins with pg_put_local_settings(). */
        bool pooled;
};

/* Refuses what Sluice cannot use (not a URL, replication= in it, sslmode=verify-* without a CA
 * file…): ERR_CONF and a line in *why. Does not connect. */
int pg_check_url(const char *url, const char *ca_file, struct buf *why);
/* Blocks up to connect_timeout_s. Applies the display settings of protocol §3.3 through start-up
 * options. On failure ERR_DB, *why has one line without the password, *failure (may be NULL) says
 * whether to try again. */
int pg_connect(const struct pg_options *o, PGconn **out, enum pg_failure *failure, struct buf *why);
/* "SET LOCAL …; " for all that a session of our own has been given by pg_connect(); nothing unless
 * `pooled`. */
void pg_put_local_settings(struct buf *out, const struct pg_options *o);
/* Ends a transaction, READ ONLY or not, that may have seen what a crash of the server would undo:
 * with synchronous_commit=off a transaction is visible before its WAL is on disk. After a success
 * all WAL before `seen` is; mostly it was already, and nothing is written. It is the same
 * transaction that saw and that waits, so no crash can have come in between, not even behind a
 * pooler. */
void pg_put_commit_durably(struct buf *out, lsn_t seen);
/* One line of the connection's or the result's error, whitespace folded, "ERROR:" prefix removed.
 */
void pg_error_line(const char *message, struct buf *out);
/* SQLSTATE, "" when unknown. Borrowed. */
const char *pg_sqlstate(const PGresult *res);
/* Runs one statement with text parameters ($1…; NULL entries are NULL). ERR_DB with *why and the
 * five characters of SQLSTATE in `state` (may be NULL), ERR_CLOSED when the connection is gone.
 * *out (may be NULL) is the caller's to PQclear. */
int pg_exec(PGconn *conn, const char *sql, int n_params, const char *const *params, PGresult **out,
            char state[6], struct buf *why);
struct slice pg_value(const PGresult *res, int row, int column); /* borrowed; empty for NULL */
/* SQL quoting: "name" and 'literal' (standard_conforming_strings). */
void pg_put_ident(struct buf *out, struct slice name);
void pg_put_literal(struct buf *out, struct slice text);

#endif
