#include "services/router/subset.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/pg/pg.h"
#include "services/router/catalog_verdict.h"
#include "services/router/metrics.h"
#include "services/router/reply.h"
#include "services/router/shape.h"
#include "services/router/subset_cover.h"
#include "services/router/subset_run.h"

enum {
        POOL_MAGIC = 0x5b5e7001,
        IDLE_CLOSE_MS = 30000,
        COVER_MAX_BYTES = 1 << 20, /* of the log looked through for one subset */
        BUSY_RETRY_S = 5
};

struct waiting {
        struct list node;
        struct rpc_call *call;
        uint64_t deadline_ms;
};

struct worker {
        struct subset_pool *pool;
        pthread_t thread;
        struct subset_reader reader; /* the thread's own */
};

struct subset_pool {
        uint32_t magic;
        struct subset_options o; /* strings owned */
        struct worker *workers;
        int stop_fd; /* readable: the pool stops */

        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct list queue;
        uint32_t n_queue;
        bool stopping;
};

/* ---- the shape, as the store has it */

struct subject {
        struct slice record;     /* owned */
        struct definition shape; /* borrows from the record */
        struct table *table;     /* owned */
        struct projection *projection;
};

static void subject_fini(struct subject *s)
{
        projection_free(s->projection);
        table_free(s->table);
        definition_fini(&s->shape);
        mem_free((void *)(uintptr_t)s->record.p);
}

static int decode_record(struct subject *s)
{
        struct shape_record r;
        if (shape_record_decode(s->record, &r) != 0)
                return ERR_CORRUPT;
        int err = definition_decode(r.definition, &s->shape);
        if (!err)
                err = table_decode(r.table, &s->table);
        if (!err)
                s->projection = projection_new(s->table, r.columns, r.n_columns, s->shape.replica);
        shape_record_fini(&r);
        return err ? ERR_CORRUPT : 0;
}

static int copy_record(struct store_txn *t, uint64_t id, uint64_t created_us, struct slice *out)
{
        struct slice record;
        struct shape_record_head head;
        struct shape_tail tail;
        if (!shapelog_get_record(t, id, &record))
                return ERR_NOTFOUND;
        if (shape_record_head(record, &head) != 0)
                return ERR_CORRUPT;
        if (head.created_us != created_us)
                return ERR_NOTFOUND;
        if (!shapelog_get_tail(t, id, &tail) || !tail.snapshot_started)
                return ERR_AGAIN;
        *out = slice_dup(record);
        return 0;
}

/* Which shape a definition stands for has been found out by resolving it. ERR_NOTFOUND: no such
 * shape; ERR_AGAIN: its snapshot has not started. */
static int load_subject(struct subset_pool *p, struct slice handle, struct subject *out)
{
        struct store_txn t;
        uint64_t id, created_us;
        if (shape_parse_handle(handle, &id, &created_us) != 0)
                return ERR_NOTFOUND;
        store_begin_read(p->o.store, &t);
        int err = copy_record(&t, id, created_us, &out->record);
        if (t.err)
                err = t.err;
        store_abort(&t);
        if (!err)
                err = decode_record(out);
        if (err == ERR_CORRUPT)
                store_distrust(p->o.store, "a shape's record cannot be");
        return err;
}

/* ---- how far the client is (subset_cover.h) */

static struct log_offset safe_end(struct subset_pool *p, const struct msg_subset *m,
                                  struct slice rows)
{
        struct log_offset after = {m->after_tx, m->after_op}, end = {m->end_tx, m->end_op};
        struct shapelog_read r;
        struct store_txn t;
        struct buf entries;
        uint64_t id, created_us;
        if (!m->has_after || offset_cmp(end, after) <= 0 ||
            shape_parse_handle(m->handle, &id, &created_us) != 0)
                return end;
        struct shapelog_range range = {.after = after, .limit = end, .max_bytes = COVER_MAX_BYTES};
        buf_init(&entries, COVER_MAX_BYTES);
        store_begin_read(p->o.store, &t);
        int err = shapelog_read(&t, id, &range, &r, &entries);
        if (t.err)
                err = t.err;
        store_abort(&t);
        bool covers = !err && offset_cmp(r.at, end) == 0 && r.next_run == 0 &&
                      subset_covers(rows, buf_slice(&entries));
        buf_fini(&entries);
        return covers ? end : after;
}

/* ---- answers */

static void reply_trouble(struct rpc_call *call, const struct trouble *t)
{
        reply_failed(call, t->status, buf_slice(&t->body), t->retry_after_s);
}

static void reply_valid(struct rpc_call *call, bool pending)
{
        union msg m = {
                .subset_ok = {.type = MSG_subset_ok, .pending = pending, .body = SLICE_EMPTY}};
        reply_send(call, &m);
}

static void reply_rows(struct subset_pool *p, struct rpc_call *call, const struct msg_subset *m,
                       const struct subset_job *job)
{
        struct log_offset end = safe_end(p, m, job->rows);
        struct msg_subset_ok ok = {.type = MSG_subset_ok,
                                   .end_tx = end.tx,
                                   .end_op = end.op,
                                   .body = buf_slice(job->body)};
        count(METRIC_SUBSETS, 1);
        count(METRIC_SUBSET_BYTES, (int64_t)job->body->len);
        reply_subset(call, &ok);
}

/* ---- reading */

static uint32_t random_mark(void)
{
        uint32_t mark;
        ssize_t n = getrandom(&mark, sizeof(mark), 0);
        SLUICE_ASSERT(n == (ssize_t)sizeof(mark));
        return mark >> 1;
}

static void read_rows(struct worker *w, struct waiting *q, const struct msg_subset *m,
                      const struct subset_query *query, const struct subject *s)
{
        struct subset_pool *p = w->pool;
        struct trouble trouble;
        struct buf body;
        struct subset_job job = {.query = query,
                                 .shape = &s->shape,
                                 .projection = s->projection,
                                 .deadline_ms = q->deadline_ms,
                                 .mark = random_mark(),
                                 .body = &body};
        trouble_init(&trouble);
        buf_init(&body, p->o.max_bytes);
        if (subset_run(&w->reader, &job, &trouble) == 0) {
                reply_rows(p, q->call, m, &job);
        } else {
                count(METRIC_SUBSETS_FAILED, 1);
                reply_trouble(q->call, &trouble);
        }
        buf_fini(&body);
        trouble_fini(&trouble);
}

static void serve_read(struct worker *w, struct waiting *q, const struct msg_subset *m,
                       const struct subset_query *query)
{
        struct subject s = {0};
        int err = load_subject(w->pool, m->handle, &s);
        if (err == ERR_AGAIN)
                reply_valid(q->call, true);
        else if (err == ERR_NOTFOUND)
                reply_refuse(q->call, 409, SLICE_LIT("no such shape"), 0);
        else if (err)
                reply_refuse(q->call, 500, SLICE_LIT("the shape cannot be read"), 0);
        else
                read_rows(w, q, m, query, &s);
        subject_fini(&s);
}

/* ---- validating: nothing is created for a request that is not valid (protocol §2.1) */

static void judge(struct rpc_call *call, const struct subset_query *query, struct table *table)
{
        struct catalog_answer a;
        struct buf sql, body;
        catalog_answer_init(&a);
        buf_init(&sql, (size_t)16 << 20);
        buf_init(&body, CATALOG_BODY_MAX_BYTES);
        catalog_judge(&query->request, table, &a);
        struct projection *p =
                a.status ? NULL
                         : projection_new(table, a.columns, a.n_columns, query->request.replica);
        if (a.status)
                reply_failed(call, a.status, buf_slice(&a.body), a.retry_after_s);
        else if (subset_query_sql(query, &query->request, p, &sql, &body) != 0)
                reply_failed(call, 400, buf_slice(&body), 0);
        else
                reply_valid(call, false);
        projection_free(p);
        buf_fini(&body);
        buf_fini(&sql);
        catalog_answer_fini(&a);
}

static void serve_check(struct worker *w, struct waiting *q, const struct subset_query *query)
{
        struct table *table = NULL;
        struct trouble trouble;
        struct catalog_answer a;
        trouble_init(&trouble);
        catalog_answer_init(&a);
        int err = subset_find_table(&w->reader, &query->request, q->deadline_ms, &table, &trouble);
        if (err == ERR_NOTFOUND) {
                catalog_refuse_table(&a, &query->request);
                reply_failed(q->call, a.status, buf_slice(&a.body), 0);
        } else if (err) {
                reply_trouble(q->call, &trouble);
        } else {
                judge(q->call, query, table);
        }
        table_free(table);
        catalog_answer_fini(&a);
        trouble_fini(&trouble);
}

static void serve(struct worker *w, struct waiting *q)
{
        union msg m;
        struct subset_query query;
        if (clock_mono_ms() >= q->deadline_ms) {
                reply_refuse(q->call, 503, SLICE_LIT("too many subsets are wanted"), BUSY_RETRY_S);
                return;
        }
        if (msg_decode(rpc_call_body(q->call), &m) != 0 || m.type != MSG_subset ||
            subset_query_read(&query, &m.subset) != 0) {
                reply_refuse(q->call, 400, SLICE_LIT("malformed subset"), 0);
                return;
        }
        if (m.subset.handle.len)
                serve_read(w, q, &m.subset, &query);
        else
                serve_check(w, q, &query);
        subset_query_fini(&query);
}

/* ---- the workers */

/* Under the lock. False when the time has come to give an idle connection back. */
static bool wait_changed(struct worker *w, uint64_t idle_at_ms)
{
        struct subset_pool *p = w->pool;
        struct timespec at = {.tv_sec = (time_t)(idle_at_ms / 1000),
                              .tv_nsec = (long)(idle_at_ms % 1000) * 1000000};
        if (!w->reader.conn) {
                pthread_cond_wait(&p->changed, &p->lock);
                return true;
        }
        pthread_cond_timedwait(&p->changed, &p->lock, &at);
        return clock_mono_ms() < idle_at_ms;
}

/* NULL when the pool stops. */
static struct waiting *next(struct worker *w)
{
        struct subset_pool *p = w->pool;
        uint64_t idle_at_ms = clock_mono_ms() + IDLE_CLOSE_MS;
        struct waiting *q = NULL;
        pthread_mutex_lock(&p->lock);
        while (!p->stopping && list_empty(&p->queue))
                if (!wait_changed(w, idle_at_ms) && list_empty(&p->queue))
                        subset_disconnect(&w->reader);
        if (!p->stopping) {
                q = LIST_OBJ(list_pop_front(&p->queue), struct waiting, node);
                p->n_queue--;
        }
        pthread_mutex_unlock(&p->lock);
        return q;
}

static void *run_worker(void *arg)
{
        struct worker *w = arg;
        struct waiting *q;
        while ((q = next(w))) {
                serve(w, q);
                mem_free(q);
        }
        subset_disconnect(&w->reader);
        return NULL;
}

/* ---- the pool */

void subset_submit(struct subset_pool *p, struct rpc_call *call)
{
        CHECK_OBJ(p, POOL_MAGIC);
        struct waiting *q = mem_new(struct waiting);
        *q = (struct waiting){.call = call, .deadline_ms = clock_mono_ms() + SUBSET_DEADLINE_MS};
        pthread_mutex_lock(&p->lock);
        bool stopping = p->stopping, accepted = !stopping && p->n_queue < p->o.max_queue;
        if (accepted) {
                list_push_back(&p->queue, &q->node);
                p->n_queue++;
                pthread_cond_signal(&p->changed);
        }
        pthread_mutex_unlock(&p->lock);
        if (accepted)
                return;
        mem_free(q);
        if (stopping)
                reply_not_active(call);
        else
                reply_refuse(call, 503, SLICE_LIT("too many subsets are wanted"), BUSY_RETRY_S);
}

static void init_lock(struct subset_pool *p)
{
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&p->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        pthread_mutex_init(&p->lock, NULL);
}

static void start_worker(struct subset_pool *p, struct worker *w)
{
        w->pool = p;
        w->reader = (struct subset_reader){.database_url = p->o.database_url,
                                           .pooled = p->o.pooled,
                                           .ca_file = p->o.ca_file,
                                           .writer = p->o.writer,
                                           .max_bytes = p->o.max_bytes,
                                           .wake_fd = p->stop_fd};
        SLUICE_ASSERT(pthread_create(&w->thread, NULL, run_worker, w) == 0);
}

int subset_pool_open(struct subset_pool **out, const struct subset_options *o, struct buf *why)
{
        SLUICE_ASSERT(o->database_url && o->workers > 0 && o->max_queue > 0 && o->max_bytes > 0);
        int err = pg_check_url(o->database_url, o->ca_file, why);
        if (err)
                return err;
        struct subset_pool *p = mem_new(struct subset_pool);
        p->magic = POOL_MAGIC;
        p->o = *o;
        p->o.database_url = slice_dup_cstr(slice_cstr(o->database_url));
        p->o.ca_file = slice_dup_cstr(slice_cstr(o->ca_file ? o->ca_file : ""));
        p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        SLUICE_ASSERT(p->stop_fd >= 0);
        list_init(&p->queue);
        init_lock(p);
        p->workers = mem_zalloc(o->workers * sizeof(*p->workers));
        for (uint32_t i = 0; i < o->workers; i++)
                start_worker(p, &p->workers[i]);
        *out = p;
        return 0;
}

void subset_pool_stop(struct subset_pool *p)
{
        CHECK_OBJ(p, POOL_MAGIC);
        struct list *node;
        pthread_mutex_lock(&p->lock);
        p->stopping = true;
        pthread_cond_broadcast(&p->changed);
        SLUICE_ASSERT(eventfd_write(p->stop_fd, 1) == 0);
        pthread_mutex_unlock(&p->lock);
        for (uint32_t i = 0; i < p->o.workers; i++)
                pthread_join(p->workers[i].thread, NULL);
        while ((node = list_pop_front(&p->queue))) {
                struct waiting *q = LIST_OBJ(node, struct waiting, node);
                reply_not_active(q->call);
                mem_free(q);
        }
}

void subset_pool_free(struct subset_pool *p)
{
        CHECK_OBJ(p, POOL_MAGIC);
        SLUICE_ASSERT(p->stopping);
        close(p->stop_fd);
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->lock);
        mem_free((void *)(uintptr_t)p->o.database_url);
        mem_free((void *)(uintptr_t)p->o.ca_file);
        mem_free(p->workers);
        p->magic = 0;
        mem_free(p);
}
