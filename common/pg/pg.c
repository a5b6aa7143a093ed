#include "common/pg/pg.h"

#include <ctype.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/pg/kept.h"

/* ---- errors */

/* Lines that mean nothing without the statement or the source code. */
static bool is_noise(struct slice line)
{
        struct slice text = line;
        while (text.len > 0 && isspace((unsigned char)text.p[0]))
                text = slice_of(text.p + 1, text.len - 1);
        return text.len == 0 || slice_eq(text, SLICE_LIT("^")) ||
               slice_starts(text, SLICE_LIT("LINE ")) || slice_starts(text, SLICE_LIT("LOCATION:"));
}

static void put_folded(struct buf *out, struct slice text, bool *need_blank)
{
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.p[i];
                if (isspace(c) || c < 0x20) {
                        *need_blank = true;
                        continue;
                }
                if (*need_blank && out->len > 0)
                        buf_putc(out, ' ');
                *need_blank = false;
                buf_putc(out, text.p[i]);
        }
}

void pg_error_line(const char *message, struct buf *out)
{
        static const char prefix[] = "ERROR:";
        struct buf line;
        bool need_blank = false;
        if (!message)
                message = "";
        if (strncmp(message, prefix, sizeof(prefix) - 1) == 0)
                message += sizeof(prefix) - 1;
        buf_init(&line, 16 * 1024);
        while (*message) {
                struct slice one = slice_of(message, strcspn(message, "\n"));
                if (!is_noise(one))
                        put_folded(&line, one, &need_blank);
                need_blank = true;
                message += one.len + (message[one.len] == '\n');
        }
        buf_put_slice(out, line.len ? buf_slice(&line) : SLICE_LIT("unknown database error"));
        buf_fini(&line);
}

const char *pg_sqlstate(const PGresult *res)
{
        const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        return state ? state : "";
}

/* ---- statements */

static bool succeeded(const PGresult *res)
{
        switch (PQresultStatus(res)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
        case PGRES_SINGLE_TUPLE:
        case PGRES_COPY_IN:
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
                return true;
        case PGRES_EMPTY_QUERY:
        case PGRES_BAD_RESPONSE:
        case PGRES_NONFATAL_ERROR:
        case PGRES_FATAL_ERROR:
        case PGRES_PIPELINE_SYNC:
        case PGRES_PIPELINE_ABORTED:
                break;
        }
        return false;
}

static PGresult *exec_params(PGconn *conn, const char *sql, int n, const char *const *params)
{
        char name[PG_KEPT_NAME_BYTES];
        bool is_new;
        if (!pg_kept_find(conn, sql, name, &is_new))
                return PQexecParams(conn, sql, n, NULL, params, NULL, NULL, 0);
        if (is_new) {
                PGresult *res = PQprepare(conn, name, sql, n, NULL);
                if (!res || !succeeded(res))
                        return res;
                PQclear(res);
                pg_kept_add(conn, sql);
        }
        return PQexecPrepared(conn, name, n, params, NULL, NULL, 0);
}

/* Parameters need the extended protocol, which replication connections do not speak; without any
 * the simple one does for both. */
int pg_exec(PGconn *conn, const char *sql, int n_params, const char *const *params, PGresult **out,
            char state[6], struct buf *why)
{
        SLUICE_ASSERT(conn && sql && n_params >= 0 && why);
        PGresult *res =
                n_params == 0 ? PQexec(conn, sql) : exec_params(conn, sql, n_params, params);
        if (res && succeeded(res)) {
                if (out)
                        *out = res;
                else
                        PQclear(res);
                return 0;
        }
        const char *sqlstate = res ? pg_sqlstate(res) : "";
        if (state)
                memcpy(state, strlen(sqlstate) == 5 ? sqlstate : "\0\0\0\0\0", 6);
        const char *message = res ? PQresultErrorMessage(res) : "";
        pg_error_line(message[0] ? message : PQerrorMessage(conn), why);
        PQclear(res);
        return PQstatus(conn) == CONNECTION_OK ? ERR_DB : ERR_CLOSED;
}

struct slice pg_value(const PGresult *res, int row, int column)
{
        if (PQgetisnull(res, row, column))
                return SLICE_EMPTY;
        return slice_of(PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column));
}

/* ---- quoting */

static void put_quoted(struct buf *out, struct slice text, char quote)
{
        buf_putc(out, quote);
        for (size_t i = 0; i < text.len; i++) {
                if (text.p[i] == quote)
                        buf_putc(out, quote);
                buf_putc(out, text.p[i]);
        }
        buf_putc(out, quote);
}

void pg_put_ident(struct buf *out, struct slice name)
{
        put_quoted(out, name, '"');
}

void pg_put_literal(struct buf *out, struct slice text)
{
        put_quoted(out, text, '\'');
}
