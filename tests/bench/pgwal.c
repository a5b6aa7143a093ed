#include "tests/bench/pgwal.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"

enum {
        ID_COLUMN = 0,
        PAYLOAD_COLUMN = 3,
        PENDING_MAX = sizeof(((struct pgwal *)0)->pending) / sizeof(((struct pgwal *)0)->pending[0])
};

/* A bounds-checked reader; running off the end fails the run. */
struct in {
        const char *p, *end;
};

static const char *take(struct in *in, size_t n)
{
        if ((size_t)(in->end - in->p) < n)
                fail("bare reader: truncated pgoutput message");
        const char *p = in->p;
        in->p += n;
        return p;
}

static uint64_t take_number(struct in *in, size_t bytes)
{
        const unsigned char *p = (const unsigned char *)take(in, bytes);
        uint64_t v = 0;
        for (size_t i = 0; i < bytes; i++)
                v = v << 8 | p[i];
        return v;
}

static uint64_t leading_digits(const char *p, size_t n)
{
        uint64_t v = 0;
        for (size_t i = 0; i < n && p[i] >= '0' && p[i] <= '9'; i++)
                v = v * 10 + (uint64_t)(p[i] - '0');
        return v;
}

/* Insert: relation oid, 'N', column count, then per column a kind and, for text, a length and the
 * bytes. */
static void on_insert(struct pgwal *w, struct in *in)
{
        uint64_t id = 0, stamp = 0;
        take(in, 4 + 1);
        uint64_t columns = take_number(in, 2);
        for (uint64_t i = 0; i < columns; i++) {
                if (*take(in, 1) != 't')
                        continue;
                size_t len = (size_t)take_number(in, 4);
                const char *text = take(in, len);
                if (i == ID_COLUMN)
                        id = leading_digits(text, len);
                else if (i == PAYLOAD_COLUMN)
                        stamp = leading_digits(text, len);
        }
        if (w->pending_count == PENDING_MAX)
                fail("bare reader: a transaction of more than %d rows", PENDING_MAX);
        w->pending[w->pending_count].id = id;
        w->pending[w->pending_count++].stamp_ns = stamp;
}

static void send_status(struct pgwal *w)
{
        char m[34] = {'r'};
        uint64_t lsn = htobe64(w->received_lsn);
        for (int i = 0; i < 3; i++)
                memcpy(m + 1 + 8 * i, &lsn, 8);
        if (PQputCopyData(w->conn, m, sizeof m) != 1 || PQflush(w->conn) < 0)
                fail("bare reader: %s", PQerrorMessage(w->conn));
}

static void on_message(struct pgwal *w, struct in in)
{
        char kind = *take(&in, 1);
        if (kind == 'k') {
                uint64_t end = take_number(&in, 8);
                if (end > w->received_lsn)
                        w->received_lsn = end;
                take(&in, 8);
                if (*take(&in, 1))
                        send_status(w);
                return;
        }
        if (kind != 'w')
                return;
        uint64_t start = take_number(&in, 8);
        take(&in, 16);
        if (start > w->received_lsn)
                w->received_lsn = start;
        kind = *take(&in, 1);
        if (kind == 'I') {
                on_insert(w, &in);
        } else if (kind == 'C') {
                for (int i = 0; i < w->pending_count; i++)
                        w->on_row(w->arg, w->pending[i].id, w->pending[i].stamp_ns);
                w->pending_count = 0;
        }
}

static void on_ready(void *arg, uint32_t events)
{
        (void)events;
        struct pgwal *w = arg;
        char *bytes;
        int n;
        if (!PQconsumeInput(w->conn))
                fail("bare reader: %s", PQerrorMessage(w->conn));
        while ((n = PQgetCopyData(w->conn, &bytes, 1)) > 0) {
                on_message(w, (struct in){bytes, bytes + n});
                PQfreemem(bytes);
        }
        if (n < 0)
                fail("bare reader: replication ended: %s", PQerrorMessage(w->conn));
}

static PGconn *connect_replication(const char *url)
{
        const char *keys[] = {"dbname", "replication", "application_name", NULL};
        const char *values[] = {url, "database", "sluice-bench", NULL};
        PGconn *conn = PQconnectdbParams(keys, values, 1);
        if (PQstatus(conn) != CONNECTION_OK)
                fail("bare reader: %s", PQerrorMessage(conn));
        return conn;
}

static void command(PGconn *conn, const char *sql, ExecStatusType wanted)
{
        PGresult *res = PQexec(conn, sql);
        if (PQresultStatus(res) != wanted)
                fail("bare reader: %s: %s", sql, PQresultErrorMessage(res));
        PQclear(res);
}

struct pgwal *pgwal_open(struct net *n, const char *url, const char *run,
                         void (*on_row)(void *arg, uint64_t id, uint64_t stamp_ns), void *arg)
{
        char sql[512];
        struct pgwal *w = mem_new(struct pgwal);
        w->net = n;
        w->on_row = on_row;
        w->arg = arg;
        w->conn = connect_replication(url);
        snprintf(sql, sizeof sql,
                 "CREATE_REPLICATION_SLOT %s_wal TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT",
                 run);
        command(w->conn, sql, PGRES_TUPLES_OK);
        snprintf(sql, sizeof sql,
                 "START_REPLICATION SLOT %s_wal LOGICAL 0/0 (proto_version '1', publication_names "
                 "'%s')",
                 run, run);
        command(w->conn, sql, PGRES_COPY_BOTH);
        PQsetnonblocking(w->conn, 1);
        w->source = (struct net_source){.fd = PQsocket(w->conn), .on_ready = on_ready, .arg = w};
        net_add(n, &w->source, EPOLLIN);
        return w;
}

void pgwal_close(struct pgwal *w)
{
        net_remove(w->net, &w->source);
        PQfinish(w->conn);
        mem_free(w);
}
