/* The pool: jobs wait in the order in which they came, a worker takes the first one and is busy
 * with it until it has ended. Which job a worker has is known under the lock, so that a
 * cancellation wakes the right worker and never its next job. */
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
#include "services/router/snapshot_read.h"
#include "services/router/snapshot_trouble.h"

enum { POOL_MAGIC = 0x54a90001, IDLE_CLOSE_MS = 30000 };

struct queued {
        struct list node;
        struct snapshot_job job; /* where_sql owned */
        bool cancelled;          /* under the lock */
        bool skip;               /* was cancelled before it began; the worker's */
};

struct worker {
        struct snapshot_pool *pool;
        pthread_t thread;
        struct snapshot_reader reader; /* the thread's own */
        struct queued *busy;           /* under the lock */
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

/* NULL when the pool closes. Nobody else needs the lock while an idle connection is closed. */
static struct queued *next_job(struct worker *w)
{
        struct snapshot_pool *p = w->pool;
        uint64_t idle_at_ms = clock_mono_ms() + IDLE_CLOSE_MS;
        struct queued *q = NULL;
        pthread_mutex_lock(&p->lock);
        while (!p->closing && list_empty(&p->queue))
                if (!wait_changed(w, idle_at_ms))
                        snapshot_disconnect(&w->reader);
        if (!p->closing) {
                q = LIST_OBJ(list_pop_front(&p->queue), struct queued, node);
                p->n_queue--;
                q->skip = q->cancelled;
                w->busy = q;
        }
        pthread_mutex_unlock(&p->lock);
        return q;
}

/* Whether it was the shape's own cancellation that ended the job; a wake-up that came too late for
 * it is taken back. */
static bool end_job(struct worker *w, struct queued *q)
{
        struct snapshot_pool *p = w->pool;
        eventfd_t unused;
        pthread_mutex_lock(&p->lock);
        w->busy = NULL;
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

static void *run_worker(void *arg)
{
        struct worker *w = arg;
        struct queued *q;
        while ((q = next_job(w))) {
                bool woken = q->skip || snapshot_read(&w->reader, &q->job) == ERR_CANCELLED;
                if (end_job(w, q) && woken)
                        report_cancelled(w, q);
                free_job(q);
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
static bool cancel_running(struct snapshot_pool *p, uint64_t shape_id)
{
        for (uint32_t i = 0; i < p->options.workers; i++) {
                struct worker *w = &p->workers[i];
                if (!w->busy || w->busy->job.shape_id != shape_id)
                        continue;
                w->busy->cancelled = true;
                SLUICE_ASSERT(eventfd_write(w->reader.wake_fd, 1) == 0);
                return true;
        }
        return false;
}

/* Under the lock. The job keeps its place: a worker will come to it and say that it has ended. */
static void cancel_queued(struct snapshot_pool *p, uint64_t shape_id)
{
        for (struct list *n = p->queue.next; n != &p->queue; n = n->next) {
                struct queued *q = LIST_OBJ(n, struct queued, node);
                if (q->job.shape_id == shape_id)
                        q->cancelled = true;
        }
}

void snapshot_cancel(struct snapshot_pool *p, uint64_t shape_id)
{
        CHECK_OBJ(p, POOL_MAGIC);
        pthread_mutex_lock(&p->lock);
        if (!cancel_running(p, shape_id))
                cancel_queued(p, shape_id);
        pthread_mutex_unlock(&p->lock);
}
