/* Statements that cannot hold a worker for ever: each ends with its result, at a deadline, or when
 * somebody wants the worker back, whatever the server does. One thread. */
#ifndef SERVICES_ROUTER_PGWAIT_H
#define SERVICES_ROUTER_PGWAIT_H

#include <libpq-fe.h>
#include <stdint.h>

#include "common/base/buf.h"

enum { PGWAIT_NO_DEADLINE = 0, PGWAIT_NO_FD = -1 };

struct pgwait {
        uint64_t deadline_ms; /* by clock_mono_ms(); PGWAIT_NO_DEADLINE: none */
        uint64_t silence_ms;  /* the server may send nothing for so long; 0: for ever */
        int wake_fd;          /* readable: give up with ERR_CANCELLED; PGWAIT_NO_FD: none */
        size_t copied;        /* bytes that pgwait_copy_line() has given with it */
};

/* Puts a fresh connection into the mode that the other functions need. */
int pgwait_adopt(PGconn *conn);

/* Runs SQL: without parameters several statements are allowed, and *out is the result of the last.
 * 0, with *out (may be NULL) the caller's to PQclear. ERR_DB: *why has a line and `state` (may be
 * NULL) the SQLSTATE; the connection can be used again. ERR_TIMEOUT, ERR_CANCELLED, ERR_CLOSED: it
 * cannot. */
int pgwait_exec(PGconn *conn, const struct pgwait *w, const char *sql, int n_params,
                const char *const *params, PGresult **out, char state[6], struct buf *why);

/* Sends what PQsendQuery() and kin have left in the buffer. 0, ERR_TIMEOUT, ERR_CANCELLED,
 * ERR_CLOSED. */
int pgwait_flush(PGconn *conn, const struct pgwait *w);
/* Waits until PQgetResult() will not block. 0, ERR_TIMEOUT, ERR_CANCELLED, ERR_CLOSED. */
int pgwait_ready(PGconn *conn, const struct pgwait *w);
/* Waits for all results of what was sent: *out is the first failure, else the last one, the
 * caller's to PQclear, NULL if there was none. 0, whatever the results say, or as pgwait_ready().
 */
int pgwait_results(PGconn *conn, const struct pgwait *w, PGresult **out);
/* The next line of a COPY to us: *line is the caller's to PQfreemem, or NULL when there are no
 * more: then pgwait_results() says how it ended. 0, ERR_TIMEOUT, ERR_CANCELLED, ERR_CLOSED. In a
 * COPY that turns out to be long it lets lines gather: being woken for each 8 KB that the server
 * sends costs both sides more than the lines do. */
int pgwait_copy_line(PGconn *conn, struct pgwait *w, char **line, size_t *len);

/* Lets `ms` pass. 0, or ERR_CANCELLED as soon as wake_fd is readable. */
int pgwait_pause(int wake_fd, uint64_t ms);

#endif
