#include "services/ingest/lineage.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/pg/partition.h"
#include "common/pg/pg.h"

enum {
        CONNECT_TIMEOUT_S = 5,
        STATEMENT_TIMEOUT_MS = 10000,
        WHY_MAX_BYTES = 1024,
        POLL_MS = 2 /* Postgres offers no way to wait for another session's transaction to end */
};

struct question {
        uint32_t oid, xid;
        uint64_t ticket; /* 0: none */
};

struct lineage {
        struct loop *loop;
        const char *url, *ca_file; /* borrowed */
        lineage_callback *cb;
        void *arg;
        bool closed; /* the loop's */
        pthread_t worker;
        /* under the lock */
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct question next;
        bool stopping;
        /* the worker's */
        PGconn *conn;
        struct buf why;
};

/* The answer on its way to the loop. */
struct delivery {
        struct lineage *lineage;
        struct lineage_answer answer;
        char why[WHY_MAX_BYTES];
        struct change_ancestor ancestors[CHANGE_MAX_ANCESTORS];
};

/* The answer counts when the transaction $2, which described the relation, is seen, or has not
 * changed what the relation is part of: to do that takes an ACCESS EXCLUSIVE lock on it. Snapshot
 * and locks are read one after the other, so a transaction whose own lock is gone has ended between
 * the two: ask again. In one statement, hence one snapshot for `settled` and the ancestors, if any.
 */
static const char sql_ancestors[] =
        "WITH RECURSIVE up(depth, child, parent) AS ("
        "SELECT 1, p.child, p.parent FROM " PG_PARTITIONS " p WHERE p.child = $1::pg_catalog.oid"
        " UNION ALL SELECT u.depth + 1, p.child, p.parent FROM up u JOIN " PG_PARTITIONS
        " p ON p.child = u.parent),"
        " seen(it) AS (SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_snapshot_xip(now) x"
        "  WHERE x::text::int8 % 4294967296 = $2::int8)"
        "  AND ($2::int8 - pg_catalog.pg_snapshot_xmax(now)::text::int8 % 4294967296 + 4294967296)"
        "  % 4294967296 >= 2147483648"
        "  FROM (SELECT pg_catalog.pg_current_snapshot() AS now) n),"
        " locks AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks WHERE granted)"
        " SELECT s.settled, u.parent, " PG_PARTITION_FACTS
        " FROM (SELECT CASE WHEN it THEN true ELSE EXISTS (SELECT FROM locks x"
        "  WHERE x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'"
        "  AND x.transactionid::text::int8 = $2::int8 AND NOT EXISTS (SELECT FROM locks r"
        "  WHERE r.locktype = 'relation' AND r.mode = 'AccessExclusiveLock'"
        "  AND r.relation = $1::pg_catalog.oid AND r.virtualtransaction = x.virtualtransaction"
        "  AND r.database = (SELECT oid FROM pg_catalog.pg_database"
        "   WHERE datname = pg_catalog.current_database()))) END AS settled FROM seen) s"
        " LEFT JOIN up u ON true LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = u.child"
        " AND i.inhparent = u.parent ORDER BY u.depth";
enum field { F_SETTLED, F_PARENT, F_SINCE, F_BORN };

/* ---- asking */

static int connect_if_needed(struct lineage *l)
{
        if (l->conn && PQstatus(l->conn) == CONNECTION_OK)
                return 0;
        PQfinish(l->conn);
        l->conn = NULL;
        struct pg_options o = {.url = l->url,
                               .ca_file = l->ca_file,
                               .application_name = "sluice-ingest-lineage",
                               .connect_timeout_s = CONNECT_TIMEOUT_S,
                               .statement_timeout_ms = STATEMENT_TIMEOUT_MS};
        return pg_connect(&o, &l->conn, NULL, &l->why);
}

static uint32_t number_at(const PGresult *res, int row, enum field f)
{
        return (uint32_t)strtoul(PQgetvalue(res, row, (int)f), NULL, 10);
}

static bool flag_at(const PGresult *res, int row, enum field f)
{
        return PQgetvalue(res, row, (int)f)[0] == 't';
}

static int read_answer(struct lineage *l, const PGresult *res, struct delivery *d)
{
        SLUICE_ASSERT(PQntuples(res) >= 1);
        if (!flag_at(res, 0, F_SETTLED))
                return ERR_AGAIN;
        if (PQntuples(res) > CHANGE_MAX_ANCESTORS) {
                buf_printf(&l->why, "partitions are nested deeper than %d", CHANGE_MAX_ANCESTORS);
                return ERR_LIMIT;
        }
        if (PQgetisnull(res, 0, F_PARENT))
                return 0;
        d->answer.n_ancestors = (uint32_t)PQntuples(res);
        for (int i = 0; i < PQntuples(res); i++)
                d->ancestors[i] = (struct change_ancestor){.oid = number_at(res, i, F_PARENT),
                                                           .since = number_at(res, i, F_SINCE),
                                                           .born = flag_at(res, i, F_BORN)};
        return 0;
}

static int ask_once(struct lineage *l, const struct question *q, struct delivery *d)
{
        char oid[16], xid[16];
        snprintf(oid, sizeof(oid), "%" PRIu32, q->oid);
        snprintf(xid, sizeof(xid), "%" PRIu32, q->xid);
        const char *params[] = {oid, xid};
        PGresult *res;
        buf_reset(&l->why);
        int err = connect_if_needed(l);
        if (!err)
                err = pg_exec(l->conn, sql_ancestors, 2, params, &res, NULL, &l->why);
        if (err)
                return err;
        err = read_answer(l, res, d);
        PQclear(res);
        return err;
}

static void deliver(void *arg)
{
        struct delivery *d = arg;
        struct lineage *l = d->lineage;
        d->answer.why = d->why;
        d->answer.ancestors = d->ancestors;
        if (!l->closed)
                l->cb(l->arg, &d->answer);
        mem_free(d);
}

/* True when the question is not worth an answer any more. */
static bool wait_a_little(struct lineage *l)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += POLL_MS * 1000000L;
        if (t.tv_nsec >= 1000000000L) {
                t.tv_sec++;
                t.tv_nsec -= 1000000000L;
        }
        pthread_mutex_lock(&l->lock);
        if (l->next.ticket == 0 && !l->stopping)
                pthread_cond_timedwait(&l->wake, &l->lock, &t);
        bool over = l->next.ticket != 0 || l->stopping;
        pthread_mutex_unlock(&l->lock);
        return over;
}

/* A connection that was idle may have ended unnoticed: then a new one is tried, once. */
static void answer(struct lineage *l, const struct question *q)
{
        struct delivery *d = mem_new(struct delivery);
        d->lineage = l;
        d->answer.ticket = q->ticket;
        bool reused = l->conn != NULL;
        int err = ask_once(l, q, d);
        if (err == ERR_CLOSED && reused)
                err = ask_once(l, q, d);
        while (err == ERR_AGAIN && !wait_a_little(l))
                err = ask_once(l, q, d);
        d->answer.err = err;
        snprintf(d->why, sizeof(d->why), "cannot ask what relation %" PRIu32 " is part of: %.*s",
                 q->oid, SLICE_FMT(buf_slice(&l->why)));
        loop_post(l->loop, deliver, d);
}

/* ---- the worker */

static struct question take(struct lineage *l)
{
        pthread_mutex_lock(&l->lock);
        while (l->next.ticket == 0 && !l->stopping)
                pthread_cond_wait(&l->wake, &l->lock);
        struct question q = l->stopping ? (struct question){0} : l->next;
        l->next = (struct question){0};
        pthread_mutex_unlock(&l->lock);
        return q;
}

static void *work(void *arg)
{
        struct lineage *l = arg;
        for (;;) {
                struct question q = take(l);
                if (q.ticket == 0)
                        return NULL;
                answer(l, &q);
        }
}

struct lineage *lineage_new(struct loop *loop, const char *url, const char *ca_file,
                            lineage_callback *cb, void *arg)
{
        struct lineage *l = mem_new(struct lineage);
        *l = (struct lineage){.loop = loop, .url = url, .ca_file = ca_file, .cb = cb, .arg = arg};
        buf_init(&l->why, WHY_MAX_BYTES);
        SLUICE_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
        pthread_condattr_t attr;
        SLUICE_ASSERT(pthread_condattr_init(&attr) == 0);
        SLUICE_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
        SLUICE_ASSERT(pthread_cond_init(&l->wake, &attr) == 0);
        pthread_condattr_destroy(&attr);
        SLUICE_ASSERT(pthread_create(&l->worker, NULL, work, l) == 0);
        return l;
}

void lineage_ask(struct lineage *l, uint32_t oid, uint32_t xid, uint64_t ticket)
{
        SLUICE_ASSERT(ticket != 0);
        pthread_mutex_lock(&l->lock);
        l->next = (struct question){oid, xid, ticket};
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
}

static void free_lineage(void *arg)
{
        mem_free(arg);
}

void lineage_free(struct lineage *l)
{
        if (!l)
                return;
        pthread_mutex_lock(&l->lock);
        l->stopping = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        SLUICE_ASSERT(pthread_join(l->worker, NULL) == 0);
        PQfinish(l->conn);
        buf_fini(&l->why);
        pthread_cond_destroy(&l->wake);
        pthread_mutex_destroy(&l->lock);
        l->closed = true;
        loop_post(l->loop, free_lineage, l); /* behind the answers that still name it */
}
