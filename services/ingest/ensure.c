#include "services/ingest/ensure.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/hmap.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "services/ingest/conf.h"
#include "services/ingest/control.h"

enum {
        CONNECT_TIMEOUT_S = 5,
        LOCK_TIMEOUT_MS = 5000,
        STATEMENT_TIMEOUT_MS = 30000,
        WRITERS_TIMEOUT_MS = 60000,
        POLL_MS =
                20, /* Postgres offers no way to wait for a transaction of another session to end */
        REPAIRS_MAX = 64,
        SQL_MAX_BYTES = 1 << 20,
        WHY_MAX_BYTES = 4096
};

struct job {
        struct list node;
        struct rpc_call *call; /* NULL: repair */
        uint64_t epoch;
        uint32_t oid;
        char *schema, *table; /* NULL: repair */
        char *membership;     /* while waiting: what becomes `ensured` */
        char *writers;        /* while waiting: array of the xids to wait for */
        bool second_pass;     /* done or not needed */
        uint64_t deadline_ms;
};

struct ensure {
        struct ensure_options o;
        pthread_t worker;
        /* under the lock */
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct list inbox; /* struct job */
        uint32_t repairs;  /* in the inbox */
        bool stopping;
        /* the worker's own */
        PGconn *conn;
        struct list waiting; /* struct job */
        struct hmap ensured; /* oid -> membership text, in `epoch` */
        uint64_t epoch;
};

/* What became of a step: go on, or refuse for a reason. */
struct outcome {
        bool refused;
        enum table_refusal reason;
};
static const struct outcome FINE = {0};

static struct outcome refused(enum table_refusal reason)
{
        return (struct outcome){true, reason};
}

/* ---- jobs */

static struct job *job_new(uint32_t oid, uint64_t epoch)
{
        struct job *j = mem_new(struct job);
        list_init(&j->node);
        j->oid = oid;
        j->epoch = epoch;
        return j;
}

static void job_free(struct job *j)
{
        mem_free(j->schema);
        mem_free(j->table);
        mem_free(j->membership);
        mem_free(j->writers);
        mem_free(j);
}

static void job_done(struct job *j)
{
        union msg ok = {.ensure_table_ok = {.type = MSG_ensure_table_ok}};
        if (j->call) {
                control_reply(j->call, &ok);
                metric_add(METRIC_OF(tables_ensured), 1);
        }
        job_free(j);
}

static void job_refuse(struct ensure *e, struct job *j, enum table_refusal reason,
                       struct slice detail)
{
        if (!j->call) {
                job_free(j);
                return;
        }
        struct buf text;
        buf_init(&text, WHY_MAX_BYTES);
        uint64_t status = publication_refuse(&text, reason, slice_cstr(j->schema),
                                             slice_cstr(j->table), e->o.names.publication, detail);
        log_warning("table_refused", "table %s.%s cannot be published: %s%s%.*s", j->schema,
                    j->table, buf_cstr(&text), detail.len ? ": " : "", SLICE_FMT(detail));
        metric_add(METRIC_OF(tables_refused), 1);
        control_refuse(j->call, status, buf_slice(&text), true,
                       status == 503 ? REFUSAL_RETRY_AFTER_S : 0);
        buf_fini(&text);
        job_free(j);
}

/* ---- the connection */

static int connect_if_needed(struct ensure *e, struct buf *why)
{
        if (e->conn && PQstatus(e->conn) == CONNECTION_OK)
                return 0;
        PQfinish(e->conn);
        e->conn = NULL;
        struct pg_options o = {.url = e->o.url,
                               .ca_file = e->o.ca_file,
                               .application_name = "sluice-ingest",
                               .connect_timeout_s = CONNECT_TIMEOUT_S,
                               .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
                               .lock_timeout_ms = LOCK_TIMEOUT_MS};
        int err = pg_connect(&o, &e->conn, NULL, why);
        if (!err)
                PQsetErrorVerbosity(e->conn, PQERRORS_TERSE); /* clients see the message alone */
        return err;
}

/* One statement; *why is replaced by Postgres' message when it fails. */
static struct outcome query(struct ensure *e, const char *sql, int n, const char *const *params,
                            PGresult **out, struct buf *why)
{
        char state[6] = "";
        buf_reset(why);
        int err = pg_exec(e->conn, sql, n, params, out, state, why);
        if (!err)
                return FINE;
        return refused(err == ERR_CLOSED ? REFUSE_DISCONNECTED : publication_judge(state));
}

/* A connection that was idle may have ended unnoticed: the first query is tried twice. */
static struct outcome first_query(struct ensure *e, const char *sql, int n,
                                  const char *const *params, PGresult **out, struct buf *why)
{
        for (int attempt = 0;; attempt++) {
                buf_reset(why);
                if (connect_if_needed(e, why))
                        return refused(REFUSE_DISCONNECTED);
                struct outcome o = query(e, sql, n, params, out, why);
                if (!o.refused || o.reason != REFUSE_DISCONNECTED || attempt > 0)
                        return o;
        }
}

/* ---- what is known of the table */

static struct outcome inspect(struct ensure *e, const struct job *j, PGresult **out,
                              struct buf *why)
{
        struct buf sql;
        char oid[16];
        snprintf(oid, sizeof(oid), "%" PRIu32, j->oid);
        const char *params[] = {oid, e->o.names.publication};
        if (connect_if_needed(e, why))
                return refused(REFUSE_DISCONNECTED);
        buf_init(&sql, SQL_MAX_BYTES);
        publication_sql_inspect(&sql, PQserverVersion(e->conn));
        struct outcome o = first_query(e, buf_cstr(&sql), 2, params, out, why);
        buf_fini(&sql);
        if (o.refused)
                return o;
        struct table_facts f;
        if (PQntuples(*out) == 1) {
                publication_read_facts(*out, &f);
                if (!j->schema || (slice_eq(f.schema, slice_cstr(j->schema)) &&
                                   slice_eq(f.table, slice_cstr(j->table))))
                        return FINE;
        }
        PQclear(*out);
        *out = NULL;
        return refused(REFUSE_GONE);
}

static bool is_ensured(struct ensure *e, const struct job *j, const struct table_facts *f)
{
        if (e->epoch != j->epoch)
                return false;
        const char *membership = hmap_find(&e->ensured, HMAP_KEY(j->oid));
        return membership && f->full && f->membership.len > 0 &&
               slice_eq(slice_cstr(membership), f->membership);
}

static void forget_ensured(struct ensure *e)
{
        size_t cursor = 0;
        struct slice key;
        void *text;
        while ((text = hmap_next(&e->ensured, &cursor, &key)))
                mem_free(text);
        hmap_fini(&e->ensured);
        hmap_init(&e->ensured);
}

static void remember_ensured(struct ensure *e, struct job *j)
{
        if (e->epoch != j->epoch) {
                if (e->epoch > j->epoch)
                        return;
                forget_ensured(e);
                e->epoch = j->epoch;
        }
        mem_free(hmap_put(&e->ensured, HMAP_KEY(j->oid), j->membership));
        j->membership = NULL;
}

/* ---- altering */

static struct outcome may_alter(const struct ensure *e, const struct table_facts *f)
{
        bool member = f->membership.len > 0;
        if (e->o.manual)
                return refused(member ? REFUSE_IDENTITY : REFUSE_MISSING_MANUAL);
        if (!member && !f->may_alter)
                return refused(REFUSE_MISSING_UNPRIVILEGED);
        return FINE;
}

static void put_alter(struct buf *sql, const struct ensure *e, const PGresult *res)
{
        struct table_facts f;
        publication_read_facts(res, &f);
        buf_puts(sql, "BEGIN; ");
        if (f.membership.len == 0) {
                buf_puts(sql, "ALTER PUBLICATION ");
                pg_put_ident(sql, slice_cstr(e->o.names.publication));
                buf_puts(sql, " ADD TABLE ");
                pg_put_ident(sql, f.schema);
                buf_putc(sql, '.');
                pg_put_ident(sql, f.table);
                buf_puts(sql, "; ");
        }
        if (!PQgetisnull(res, 0, FACTS_IDENTITY_SQL)) {
                buf_put_slice(sql, pg_value(res, 0, FACTS_IDENTITY_SQL));
                buf_puts(sql, "; ");
        }
        buf_puts(sql, "COMMIT");
}

static struct outcome alter(struct ensure *e, const struct job *j, const PGresult *res,
                            struct buf *why)
{
        struct buf sql;
        buf_init(&sql, SQL_MAX_BYTES);
        put_alter(&sql, e, res);
        struct outcome o = buf_status(&sql) ? refused(REFUSE_UNEXPECTED)
                                            : query(e, buf_cstr(&sql), 0, NULL, NULL, why);
        buf_fini(&sql);
        if (!o.refused) {
                log_info("table_published", "table %s.%s (%u) is published with full identity",
                         j->schema ? j->schema : "?", j->table ? j->table : "?", (unsigned)j->oid);
                return o;
        }
        struct buf ignored;
        buf_init(&ignored, WHY_MAX_BYTES);
        (void)query(e, "ROLLBACK", 0, NULL, NULL, &ignored);
        buf_fini(&ignored);
        return o;
}

/* Looks at the table again after altering it: what is remembered must be what is there. */
static struct outcome bring_in_order(struct ensure *e, const struct job *j, PGresult **facts,
                                     struct buf *why)
{
        for (int attempt = 0;; attempt++) {
                struct table_facts f;
                publication_read_facts(*facts, &f);
                if (f.full && f.membership.len > 0)
                        return FINE;
                if (attempt > 1) /* somebody undoes it as fast as we do it */
                        return refused(f.full ? REFUSE_MISSING_UNPRIVILEGED : REFUSE_IDENTITY);
                struct outcome o = may_alter(e, &f);
                if (!o.refused)
                        o = alter(e, j, *facts, why);
                if (o.refused)
                        return o;
                PQclear(*facts);
                *facts = NULL;
                o = inspect(e, j, facts, why);
                if (o.refused)
                        return o;
        }
}

/* ---- waiting for writers (I2b) */

/* Array literal of column 0, NULL when there is no row. The caller's to free. */
static char *take_array(const PGresult *res)
{
        struct buf text;
        if (PQntuples(res) == 0)
                return NULL;
        buf_init(&text, SQL_MAX_BYTES);
        for (int i = 0; i < PQntuples(res); i++) {
                buf_putc(&text, i ? ',' : '{');
                buf_put_slice(&text, pg_value(res, i, 0)); /* digits */
        }
        buf_putc(&text, '}');
        SLUICE_ASSERT(buf_status(&text) == 0);
        char *array = slice_dup_cstr(buf_slice(&text));
        buf_fini(&text);
        return array;
}

static struct outcome find_writers(struct ensure *e, struct job *j, struct buf *why)
{
        char oid[16];
        snprintf(oid, sizeof(oid), "%" PRIu32, j->oid);
        const char *params[] = {oid};
        PGresult *res;
        struct outcome o = query(e, publication_sql_writers, 1, params, &res, why);
        if (o.refused)
                return o;
        j->writers = take_array(res);
        PQclear(res);
        return FINE;
}

/* See publication_needs_second_pass(): altering the publication once more, now that the
 * transactions are over that could have confused the server, clears what it had cached; whoever
 * wrote meanwhile is waited for like the first. */
static struct outcome second_pass(struct ensure *e, struct job *j, struct buf *why)
{
        struct buf sql;
        j->second_pass = true;
        buf_init(&sql, SQL_MAX_BYTES);
        publication_sql_repair(&sql, e->o.names.publication);
        struct outcome o = query(e, buf_cstr(&sql), 0, NULL, NULL, why);
        buf_fini(&sql);
        return o.refused ? o : find_writers(e, j, why);
}

/* Are the writers gone? Then the job is done, or has its second pass. */
static void look_after(struct ensure *e, struct job *j, struct buf *why)
{
        const char *params[] = {j->writers};
        PGresult *res;
        struct outcome o = query(e, publication_sql_unfinished, 1, params, &res, why);
        if (!o.refused) {
                mem_free(j->writers);
                j->writers = take_array(res);
                PQclear(res);
                if (!j->writers && !j->second_pass)
                        o = second_pass(e, j, why);
        }
        if (!o.refused && j->writers && clock_mono_ms() >= j->deadline_ms)
                o = refused(REFUSE_WRITERS);
        if (o.refused) {
                list_remove(&j->node);
                job_refuse(e, j, o.reason, buf_slice(why));
        } else if (!j->writers) {
                list_remove(&j->node);
                remember_ensured(e, j);
                job_done(j);
        }
}

/* ---- the worker */

/* May the job be answered at once? Otherwise it has writers to wait for. */
static struct outcome begin_job(struct ensure *e, struct job *j, struct buf *why)
{
        PGresult *facts = NULL;
        struct table_facts f;
        struct outcome o = inspect(e, j, &facts, why);
        if (!o.refused) {
                publication_read_facts(facts, &f);
                if (is_ensured(e, j, &f)) {
                        PQclear(facts);
                        return FINE;
                }
                o = bring_in_order(e, j, &facts, why);
        }
        if (!o.refused) {
                publication_read_facts(facts, &f);
                mem_free(j->membership);
                j->membership = slice_dup_cstr(f.membership);
                bool ours = f.may_alter && !e->o.manual;
                j->second_pass = !ours || !publication_needs_second_pass(PQserverVersion(e->conn));
                o = find_writers(e, j, why);
        }
        PQclear(facts);
        if (!o.refused && !j->writers)
                remember_ensured(e, j);
        return o;
}

static void start_job(struct ensure *e, struct job *j, struct buf *why)
{
        struct outcome o = begin_job(e, j, why);
        if (o.refused) {
                job_refuse(e, j, o.reason, buf_slice(why));
        } else if (!j->writers) {
                job_done(j);
        } else {
                log_info("table_waits",
                         "table %s.%s: waiting for transactions that wrote to it before it was "
                         "published: %s",
                         j->schema, j->table, j->writers);
                j->deadline_ms = clock_mono_ms() + WRITERS_TIMEOUT_MS;
                list_push_back(&e->waiting, &j->node);
        }
}

/* Is the relation below a table of ours? The tables that are, as an array, decide. */
static bool is_ours(struct ensure *e, uint32_t oid, struct buf *why)
{
        static const char sql[] =
                "SELECT a.relid::oid::text FROM pg_catalog.pg_partition_ancestors($1::oid) a";
        char text[16];
        snprintf(text, sizeof(text), "%" PRIu32, oid);
        const char *params[] = {text};
        PGresult *res = NULL;
        bool ours = hmap_find(&e->ensured, HMAP_KEY(oid)) != NULL;
        if (ours || first_query(e, sql, 1, params, &res, why).refused)
                return ours;
        for (int i = 0; i < PQntuples(res); i++) {
                uint64_t ancestor;
                if (slice_parse_u64(pg_value(res, i, 0), &ancestor))
                        continue;
                uint32_t ancestor_oid = (uint32_t)ancestor;
                ours |= hmap_find(&e->ensured, HMAP_KEY(ancestor_oid)) != NULL;
        }
        PQclear(res);
        return ours;
}

static void repair(struct ensure *e, struct job *j, struct buf *why)
{
        PGresult *facts = NULL;
        struct outcome o = refused(REFUSE_GONE);
        if (is_ours(e, j->oid, why))
                o = inspect(e, j, &facts, why);
        if (!o.refused)
                o = bring_in_order(e, j, &facts, why);
        if (o.refused && o.reason != REFUSE_GONE)
                log_warning("identity_not_set",
                            "relation %u has no full replica identity and it cannot be set: %s",
                            (unsigned)j->oid, buf_cstr(why));
        PQclear(facts);
        job_free(j);
}

static void take_inbox(struct ensure *e, struct list *jobs)
{
        struct timespec until;
        pthread_mutex_lock(&e->lock);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += POLL_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000L;
        }
        int rc = 0;
        while (list_empty(&e->inbox) && !e->stopping && rc == 0)
                rc = list_empty(&e->waiting) ? pthread_cond_wait(&e->wake, &e->lock)
                                             : pthread_cond_timedwait(&e->wake, &e->lock, &until);
        struct list *node;
        while ((node = list_pop_front(&e->inbox)))
                list_push_back(jobs, node);
        e->repairs = 0;
        pthread_mutex_unlock(&e->lock);
}

static bool is_stopping(struct ensure *e)
{
        pthread_mutex_lock(&e->lock);
        bool stopping = e->stopping;
        pthread_mutex_unlock(&e->lock);
        return stopping;
}

static void look_after_all(struct ensure *e, struct buf *why)
{
        struct list *node = e->waiting.next;
        while (node != &e->waiting) {
                struct job *j = LIST_OBJ(node, struct job, node);
                node = node->next;
                look_after(e, j, why);
        }
}

static void drop_all(struct list *jobs)
{
        struct list *node;
        while ((node = list_pop_front(jobs)))
                job_free(LIST_OBJ(node, struct job, node));
}

static void *work(void *arg)
{
        struct ensure *e = arg;
        struct list jobs, *node;
        struct buf why;
        list_init(&jobs);
        buf_init(&why, WHY_MAX_BYTES);
        while (!is_stopping(e)) {
                take_inbox(e, &jobs);
                while (!is_stopping(e) && (node = list_pop_front(&jobs))) {
                        struct job *j = LIST_OBJ(node, struct job, node);
                        buf_reset(&why);
                        if (j->call)
                                start_job(e, j, &why);
                        else
                                repair(e, j, &why);
                }
                if (!is_stopping(e))
                        look_after_all(e, &why);
        }
        drop_all(&jobs);
        drop_all(&e->waiting);
        buf_fini(&why);
        return NULL;
}

/* ---- any thread */

struct ensure *ensure_new(const struct ensure_options *o)
{
        struct ensure *e = mem_new(struct ensure);
        pthread_condattr_t attr;
        e->o = *o;
        list_init(&e->inbox);
        list_init(&e->waiting);
        hmap_init(&e->ensured);
        SLUICE_ASSERT(pthread_mutex_init(&e->lock, NULL) == 0);
        SLUICE_ASSERT(pthread_condattr_init(&attr) == 0);
        SLUICE_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
        SLUICE_ASSERT(pthread_cond_init(&e->wake, &attr) == 0);
        pthread_condattr_destroy(&attr);
        SLUICE_ASSERT(pthread_create(&e->worker, NULL, work, e) == 0);
        return e;
}

static void submit(struct ensure *e, struct job *j)
{
        list_push_back(&e->inbox, &j->node);
        pthread_cond_signal(&e->wake);
}

void ensure_submit(struct ensure *e, struct rpc_call *call, const struct msg_ensure_table *m,
                   uint64_t epoch)
{
        if (m->oid == 0 || m->oid > UINT32_MAX) {
                control_refuse(call, 400, SLICE_LIT("not an oid"), false, 0);
                return;
        }
        struct job *j = job_new((uint32_t)m->oid, epoch);
        j->call = call;
        j->schema = slice_dup_cstr(m->schema);
        j->table = slice_dup_cstr(m->table);
        pthread_mutex_lock(&e->lock);
        submit(e, j);
        pthread_mutex_unlock(&e->lock);
}

void ensure_repair(struct ensure *e, uint32_t oid)
{
        pthread_mutex_lock(&e->lock);
        if (!e->o.manual && e->repairs < REPAIRS_MAX) {
                e->repairs++;
                submit(e, job_new(oid, 0));
        }
        pthread_mutex_unlock(&e->lock);
}

void ensure_free(struct ensure *e)
{
        if (!e)
                return;
        pthread_mutex_lock(&e->lock);
        e->stopping = true;
        pthread_cond_signal(&e->wake);
        pthread_mutex_unlock(&e->lock);
        SLUICE_ASSERT(pthread_join(e->worker, NULL) == 0);
        drop_all(&e->inbox);
        forget_ensured(e);
        hmap_fini(&e->ensured);
        PQfinish(e->conn);
        pthread_cond_destroy(&e->wake);
        pthread_mutex_destroy(&e->lock);
        mem_free(e);
}
