#include "services/router/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "services/router/metrics.h"

enum { GROUP_BYTES = 4 << 20, FULL_RETRY_MS = 1000, SLOW_MS = 1000 };

struct job {
        struct list node;
        enum writer_when when;
        writer_run *run;
        writer_after *after;
        void *arg;
};

/* A batch, or a join. */
struct input {
        struct list node;
        struct batch *batch;
        struct writer_join join;
};

struct writer {
        uint32_t magic;
        struct writer_options o;
        struct engine engine;
        pthread_t thread;
        bool started;

        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t wake;
        struct list jobs, inputs;
        size_t queued_bytes;
        bool stopping;

        _Atomic uint64_t applied, joins_done;
        _Atomic bool ahead;

        /* the writer thread's */
        struct list done; /* jobs that ran and wait for the commit */
        uint64_t epoch, seq;
        bool lost, full, failed;
};

enum { WRITER_MAGIC = 0x3617e601 };

/* ---- waiting */

static struct timespec in_ms(uint64_t ms)
{
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        ts.tv_sec += (time_t)(ms / 1000);
        ts.tv_nsec += (long)(ms % 1000) * 1000000;
        if (ts.tv_nsec >= 1000000000) {
                ts.tv_sec++;
                ts.tv_nsec -= 1000000000;
        }
        return ts;
}

/* ---- jobs */

static void take_all(struct list *from, struct list *to)
{
        for (struct list *n; (n = list_pop_front(from));)
                list_push_back(to, n);
}

static void finish_job(struct job *j, int err)
{
        j->after(j->arg, err);
        mem_free(j);
}

static void finish_all(struct list *jobs, int err)
{
        for (struct list *n; (n = list_pop_front(jobs));)
                finish_job(LIST_OBJ(n, struct job, node), err);
}

void writer_post(struct writer *w, enum writer_when when, writer_run *run, writer_after *after,
                 void *arg)
{
        CHECK_OBJ(w, WRITER_MAGIC);
        struct job *j = mem_new(struct job);
        *j = (struct job){.when = when, .run = run, .after = after, .arg = arg};
        pthread_mutex_lock(&w->lock);
        bool stopping = w->stopping;
        if (!stopping) {
                list_push_back(&w->jobs, &j->node);
                pthread_cond_signal(&w->wake);
        }
        pthread_mutex_unlock(&w->lock);
        if (stopping)
                finish_job(j, ERR_CANCELLED);
}

/* Shared by the job and by who waits for it: the last one frees it. */
struct waiting_call {
        pthread_mutex_t lock;
        pthread_cond_t done;
        unsigned refs;
        bool until_run; /* not until the commit */
        bool is_done;
        int err;
        writer_run *run;
        void *arg;
};

static void call_done(struct waiting_call *c, int err)
{
        pthread_mutex_lock(&c->lock);
        if (!c->is_done)
                c->err = err;
        c->is_done = true;
        pthread_cond_signal(&c->done);
        pthread_mutex_unlock(&c->lock);
}

static void unref_call(struct waiting_call *c)
{
        pthread_mutex_lock(&c->lock);
        bool last = --c->refs == 0;
        pthread_mutex_unlock(&c->lock);
        if (!last)
                return;
        pthread_cond_destroy(&c->done);
        pthread_mutex_destroy(&c->lock);
        mem_free(c);
}

static void run_call(void *arg, struct engine *e, bool full)
{
        struct waiting_call *c = arg;
        c->run(c->arg, e, full);
        if (c->until_run)
                call_done(c, 0);
}

static void after_call(void *arg, int err)
{
        struct waiting_call *c = arg;
        call_done(c, err);
        unref_call(c);
}

static int wait_for_call(struct writer *w, writer_run *run, void *arg, bool until_run)
{
        struct waiting_call *c = mem_new(struct waiting_call);
        *c = (struct waiting_call){.refs = 2, .until_run = until_run, .run = run, .arg = arg};
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->done, NULL);
        writer_post(w, WRITER_COMMIT, run_call, after_call, c);
        pthread_mutex_lock(&c->lock);
        while (!c->is_done)
                pthread_cond_wait(&c->done, &c->lock);
        int err = c->err;
        pthread_mutex_unlock(&c->lock);
        unref_call(c);
        return err;
}

int writer_call(struct writer *w, writer_run *run, void *arg)
{
        return wait_for_call(w, run, arg, false);
}

int writer_stage(struct writer *w, writer_run *run, void *arg)
{
        return wait_for_call(w, run, arg, true);
}

static void run_jobs(struct writer *w)
{
        struct list jobs;
        list_init(&jobs);
        pthread_mutex_lock(&w->lock);
        take_all(&w->jobs, &jobs);
        pthread_mutex_unlock(&w->lock);
        for (struct list *n; (n = list_pop_front(&jobs));) {
                struct job *j = LIST_OBJ(n, struct job, node);
                j->run(j->arg, &w->engine, false);
                list_push_back(&w->done, &j->node);
        }
}

/* While the store is full: those that may. */
static void run_some_jobs(struct writer *w)
{
        struct list jobs;
        list_init(&jobs);
        pthread_mutex_lock(&w->lock);
        for (struct list *n = w->jobs.next, *next; n != &w->jobs; n = next) {
                next = n->next;
                if (LIST_OBJ(n, struct job, node)->when != WRITER_ANYTIME)
                        continue;
                list_remove(n);
                list_push_back(&jobs, n);
        }
        pthread_mutex_unlock(&w->lock);
        for (struct list *n; (n = list_pop_front(&jobs));) {
                struct job *j = LIST_OBJ(n, struct job, node);
                j->run(j->arg, &w->engine, true);
                finish_job(j, 0);
        }
}

/* ---- a full store */

static void set_full(struct writer *w, bool full)
{
        if (w->full == full)
                return;
        w->full = full;
        gauge(METRIC_FULL, full);
        if (full)
                log_error("store_full",
                          "no space left for the shape logs: changes wait, reads go on");
        else
                log_info("store_room", "there is room for the shape logs again");
        w->o.on_full(w->o.arg, full);
}

/* What edges were told is in the store, or will not be before there is room. */
static void settle(struct writer *w)
{
        if (!atomic_load_explicit(&w->ahead, memory_order_relaxed))
                return;
        atomic_store_explicit(&w->ahead, false, memory_order_release);
        w->o.on_settled(w->o.arg);
}

/* Waits for a while, serving who only reads. */
static bool on_full(void *arg)
{
        struct writer *w = arg;
        uint64_t until = clock_mono_ms() + FULL_RETRY_MS;
        set_full(w, true);
        settle(w);
        for (;;) {
                run_some_jobs(w);
                uint64_t now = clock_mono_ms(), beat = notify_heartbeat(w->o.notify);
                if (now >= until)
                        return true;
                uint64_t wait = until - now < beat ? until - now : beat;
                struct timespec ts = in_ms(wait);
                pthread_mutex_lock(&w->lock);
                if (!w->stopping)
                        pthread_cond_timedwait(&w->wake, &w->lock, &ts);
                bool stopping = w->stopping;
                pthread_mutex_unlock(&w->lock);
                if (stopping)
                        return false;
        }
}

/* ---- committing */

static void on_announce(void *arg, lsn_t applied, uint32_t n, struct slice notices)
{
        struct writer *w = arg;
        atomic_store_explicit(&w->ahead, true, memory_order_seq_cst); /* before anybody is told */
        notify_send(w->o.notify, applied, n, notices);
}

static void on_commit(void *arg, lsn_t applied, uint32_t n, struct slice notices)
{
        struct writer *w = arg;
        atomic_store_explicit(&w->applied, applied.v, memory_order_release);
        gauge(METRIC_APPLIED_LSN, applied.v);
        settle(w);
        notify_send(w->o.notify, applied, n, notices);
        w->o.on_committed(w->o.arg, applied);
}

static void fail(struct writer *w, int err)
{
        if (err == ERR_CORRUPT)
                store_distrust(w->o.engine.store, "what a shape's log must have is not there");
        else if (err != ERR_CANCELLED)
                svc_fail(1, "store_failed", "cannot write to the store: %s", err_text(err));
        w->failed = true;
}

static bool commit(struct writer *w)
{
        uint64_t began = clock_mono_ms();
        int err = engine_commit(&w->engine);
        uint64_t took = clock_mono_ms() - began;
        if (took > SLOW_MS && !w->full)
                log_warning("commit_slow", "the disk took %u ms for a commit", (unsigned)took);
        if (err) {
                fail(w, err);
                finish_all(&w->done, ERR_CANCELLED);
                return false;
        }
        set_full(w, false);
        finish_all(&w->done, 0);
        return true;
}

/* ---- batches */

bool writer_push(struct writer *w, struct batch *b)
{
        CHECK_OBJ(w, WRITER_MAGIC);
        struct input *in = mem_new(struct input);
        in->batch = b;
        pthread_mutex_lock(&w->lock);
        bool fits = !w->stopping && (w->queued_bytes == 0 ||
                                     w->queued_bytes + b->bytes.len <= w->o.max_queue_bytes);
        if (fits) {
                w->queued_bytes += b->bytes.len;
                list_push_back(&w->inputs, &in->node);
                pthread_cond_signal(&w->wake);
                gauge(METRIC_QUEUE_BYTES, w->queued_bytes);
        }
        pthread_mutex_unlock(&w->lock);
        if (!fits)
                mem_free(in);
        return fits;
}

void writer_join(struct writer *w, const struct writer_join *join)
{
        CHECK_OBJ(w, WRITER_MAGIC);
        struct input *in = mem_new(struct input);
        in->join = *join;
        pthread_mutex_lock(&w->lock);
        list_push_back(&w->inputs, &in->node);
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
}

static void do_join(struct writer *w, const struct writer_join *join)
{
        struct engine *e = &w->engine;
        bool fresh = e->place.applied.v == 0;
        /* a stream that begins after what is applied has a hole: what is here cannot be continued
         */
        bool hole = !fresh && lsn_cmp(join->start, e->place.applied) > 0;
        if (hole && !join->purge)
                log_error("stream_hole",
                          "the stream begins after %" PRIX64 "/%" PRIX64
                          ", which is not applied: all shapes are dropped",
                          join->start.v >> 32, join->start.v & UINT32_MAX);
        if (join->purge || hole) {
                engine_purge(e);
                fresh = true;
        }
        if (fresh)
                engine_start_at(e, join->start);
        else
                engine_resume(e, join->start);
        e->place.epoch = join->epoch;
        e->place.system_id = join->system_id;
        e->place.timeline = join->timeline;
        w->epoch = join->epoch;
        w->seq = join->next_seq - 1;
        w->lost = false;
        atomic_fetch_add_explicit(&w->joins_done, 1, memory_order_release);
}

/* What is here is of another history than the stream's: it is dropped, and the router introduces
 * itself as one that has nothing. */
static void start_over(struct writer *w)
{
        log_error("history_differs",
                  "the stream does not bring again what was applied up to %" PRIX64 "/%" PRIX64
                  ": the database was restored from a copy, all shapes are dropped",
                  w->engine.place.applied.v >> 32, w->engine.place.applied.v & UINT32_MAX);
        engine_purge(&w->engine);
}

static void lose(struct writer *w, const struct batch *b, int err)
{
        log_error("stream_lost", "batch %" PRIu64 " of epoch %" PRIu64 " cannot be applied: %s",
                  b->seq, b->epoch, err_text(err));
        w->lost = true;
        engine_rewind(&w->engine);
        w->o.on_lost(w->o.arg);
}

static bool do_batch(struct writer *w, struct batch *b)
{
        if (w->lost || b->epoch != w->epoch)
                return true;
        int err = engine_apply(&w->engine, b);
        switch (err) {
        case 0:
                w->seq = b->seq;
                return true;
        case ERR_HISTORY:
                start_over(w);
                lose(w, b, err);
                return true;
        case ERR_FORMAT:
        case ERR_VERSION:
        case ERR_RANGE:
                lose(w, b, err);
                return true;
        default:
                fail(w, err);
                return false;
        }
}

static void free_input(struct input *in)
{
        if (in->batch)
                batch_unref(in->batch);
        mem_free(in);
}

/* What is queued, up to a few megabytes: one commit for all of it. */
static size_t take_group(struct writer *w, struct list *group)
{
        size_t bytes = 0;
        pthread_mutex_lock(&w->lock);
        while (bytes < GROUP_BYTES && !list_empty(&w->inputs)) {
                struct list *n = list_pop_front(&w->inputs);
                struct batch *b = LIST_OBJ(n, struct input, node)->batch;
                bytes += b ? b->bytes.len : 0;
                list_push_back(group, n);
        }
        pthread_mutex_unlock(&w->lock);
        return bytes;
}

static void give_credit(struct writer *w, size_t bytes)
{
        pthread_mutex_lock(&w->lock);
        w->queued_bytes -= bytes;
        gauge(METRIC_QUEUE_BYTES, w->queued_bytes);
        pthread_mutex_unlock(&w->lock);
}

static bool apply_group(struct writer *w)
{
        struct list group;
        bool ok = true, any = false;
        list_init(&group);
        size_t bytes = take_group(w, &group);
        for (struct list *n; (n = list_pop_front(&group));) {
                struct input *in = LIST_OBJ(n, struct input, node);
                if (ok && in->batch)
                        ok = do_batch(w, in->batch);
                else if (ok)
                        do_join(w, &in->join);
                free_input(in);
                any = true;
        }
        ok = ok && commit(w);
        give_credit(w, bytes);
        if (ok && any && !w->lost)
                w->o.on_applied(w->o.arg, w->epoch, w->seq, w->engine.place.applied);
        return ok;
}

/* ---- the thread */

/* False: stop. */
static bool wait_for_work(struct writer *w, bool busy)
{
        uint64_t beat = notify_heartbeat(w->o.notify);
        struct timespec ts = in_ms(busy ? 0 : beat);
        pthread_mutex_lock(&w->lock);
        if (!w->stopping && !busy && list_empty(&w->jobs) && list_empty(&w->inputs))
                pthread_cond_timedwait(&w->wake, &w->lock, &ts);
        bool stopping = w->stopping;
        pthread_mutex_unlock(&w->lock);
        return !stopping;
}

static void *writer_main(void *arg)
{
        struct writer *w = arg;
        bool more = false;
        while (!w->failed && wait_for_work(w, more)) {
                run_jobs(w);
                if (!commit(w) || !apply_group(w))
                        break;
                more = engine_reap(&w->engine);
        }
        return NULL;
}

static void on_gone(void *arg, const struct shape *s)
{
        struct writer *w = arg;
        w->o.on_gone(w->o.arg, s);
}

static void on_table(void *arg, uint32_t oid, bool used)
{
        struct writer *w = arg;
        w->o.on_table(w->o.arg, oid, used);
}

static void on_described(void *arg, uint32_t oid)
{
        struct writer *w = arg;
        w->o.on_described(w->o.arg, oid);
}

int writer_open(struct writer **out, const struct writer_options *o, struct buf *why)
{
        struct writer *w = mem_new(struct writer);
        pthread_condattr_t attr;
        w->magic = WRITER_MAGIC;
        w->o = *o;
        w->o.engine.arg = w;
        w->o.engine.on_full = on_full;
        w->o.engine.on_announce = on_announce;
        w->o.engine.on_commit = on_commit;
        w->o.engine.on_gone = on_gone;
        w->o.engine.on_table = on_table;
        w->o.engine.on_described = on_described;
        int err = engine_open(&w->engine, &w->o.engine, why);
        if (err) {
                mem_free(w);
                return err;
        }
        atomic_init(&w->applied, w->engine.place.applied.v);
        list_init(&w->jobs);
        list_init(&w->inputs);
        list_init(&w->done);
        pthread_mutex_init(&w->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&w->wake, &attr);
        pthread_condattr_destroy(&attr);
        *out = w;
        return 0;
}

void writer_start(struct writer *w)
{
        SLUICE_ASSERT(!w->started);
        int err = pthread_create(&w->thread, NULL, writer_main, w);
        SLUICE_ASSERT(err == 0);
        w->started = true;
}

void writer_stop(struct writer *w)
{
        CHECK_OBJ(w, WRITER_MAGIC);
        pthread_mutex_lock(&w->lock);
        w->stopping = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        if (w->started)
                pthread_join(w->thread, NULL);
        w->started = false;
        finish_all(&w->done, ERR_CANCELLED);
        finish_all(&w->jobs, ERR_CANCELLED);
}

void writer_close(struct writer *w)
{
        if (!w)
                return;
        writer_stop(w);
        for (struct list *n; (n = list_pop_front(&w->inputs));)
                free_input(LIST_OBJ(n, struct input, node));
        engine_close(&w->engine);
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
        w->magic = 0;
        mem_free(w);
}

lsn_t writer_applied(const struct writer *w)
{
        return (lsn_t){atomic_load_explicit(&w->applied, memory_order_acquire)};
}

bool writer_is_ahead(const struct writer *w)
{
        return atomic_load_explicit(&w->ahead, memory_order_acquire);
}

uint64_t writer_joins_done(const struct writer *w)
{
        return atomic_load_explicit(&w->joins_done, memory_order_acquire);
}

struct shapelog_place writer_place(const struct writer *w)
{
        SLUICE_ASSERT(!w->started);
        return w->engine.place;
}

void writer_each_table(const struct writer *w, void (*cb)(void *arg, uint32_t oid), void *arg)
{
        size_t cursor = 0;
        SLUICE_ASSERT(!w->started);
        for (const struct topic *t; (t = hmap_next(&w->engine.shapes.match.topics, &cursor, NULL));)
                cb(arg, t->oid);
}
