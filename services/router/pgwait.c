#include "services/router/pgwait.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/pg/kept.h"
#include "common/pg/pg.h"

enum { GATHER_NS = 500000, LONG_COPY_BYTES = 64 << 10 };

int pgwait_adopt(PGconn *conn)
{
        SLUICE_ASSERT(conn != NULL);
        return PQsetnonblocking(conn, 1) == 0 ? 0 : ERR_CLOSED;
}

/* UINT64_MAX: no deadline. */
static uint64_t left_ms(const struct pgwait *w)
{
        if (w->deadline_ms == PGWAIT_NO_DEADLINE)
                return UINT64_MAX;
        uint64_t now = clock_mono_ms();
        return now < w->deadline_ms ? w->deadline_ms - now : 0;
}

static int poll_timeout_ms(const struct pgwait *w)
{
        uint64_t left = left_ms(w);
        if (w->silence_ms > 0 && w->silence_ms < left)
                left = w->silence_ms;
        if (left == UINT64_MAX)
                return -1;
        return left < INT32_MAX ? (int)left : INT32_MAX;
}

static int wait_for(PGconn *conn, const struct pgwait *w, short events)
{
        struct pollfd fds[2] = {{.fd = PQsocket(conn), .events = events},
                                {.fd = w->wake_fd, .events = POLLIN}};
        int n = poll(fds, 2, poll_timeout_ms(w));
        if (n < 0)
                return errno == EINTR ? 0 : ERR_IO;
        if (fds[1].revents)
                return ERR_CANCELLED;
        return n == 0 ? ERR_TIMEOUT : 0;
}

int pgwait_flush(PGconn *conn, const struct pgwait *w)
{
        for (;;) {
                int rc = PQflush(conn);
                if (rc <= 0)
                        return rc == 0 ? 0 : ERR_CLOSED;
                int err = wait_for(conn, w, POLLIN | POLLOUT);
                if (err)
                        return err;
                if (!PQconsumeInput(conn))
                        return ERR_CLOSED;
        }
}

int pgwait_ready(PGconn *conn, const struct pgwait *w)
{
        while (PQisBusy(conn)) {
                int err = wait_for(conn, w, POLLIN);
                if (err)
                        return err;
                /* A failure shows as an error result, which carries the server's last words. */
                if (!PQconsumeInput(conn))
                        return 0;
        }
        return 0;
}

static bool is_failure(const PGresult *res)
{
        ExecStatusType status = PQresultStatus(res);
        return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
}

int pgwait_results(PGconn *conn, const struct pgwait *w, PGresult **out)
{
        PGresult *kept = NULL;
        for (;;) {
                int err = pgwait_ready(conn, w);
                PGresult *res = err ? NULL : PQgetResult(conn);
                if (err) {
                        PQclear(kept);
                        return err;
                }
                if (!res) {
                        *out = kept;
                        return 0;
                }
                if (kept && is_failure(kept)) {
                        PQclear(res);
                        continue;
                }
                PQclear(kept);
                kept = res;
        }
}

/* Less than what a socket's buffers take while a fast server sends. */
static int let_gather(const struct pgwait *w)
{
        struct pollfd fd = {.fd = w->wake_fd, .events = POLLIN};
        struct timespec ts = {.tv_nsec = GATHER_NS};
        return ppoll(&fd, 1, &ts, NULL) > 0 ? ERR_CANCELLED : 0;
}

/* After `looks` looks into the socket that found no whole line. */
static int wait_for_line(PGconn *conn, const struct pgwait *w, int looks)
{
        if (looks == 0)
                return 0;
        if (looks == 1 && w->copied >= LONG_COPY_BYTES)
                return let_gather(w);
        return wait_for(conn, w, POLLIN);
}

int pgwait_copy_line(PGconn *conn, struct pgwait *w, char **line, size_t *len)
{
        for (int looks = 0;; looks++) {
                int n = PQgetCopyData(conn, line, 1);
                if (n > 0) {
                        *len = (size_t)n;
                        w->copied += *len;
                }
                if (n > 0 || n == -1)
                        return 0;
                if (n < 0 || PQstatus(conn) != CONNECTION_OK)
                        return ERR_CLOSED;
                int err = wait_for_line(conn, w, looks);
                if (err)
                        return err;
                /* What came before a failure is read first. */
                (void)PQconsumeInput(conn);
        }
}

static int explain(PGconn *conn, const PGresult *res, char state[6], struct buf *why)
{
        const char *message = res ? PQresultErrorMessage(res) : "";
        pg_error_line(message[0] ? message : PQerrorMessage(conn), why);
        const char *sqlstate = res ? pg_sqlstate(res) : "";
        if (state)
                memcpy(state, strlen(sqlstate) == 5 ? sqlstate : "\0\0\0\0\0", 6);
        return PQstatus(conn) == CONNECTION_OK ? ERR_DB : ERR_CLOSED;
}

/* One message and all that comes back: the last result, or the first failure. */
static int collect(PGconn *conn, const struct pgwait *w, int sent, PGresult **res)
{
        int err = sent ? pgwait_flush(conn, w) : ERR_CLOSED;
        if (!err)
                err = pgwait_results(conn, w, res);
        if (!err && !*res)
                err = ERR_CLOSED;
        if (!err && is_failure(*res))
                err = ERR_DB;
        return err;
}

static int run_with_params(PGconn *conn, const struct pgwait *w, const char *sql, int n,
                           const char *const *params, PGresult **res)
{
        char name[PG_KEPT_NAME_BYTES];
        bool is_new;
        if (!pg_kept_find(conn, sql, name, &is_new))
                return collect(conn, w,
                               PQsendQueryParams(conn, sql, n, NULL, params, NULL, NULL, 0), res);
        if (is_new) {
                int err = collect(conn, w, PQsendPrepare(conn, name, sql, n, NULL), res);
                if (err)
                        return err;
                PQclear(*res);
                *res = NULL;
                pg_kept_add(conn, sql);
        }
        return collect(conn, w, PQsendQueryPrepared(conn, name, n, params, NULL, NULL, 0), res);
}

int pgwait_exec(PGconn *conn, const struct pgwait *w, const char *sql, int n_params,
                const char *const *params, PGresult **out, char state[6], struct buf *why)
{
        SLUICE_ASSERT(conn && w && sql && n_params >= 0 && why);
        PGresult *res = NULL;
        int err = n_params == 0 ? collect(conn, w, PQsendQuery(conn, sql), &res)
                                : run_with_params(conn, w, sql, n_params, params, &res);
        if (err == ERR_DB || err == ERR_CLOSED)
                err = explain(conn, res, state, why);
        else if (err)
                buf_puts(why, err_text(err));
        if (err == 0 && out)
                *out = res;
        else
                PQclear(res);
        return err;
}

int pgwait_pause(int wake_fd, uint64_t ms)
{
        struct pgwait w = {.deadline_ms = clock_mono_ms() + ms, .wake_fd = wake_fd};
        for (;;) {
                struct pollfd fd = {.fd = wake_fd, .events = POLLIN};
                int n = poll(&fd, 1, poll_timeout_ms(&w));
                if (n > 0)
                        return ERR_CANCELLED;
                if (n == 0)
                        return 0;
                SLUICE_ASSERT(errno == EINTR);
        }
}
