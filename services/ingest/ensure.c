#include "services/ingest/ensure.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hmap.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "services/ingest/conf.h"
#include "services/ingest/control.h"

enum {
        WRITERS_TIMEOUT_MS = 60000,
        POLL_MS = 20, /* Postgres offers no way to wait for another session's transaction to end */
        REPAIRS_MAX = 64,
        WHY_MAX_BYTES = 4096
};

/*   inbox ──▶ (in order?) ──yes──▶ writers? ──none──▶ answered
 *                 │ no               ▲  │ some          ▲
 *                 ▼                  │  ▼               │
 *              altering ─────────────┘  waiting ────────┘      any ── refused ──▶ answered */
struct job {
        struct list node;
        struct rpc_call *call; /* NULL: repair */
        uint64_t epoch;
        uint32_t oid;
        char *schema, *table; /* NULL: repair */
        char *membership;     /* what becomes `ensured` */
        char *writers;        /* while waiting: array of the xids to wait for */
        bool second_pass;     /* still to be made */
        uint64_t deadline_ms;
};

struct ensure {
        pthread_t worker;
        /* under the lock */
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct list inbox; /* struct job */
        uint32_t repairs;  /* in the inbox */
        bool sweeping;     /* is to be done */
        bool stopping;
        ensure_wal_callback *on_wal;
        /* the worker's own */
        struct publisher publisher;
        struct list altering, waiting; /* struct job */
        struct hmap ensured;           /* oid -> membership text, in `epoch` */
        uint64_t epoch;
        uint64_t repair_after_ms; /* no sweep before: the last one failed */
        struct buf why;
};

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
        control_reply(j->call, &ok);
        metric_add(METRIC_OF(tables_ensured), 1);
        job_free(j);
}

static void job_refuse(struct ensure *e, struct job *j, enum table_refusal reason)
{
        struct buf text;
        buf_init(&text, 2 * WHY_MAX_BYTES);
        uint64_t status =
                publication_refuse(&text, reason, slice_cstr(j->schema), slice_cstr(j->table),
                                   e->publisher.o.names.publication, buf_slice(&e->why));
        bool told = strstr(buf_cstr(&text), buf_cstr(&e->why)) != NULL;
        log_warning("table_refused", "table %s.%s cannot be published: %s%s%s", j->schema, j->table,
                    buf_cstr(&text), told ? "" : ": ", told ? "" : buf_cstr(&e->why));
        metric_add(METRIC_OF(tables_refused), 1);
        control_refuse(j->call, status, buf_slice(&text), true,
                       status == 503 ? REFUSAL_RETRY_AFTER_S : 0);
        buf_fini(&text);
        job_free(j);
}

/* ---- what is known to be in order */

static bool is_ensured(struct ensure *e, const struct job *j, const struct table_facts *f)
{
        const char *membership = hmap_find(&e->ensured, HMAP_KEY(j->oid));
        return e->epoch == j->epoch && membership && publisher_in_order(f) &&
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
        if (e->epoch > j->epoch)
                return;
        if (e->epoch < j->epoch)
                forget_ensured(e);
        e->epoch = j->epoch;
        mem_free(hmap_put(&e->ensured, HMAP_KEY(j->oid), j->membership));
        j->membership = NULL;
}

/* ---- waiting for writers (I2b) */

/* Nobody left to wait for: one last thing may be to do (pg_publication_needs_second_pass()), and
 * whoever wrote meanwhile is waited for like the first. */
static struct outcome after_writers(struct ensure *e, struct job *j)
{
        if (!j->second_pass)
                return (struct outcome){0};
        j->second_pass = false;
        struct outcome o = publisher_touch(&e->publisher, &e->why);
        return o.refused ? o : publisher_writers(&e->publisher, j->oid, &j->writers, &e->why);
}

static void look_after(struct ensure *e, struct job *j)
{
        struct outcome o = publisher_unfinished(&e->publisher, &j->writers, &e->why);
        if (!o.refused && !j->writers)
                o = after_writers(e, j);
        if (!o.refused && j->writers && clock_mono_ms() >= j->deadline_ms)
                o = (struct outcome){true, REFUSE_WRITERS};
        if (!o.refused && j->writers)
                return;
        list_remove(&j->node);
        if (o.refused) {
                job_refuse(e, j, o.reason);
                return;
        }
        remember_ensured(e, j);
        job_done(j);
}

static void begin_waiting(struct ensure *e, struct job *j)
{
        log_info("table_waits",
                 "table %s.%s: waiting for transactions that wrote to it before it was published: "
                 "%s",
                 j->schema, j->table, j->writers);
        j->deadline_ms = clock_mono_ms() + WRITERS_TIMEOUT_MS;
        list_push_back(&e->waiting, &j->node);
}

/* ---- a job's first steps */

/* The table is in order; who has written to it that was not published? */
static void on_order(struct ensure *e, struct job *j, const struct table_facts *f)
{
        if (is_ensured(e, j, f)) {
                job_done(j);
                return;
        }
        mem_free(j->membership);
        j->membership = slice_dup_cstr(f->membership);
        struct outcome o = publisher_writers(&e->publisher, j->oid, &j->writers, &e->why);
        if (o.refused) {
                job_refuse(e, j, o.reason);
        } else if (j->writers) {
                j->second_pass = publisher_needs_second_pass(&e->publisher, f);
                begin_waiting(e, j);
        } else {
                remember_ensured(e, j);
                job_done(j);
        }
}

static void start_job(struct ensure *e, struct job *j)
{
        PGresult *facts = NULL;
        struct table_facts f;
        struct outcome o =
                publisher_inspect(&e->publisher, j->oid, j->schema, j->table, &facts, &e->why);
        if (o.refused) {
                job_refuse(e, j, o.reason);
                return;
        }
        publication_read_facts(facts, &f);
        if (publisher_in_order(&f))
                on_order(e, j, &f);
        else
                list_push_back(&e->altering, &j->node);
        PQclear(facts);
}

/* Those who wait for the same table have waited as long. */
static void refuse_alike(struct ensure *e, uint32_t oid, enum table_refusal reason)
{
        struct list *node = e->altering.next;
        while (node != &e->altering) {
                struct job *j = LIST_OBJ(node, struct job, node);
                node = node->next;
                if (j->oid != oid || !j->call)
                        continue;
                list_remove(&j->node);
                job_refuse(e, j, reason);
        }
}

static void alter_job(struct ensure *e, struct job *j)
{
        PGresult *facts = NULL;
        struct table_facts f;
        struct outcome o =
                publisher_inspect(&e->publisher, j->oid, j->schema, j->table, &facts, &e->why);
        if (!o.refused)
                o = publisher_order(&e->publisher, j->oid, PUBLISHER_LOCK_MS, &facts, &e->why);
        if (o.refused) {
                if (o.reason == REFUSE_LOCK_TIMEOUT)
                        refuse_alike(e, j->oid, o.reason);
                job_refuse(e, j, o.reason);
        } else {
                publication_read_facts(facts, &f);
                on_order(e, j, &f);
        }
        PQclear(facts);
}

/* ---- repairs */

/* Another's use of the table comes first: it is tried again with the next sweep. */
enum { REPAIR_LOCK_MS = 200, REPAIR_FAILED_MS = 30000 };

static void repair_failed(struct ensure *e, uint32_t oid)
{
        e->repair_after_ms = clock_mono_ms() + REPAIR_FAILED_MS;
        log_warning("identity_not_set",
                    "relation %u has no full replica identity and it cannot be set, an update of a "
                    "row in it will end the shapes it concerns: %s",
                    (unsigned)oid, buf_cstr(&e->why));
}

/* Any table that is in the publication is ours to look after. */
static void repair_table(struct ensure *e, uint32_t oid)
{
        PGresult *facts = NULL;
        struct table_facts f;
        struct outcome o = publisher_inspect(&e->publisher, oid, NULL, NULL, &facts, &e->why);
        if (!o.refused) {
                publication_read_facts(facts, &f);
                if (f.membership.len > 0)
                        o = publisher_order(&e->publisher, oid, REPAIR_LOCK_MS, &facts, &e->why);
        }
        if (o.refused && o.reason != REFUSE_GONE)
                repair_failed(e, oid);
        PQclear(facts);
}

static void repair(struct ensure *e, struct job *j)
{
        repair_table(e, j->oid);
        job_free(j);
}

/* Tables whose identity somebody has changed, and partitions that came since their table was
 * published: they get it before they are written to, most of the time. */
static void sweep(struct ensure *e)
{
        PGresult *res = NULL;
        if (e->publisher.o.manual || clock_mono_ms() < e->repair_after_ms ||
            publisher_bare(&e->publisher, &res, &e->why).refused)
                return;
        for (int i = 0; i < PQntuples(res) && clock_mono_ms() >= e->repair_after_ms; i++) {
                uint64_t oid;
                if (slice_parse_u64(pg_value(res, i, 0), &oid) == 0)
                        repair_table(e, (uint32_t)oid);
        }
        PQclear(res);
}

static void look_at_wal(struct ensure *e)
{
        struct wal_facts f;
        if (!publisher_wal(&e->publisher, &f, &e->why).refused)
                e->on_wal(&f);
}

/* ---- the worker */

static struct timespec poll_time(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += POLL_MS * 1000000L;
        if (t.tv_nsec >= 1000000000L) {
                t.tv_sec++;
                t.tv_nsec -= 1000000000L;
        }
        return t;
}

/* Waits for requests unless there is something to alter. False: stop. */
static bool take_inbox(struct ensure *e, struct list *jobs, bool *sweeping)
{
        struct timespec until = poll_time();
        struct list *node;
        int rc = 0;
        pthread_mutex_lock(&e->lock);
        while (list_empty(&e->inbox) && list_empty(&e->altering) && !e->sweeping && !e->stopping &&
               rc == 0)
                rc = list_empty(&e->waiting) ? pthread_cond_wait(&e->wake, &e->lock)
                                             : pthread_cond_timedwait(&e->wake, &e->lock, &until);
        while ((node = list_pop_front(&e->inbox)))
                list_push_back(jobs, node);
        e->repairs = 0;
        *sweeping = e->sweeping;
        e->sweeping = false;
        bool stopping = e->stopping;
        pthread_mutex_unlock(&e->lock);
        return !stopping;
}

static void start_all(struct ensure *e, struct list *jobs)
{
        struct list *node;
        while ((node = list_pop_front(jobs))) {
                struct job *j = LIST_OBJ(node, struct job, node);
                if (j->call)
                        start_job(e, j);
                else
                        list_push_back(&e->altering, &j->node);
        }
}

static void alter_one(struct ensure *e)
{
        struct list *node = list_pop_front(&e->altering);
        if (!node)
                return;
        struct job *j = LIST_OBJ(node, struct job, node);
        if (j->call)
                alter_job(e, j);
        else
                repair(e, j);
}

static void look_after_all(struct ensure *e)
{
        struct list *node = e->waiting.next;
        while (node != &e->waiting) {
                struct job *j = LIST_OBJ(node, struct job, node);
                node = node->next;
                look_after(e, j);
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
        struct list jobs;
        list_init(&jobs);
        bool sweeping;
        while (take_inbox(e, &jobs, &sweeping)) {
                start_all(e, &jobs);
                alter_one(e);
                if (sweeping) {
                        look_at_wal(e);
                        sweep(e);
                }
                look_after_all(e);
        }
        drop_all(&jobs);
        return NULL;
}

/* ---- any thread */

struct ensure *ensure_new(const struct publisher_options *o, ensure_wal_callback *on_wal)
{
        struct ensure *e = mem_new(struct ensure);
        pthread_condattr_t attr;
        publisher_init(&e->publisher, o);
        e->on_wal = on_wal;
        list_init(&e->inbox);
        list_init(&e->altering);
        list_init(&e->waiting);
        hmap_init(&e->ensured);
        buf_init(&e->why, WHY_MAX_BYTES);
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
        if (!e->publisher.o.manual && e->repairs < REPAIRS_MAX) {
                e->repairs++;
                submit(e, job_new(oid, 0));
        }
        pthread_mutex_unlock(&e->lock);
}

void ensure_sweep(struct ensure *e)
{
        pthread_mutex_lock(&e->lock);
        e->sweeping = true;
        pthread_cond_signal(&e->wake);
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
        drop_all(&e->altering);
        drop_all(&e->waiting);
        forget_ensured(e);
        hmap_fini(&e->ensured);
        publisher_fini(&e->publisher);
        buf_fini(&e->why);
        pthread_cond_destroy(&e->wake);
        pthread_mutex_destroy(&e->lock);
        mem_free(e);
}
