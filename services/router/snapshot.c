/* The pool: jobs wait in the order in which they came, a worker takes the first one and is busy
 * with it until it has ended. Which job a worker has is known under the lock, so that a
 * cancellation wakes the right worker and never its next job.
 *
 * When more wait than there are workers, one takes its share of those for the same table as a group
 * (snapshot_group.h), which does not take long. Nobody is woken for one of a group that is gone:
 * the writer knows. What a group could not read goes back to the front of the queue. */
#include "services/router/snapshot.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/pg/pg.h"
#include "services/router/projection.h"
#include "services/router/snapshot_group.h"
#include "services/router/snapshot_read.h"
#include "services/router/snapshot_trouble.h"

enum {
        POOL_MAGIC = 0x54a90001,
        IDLE_CLOSE_MS = 30000,
        GROUP_MAX = 64,
        GROUP_LOOK = 256, /* queued jobs that are looked through for a group */
        GROUP_TRIES = 5   /* so often a job is left for later, then it is read alone */
};

struct queued {
        struct list node;
        struct snapshot_job job; /* where_sql owned */
        bool cancelled;          /* under the lock */
        bool skip;               /* was cancelled before it began; the worker's */
        bool alone;              /* not in a group; the worker's while it has it */
        uint32_t tries;
};

struct worker {
        struct snapshot_pool *pool;
        pthread_t thread;
        struct snapshot_reader reader; /* the thread's own */
        struct list busy;              /* under the lock: struct queued, a group or one */
        bool grouped;                  /* under the lock */
};

struct snapshot_pool {
        uint32_t magic;
        struct snapshot_options options; /* strings owned */
        struct snapshot_sink sink;
        struct worker *workers;

        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct list queue;
        uint32_t n_queue;
        bool closing;
};

/* ---- jobs */

static struct queued *copy_job(const struct snapshot_job *job)
{
        struct queued *q = mem_new(struct queued);
        q->job = *job;
        q->job.where_sql = slice_dup(job->where_sql);
        return q;
}

static void free_job(struct queued *q)
{
        mem_free((void *)(uintptr_t)q->job.where_sql.p);
        mem_free(q);
}

/* ---- the workers */

/* Under the lock. False when the time has come to give an idle connection back. */
static bool wait_changed(struct worker *w, uint64_t idle_at_ms)
{
        struct snapshot_pool *p = w->pool;
        struct timespec at = {.tv_sec = (time_t)(idle_at_ms / 1000),
                              .tv_nsec = (long)(idle_at_ms % 1000) * 1000000};
        if (!w->reader.conn) {
                pthread_cond_wait(&p->changed, &p->lock);
                return true;
        }
        pthread_cond_timedwait(&p->changed, &p->lock, &at);
        return clock_mono_ms() < idle_at_ms;
}

/* Under the lock. */
static void take_job(struct worker *w, struct queued *q)
{
        list_remove(&q->node);
        list_push_back(&w->busy, &q->node);
        w->pool->n_queue--;
}

static bool go_together(const struct queued *a, const struct queued *b)
{
        const struct table *t = projection_table(a->job.projection);
        const struct table *u = projection_table(b->job.projection);
        return !a->alone && !b->alone && !a->cancelled && !b->cancelled && t->oid == u->oid &&
               slice_eq(t->schema, u->schema) && slice_eq(t->name, u->name);
}

/* Under the lock: the first job, and a share of those that go with it. True for a group. */
static bool take_jobs(struct worker *w)
{
        struct snapshot_pool *p = w->pool;
        struct queued *first = LIST_OBJ(p->queue.next, struct queued, node);
        uint32_t share = (p->n_queue + p->options.workers - 1) / p->options.workers;
        uint32_t n = 1, looked = 0;
        take_job(w, first);
        for (struct list *node = p->queue.next, *next; node != &p->queue; node = next) {
                struct queued *q = LIST_OBJ(node, struct queued, node);
                next = node->next;
                if (n >= share || n == GROUP_MAX || ++looked > GROUP_LOOK)
                        break;
                if (!go_together(first, q))
                        continue;
                take_job(w, q);
                n++;
        }
        return n > 1;
}

/* False when the pool closes. Nobody else needs the lock while an idle connection is closed.
 */
static bool next_jobs(struct worker *w)
{
        struct snapshot_pool *p = w->pool;
        uint64_t idle_at_ms = clock_mono_ms() + IDLE_CLOSE_MS;
        pthread_mutex_lock(&p->lock);
        while (!p->closing && list_empty(&p->queue))
                if (!wait_changed(w, idle_at_ms))
                        snapshot_disconnect(&w->reader);
        bool open = !p->closing;
        if (open) {
                struct queued *first = LIST_OBJ(p->queue.next, struct queued, node);
                first->skip = first->cancelled;
                w->grouped = take_jobs(w);
        }
        pthread_mutex_unlock(&p->lock);
        return open;
}

/* ---- one job */

/* Whether it was the shape's own cancellation that ended the job; a wake-up that came too late for
 * it is taken back. */
static bool end_job(struct worker *w, struct queued *q)
{
        struct snapshot_pool *p = w->pool;
        eventfd_t unused;
        pthread_mutex_lock(&p->lock);
        list_remove(&q->node);
        if (!p->closing)
                (void)eventfd_read(w->reader.wake_fd, &unused);
        bool cancelled = q->cancelled && !p->closing;
        pthread_mutex_unlock(&p->lock);
        return cancelled;
}

static void report_cancelled(const struct worker *w, const struct queued *q)
{
        const struct snapshot_sink *sink = &w->pool->sink;
        struct trouble t;
        trouble_init(&t);
        trouble_refetch(&t);
        struct snapshot_failure f = trouble_failure(&t);
        sink->failed(sink->arg, q->job.shape_id, &f);
        trouble_fini(&t);
}

static void run_one(struct worker *w)
{
        struct queued *q = LIST_OBJ(w->busy.next, struct queued, node);
        bool woken = q->skip || snapshot_read(&w->reader, &q->job) == ERR_CANCELLED;
        if (end_job(w, q) && woken)
                report_cancelled(w, q);
        free_job(q);
}

/* ---- a group */

/* In the order of w->busy, which does not change while a group is read. */
static uint32_t list_members(struct worker *w, struct snapshot_member members[GROUP_MAX])
{
        uint32_t n = 0;
        for (struct list *node = w->busy.next; node != &w->busy; node = node->next) {
                SLUICE_ASSERT(n < GROUP_MAX);
                members[n++].job = &LIST_OBJ(node, struct queued, node)->job;
        }
        return n;
}

/* What has ended is freed, the rest goes back, in its order. */
static void end_group(struct worker *w, const struct snapshot_member *members, uint32_t n)
{
        struct snapshot_pool *p = w->pool;
        pthread_mutex_lock(&p->lock);
        while (n-- > 0) {
                struct queued *q = LIST_OBJ(w->busy.prev, struct queued, node);
                list_remove(&q->node);
                if (members[n].fate == SNAPSHOT_ENDED) {
                        free_job(q);
                        continue;
                }
                q->alone = members[n].fate == SNAPSHOT_ALONE || ++q->tries >= GROUP_TRIES;
                list_push_front(&p->queue, &q->node);
                p->n_queue++;
        }
        SLUICE_ASSERT(list_empty(&w->busy));
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
}

static void run_group(struct worker *w)
{
        struct snapshot_member members[GROUP_MAX];
        uint32_t n = list_members(w, members);
        /* woken: the pool closes, and forgets what is queued */
        if (snapshot_read_group(&w->reader, members, n) != 0)
                for (uint32_t i = 0; i < n; i++)
                        members[i].fate = SNAPSHOT_LATER;
        end_group(w, members, n);
}

static void *run_worker(void *arg)
{
        struct worker *w = arg;
        while (next_jobs(w)) {
                if (w->grouped)
                        run_group(w);
                else
                        run_one(w);
        }
        snapshot_disconnect(&w->reader);
        return NULL;
}

/* ---- the pool */

static void init_lock(struct snapshot_pool *p)
{
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&p->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        pthread_mutex_init(&p->lock, NULL);
}

static void start_worker(struct snapshot_pool *p, struct worker *w)
{
        w->pool = p;
        list_init(&w->busy);
        w->reader = (struct snapshot_reader){.options = &p->options,
                                             .sink = &p->sink,
                                             .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        SLUICE_ASSERT(w->reader.wake_fd >= 0);
        SLUICE_ASSERT(pthread_create(&w->thread, NULL, run_worker, w) == 0);
}

int snapshot_pool_open(struct snapshot_pool **out, const struct snapshot_options *o,
                       const struct snapshot_sink *sink, struct buf *why)
{
        SLUICE_ASSERT(o->database_url && o->workers > 0 && o->max_queue > 0);
        SLUICE_ASSERT(o->chunk_bytes > 0 && o->batch_bytes > 0 && o->first_row_timeout_ms > 0);
        int err = pg_check_url(o->database_url, o->ca_file, why);
        if (err)
                return err;
        struct snapshot_pool *p = mem_new(struct snapshot_pool);
        p->magic = POOL_MAGIC;
        p->options = *o;
        p->options.database_url = slice_dup_cstr(slice_cstr(o->database_url));
        p->options.ca_file = slice_dup_cstr(slice_cstr(o->ca_file ? o->ca_file : ""));
        p->sink = *sink;
        list_init(&p->queue);
        init_lock(p);
        p->workers = mem_zalloc(o->workers * sizeof(*p->workers));
        for (uint32_t i = 0; i < o->workers; i++)
                start_worker(p, &p->workers[i]);
        *out = p;
        return 0;
}

static void wake_all(struct snapshot_pool *p)
{
        pthread_mutex_lock(&p->lock);
        p->closing = true;
        pthread_cond_broadcast(&p->changed);
        for (uint32_t i = 0; i < p->options.workers; i++)
                SLUICE_ASSERT(eventfd_write(p->workers[i].reader.wake_fd, 1) == 0);
        pthread_mutex_unlock(&p->lock);
}

void snapshot_pool_close(struct snapshot_pool *p)
{
        CHECK_OBJ(p, POOL_MAGIC);
        struct list *node;
        wake_all(p);
        for (uint32_t i = 0; i < p->options.workers; i++) {
                pthread_join(p->workers[i].thread, NULL);
                close(p->workers[i].reader.wake_fd);
        }
        while ((node = list_pop_front(&p->queue)))
                free_job(LIST_OBJ(node, struct queued, node));
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->lock);
        mem_free((void *)(uintptr_t)p->options.database_url);
        mem_free((void *)(uintptr_t)p->options.ca_file);
        mem_free(p->workers);
        p->magic = 0;
        mem_free(p);
}

int snapshot_submit(struct snapshot_pool *p, const struct snapshot_job *job)
{
        CHECK_OBJ(p, POOL_MAGIC);
        SLUICE_ASSERT(job->projection != NULL);
        struct queued *q = copy_job(job);
        pthread_mutex_lock(&p->lock);
        bool accepted = p->n_queue < p->options.max_queue && !p->closing;
        if (accepted) {
                list_push_back(&p->queue, &q->node);
                p->n_queue++;
                pthread_cond_signal(&p->changed);
        }
        pthread_mutex_unlock(&p->lock);
        if (accepted)
                return 0;
        free_job(q);
        return ERR_AGAIN;
}

/* Under the lock. */
static bool cancel_in(const struct list *jobs, uint64_t shape_id)
{
        for (struct list *n = jobs->next; n != jobs; n = n->next) {
                struct queued *q = LIST_OBJ(n, struct queued, node);
                if (q->job.shape_id != shape_id)
                        continue;
                q->cancelled = true;
                return true;
        }
        return false;
}

/* Under the lock. */
static bool cancel_running(struct snapshot_pool *p, uint64_t shape_id)
{
        for (uint32_t i = 0; i < p->options.workers; i++) {
                struct worker *w = &p->workers[i];
                if (!cancel_in(&w->busy, shape_id))
                        continue;
                if (!w->grouped)
                        SLUICE_ASSERT(eventfd_write(w->reader.wake_fd, 1) == 0);
                return true;
        }
        return false;
}

void snapshot_cancel(struct snapshot_pool *p, uint64_t shape_id)
{
        CHECK_OBJ(p, POOL_MAGIC);
        pthread_mutex_lock(&p->lock);
        /* a queued job keeps its place: a worker will come to it and say that it has ended */
        if (!cancel_running(p, shape_id))
                (void)cancel_in(&p->queue, shape_id);
        pthread_mutex_unlock(&p->lock);
}
