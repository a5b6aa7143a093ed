#include "services/router/resolve.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/hmap.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "common/wire/definition.h"
#include "services/router/clause.h"
#include "services/router/health.h"
#include "services/router/reply.h"

enum { SCHEMA_MAX_BYTES = 8 << 20, CLAUSE_MAX_BYTES = 1 << 24, BUSY_RETRY_S = 1 };

#define MISMATCH                                                                                   \
        "The specified shape definition and handle do not match. Please ensure the shape "         \
        "definition is correct or omit the shape handle from the request to obtain a new one."

struct resolve {
        struct resolve_options o;
        struct hmap lookups; /* definition -> struct lookup */
};

/* A definition being looked up, and who waits for it. */
struct lookup {
        struct resolve *resolve;
        struct slice definition; /* owned */
        struct list waiting;     /* struct request: one that deletes, or any number of others */
        struct catalog_answer answer;
        struct buf identity, where_sql; /* of a definition that is valid */
        bool without_leader; /* when it began another leader had the stream: nothing is to be
                                created */
};

/* One call. */
struct request {
        struct resolve *resolve;
        struct list node;
        struct rpc_call *call;                  /* NULL: answered, or waiting in a lookup's list */
        struct slice definition, wanted_handle; /* owned */
        bool create, deletes;
        /* the answer, sent after the commit */
        struct buf handle, schema;
        bool started;
};

static struct request *request_new(struct resolve *r, struct rpc_call *call,
                                   struct slice definition)
{
        struct request *q = mem_new(struct request);
        q->resolve = r;
        q->call = call;
        q->definition = slice_dup(definition);
        list_init(&q->node);
        buf_init(&q->handle, SHAPE_HANDLE_MAX);
        buf_init(&q->schema, SCHEMA_MAX_BYTES);
        return q;
}

static void request_free(struct request *q)
{
        list_remove(&q->node);
        mem_free((void *)q->definition.p);
        mem_free((void *)q->wanted_handle.p);
        buf_fini(&q->handle);
        buf_fini(&q->schema);
        mem_free(q);
}

static struct rpc_call *take_call(struct request *q)
{
        struct rpc_call *call = q->call;
        q->call = NULL;
        return call;
}

static void describe(const struct shape *s, struct request *q)
{
        limit_used(q->resolve->o.limit, s->id);
        shape_handle(s->id, s->created_us, &q->handle);
        projection_schema_json(s->view->projection, &q->schema);
        q->started = s->tail.snapshot_started;
}

static void reply_found(struct request *q)
{
        union msg m = {.resolve_ok = {.type = MSG_resolve_ok,
                                      .handle = buf_slice(&q->handle),
                                      .schema = buf_slice(&q->schema),
                                      .started = q->started}};
        reply_send(take_call(q), &m);
}

static void reply_deleted(struct request *q)
{
        union msg m = {.delete_ok = {.type = MSG_delete_ok, .handle = buf_slice(&q->handle)}};
        reply_send(take_call(q), &m);
}

/* What was done is committed, unless there is an error. */
static void reply_done(struct request *q, int err)
{
        if (!q->call)
                return;
        if (err)
                reply_not_active(take_call(q));
        else if (q->deletes)
                reply_deleted(q);
        else
                reply_found(q);
}

/* ---- deleting */

static void delete_shape(struct engine *e, struct shape *s, bool full, struct request *q)
{
        if (!s) {
                reply_refuse(take_call(q), 404, SLICE_LIT("No existing shape found"), 0);
                return;
        }
        if (full) {
                reply_not_active(take_call(q));
                return;
        }
        shape_handle(s->id, s->created_us, &q->handle);
        if (q->wanted_handle.len && !slice_eq(q->wanted_handle, buf_slice(&q->handle))) {
                reply_refuse(take_call(q), 400, SLICE_LIT(MISMATCH), 0);
                return;
        }
        engine_remove(e, s, GONE_DELETED, SLICE_EMPTY);
}

/* ---- looking up */

static void lookup_free(struct lookup *l)
{
        while (!list_empty(&l->waiting))
                request_free(LIST_OBJ(l->waiting.next, struct request, node));
        catalog_answer_fini(&l->answer);
        buf_fini(&l->identity);
        buf_fini(&l->where_sql);
        mem_free((void *)l->definition.p);
        mem_free(l);
}

static void refuse_all(struct lookup *l, uint64_t status, struct slice body, uint64_t retry_after_s)
{
        for (struct list *n = l->waiting.next; n != &l->waiting; n = n->next) {
                struct request *q = LIST_OBJ(n, struct request, node);
                reply_failed(take_call(q), status, body, retry_after_s);
        }
}

static struct shape *create(struct resolve *r, struct engine *e, struct lookup *l)
{
        struct definition d;
        int err = definition_decode(l->definition, &d);
        SLUICE_ASSERT(err == 0);
        struct shape_spec spec = {.definition = l->definition,
                                  .identity = buf_slice(&l->identity),
                                  .table = l->answer.table,
                                  .where = l->answer.where,
                                  .all_columns = !d.has_columns && !d.has_queryable,
                                  .replica = d.replica,
                                  .columns = l->answer.columns,
                                  .n_columns = l->answer.n_columns};
        l->answer.table = NULL;
        l->answer.where = NULL;
        struct shape *s = engine_create(e, &spec);
        struct snapshot_job job = {.shape_id = s->id,
                                   .projection = s->view->projection,
                                   .where_sql = buf_slice(&l->where_sql),
                                   .only_end = d.log == LOG_CHANGES_ONLY};
        err = snapshot_submit(r->o.snapshots, &job);
        SLUICE_ASSERT(err == 0); /* max_jobs */
        definition_fini(&d);
        return s;
}

static void refuse_busy(struct lookup *l)
{
        refuse_all(l, 503, SLICE_LIT("{\"message\":\"Failed to create shape, please retry\"}"),
                   BUSY_RETRY_S);
}

static void refuse_not_active(struct lookup *l)
{
        for (struct list *n = l->waiting.next; n != &l->waiting; n = n->next)
                reply_not_active(take_call(LIST_OBJ(n, struct request, node)));
}

/* Another spelling of what is there, or a new shape. */
static void find_or_create(struct resolve *r, struct engine *e, bool full, struct lookup *l)
{
        struct shape *s = registry_find_identity(&e->shapes, buf_slice(&l->identity));
        if (s) {
                registry_add_alias(&e->shapes, s, l->definition);
        } else if (l->without_leader && !health_may_begin()) {
                refuse_not_active(l);
                return;
        } else if (full || hmap_count(&e->jobs) >= r->o.max_jobs) {
                refuse_busy(l);
                return;
        } else {
                s = create(r, e, l);
        }
        for (struct list *n = l->waiting.next; n != &l->waiting; n = n->next)
                describe(s, LIST_OBJ(n, struct request, node));
}

/* The verdict is here. */
static void judge(struct resolve *r, struct engine *e, bool full, struct lookup *l)
{
        const struct catalog_answer *a = &l->answer;
        struct request *first = LIST_OBJ(l->waiting.next, struct request, node);
        bool valid = a->status == 0;
        if (first->deletes && (valid || a->status == 400))
                delete_shape(e,
                             valid ? registry_find_identity(&e->shapes, buf_slice(&l->identity))
                                   : NULL,
                             full, first);
        else if (!valid)
                refuse_all(l, a->status, buf_slice(&a->body), a->retry_after_s);
        else
                find_or_create(r, e, full, l);
}

/* Lookups for deleting are not shared. */
static void forget(struct lookup *l)
{
        if (hmap_find(&l->resolve->lookups, l->definition) == l)
                hmap_take(&l->resolve->lookups, l->definition);
}

static void run_answer(void *arg, struct engine *e, bool full)
{
        struct lookup *l = arg;
        forget(l);
        judge(l->resolve, e, full, l);
}

static void after_answer(void *arg, int err)
{
        struct lookup *l = arg;
        for (struct list *n = l->waiting.next; n != &l->waiting; n = n->next)
                reply_done(LIST_OBJ(n, struct request, node), err);
        if (err)
                forget(l);
        lookup_free(l);
}

static void describe_clause(struct lookup *l)
{
        struct definition d;
        if (l->answer.status != 0)
                return;
        int err = definition_decode(l->definition, &d);
        SLUICE_ASSERT(err == 0);
        clause_identity(&d, l->answer.where, &l->identity);
        if (l->answer.where)
                where_sql(l->answer.where, &l->where_sql);
        SLUICE_ASSERT(buf_status(&l->identity) == 0 && buf_status(&l->where_sql) == 0);
        definition_fini(&d);
}

/* On the catalog's thread. */
static void on_answer(void *arg, struct catalog_answer *answer)
{
        struct lookup *l = arg;
        l->answer = *answer;
        *answer = (struct catalog_answer){0};
        describe_clause(l);
        writer_post(l->resolve->o.writer, WRITER_ANYTIME, run_answer, after_answer, l);
}

static struct lookup *lookup_new(struct resolve *r, struct slice definition)
{
        struct lookup *l = mem_new(struct lookup);
        l->resolve = r;
        l->definition = slice_dup(definition);
        l->without_leader = svc_get_state(NULL) == SVC_WAITING;
        list_init(&l->waiting);
        buf_init(&l->identity, CLAUSE_MAX_BYTES);
        buf_init(&l->where_sql, CLAUSE_MAX_BYTES);
        return l;
}

static void look_up(struct resolve *r, struct request *q)
{
        struct lookup *l = q->deletes ? NULL : hmap_find(&r->lookups, q->definition);
        bool is_new = !l;
        if (is_new) {
                l = lookup_new(r, q->definition);
                if (!q->deletes)
                        hmap_put(&r->lookups, l->definition, l);
        }
        /* the request lives on there; what runs after this job sees an empty one */
        struct request *waiting = request_new(r, take_call(q), q->definition);
        waiting->deletes = q->deletes;
        waiting->wanted_handle = slice_dup(q->wanted_handle);
        list_push_back(&l->waiting, &waiting->node);
        if (is_new)
                catalog_request(r->o.catalog, l->definition, on_answer, l);
}

/* ---- finding */

/* While another leader has the stream nothing is created, but what is wrong is told, and another
 * spelling of a shape found (protocol §7.9). */
static void run_find(void *arg, struct engine *e, bool full)
{
        struct request *q = arg;
        struct shape *s = registry_find_definition(&e->shapes, q->definition);
        if (s)
                describe(s, q);
        else if (!q->create)
                reply_refuse(take_call(q), 404, SLICE_LIT("No existing shape found"), 0);
        else if (full || (svc_get_state(NULL) == SVC_STARTING && !health_may_begin()))
                reply_not_active(take_call(q));
        else
                look_up(q->resolve, q);
}

static void after_request(void *arg, int err)
{
        struct request *q = arg;
        reply_done(q, err);
        request_free(q);
}

void resolve_find(struct resolve *r, struct rpc_call *call, const struct msg_resolve *m)
{
        struct definition d;
        if (definition_decode(m->definition, &d) != 0) {
                reply_refuse(call, 400, SLICE_LIT("malformed definition"), 0);
                return;
        }
        definition_fini(&d);
        struct request *q = request_new(r, call, m->definition);
        q->create = m->create;
        writer_post(r->o.writer, WRITER_ANYTIME, run_find, after_request, q);
}

/* ---- deleting */

static struct shape *find_by_handle(const struct engine *e, struct slice handle)
{
        uint64_t id, created_us;
        if (shape_parse_handle(handle, &id, &created_us) != 0)
                return NULL;
        struct shape *s = registry_find(&e->shapes, id);
        return s && s->created_us == created_us ? s : NULL;
}

/* A definition that may be another spelling of a shape's. */
static bool may_be_alias(struct slice definition)
{
        struct definition d;
        if (definition_decode(definition, &d) != 0)
                return false;
        bool may = d.where.len > 0 || d.has_queryable || d.n_params > 0;
        definition_fini(&d);
        return may;
}

static void run_delete(void *arg, struct engine *e, bool full)
{
        struct request *q = arg;
        struct shape *s = q->definition.len ? registry_find_definition(&e->shapes, q->definition)
                                            : find_by_handle(e, q->wanted_handle);
        if (!s && may_be_alias(q->definition))
                look_up(q->resolve, q);
        else
                delete_shape(e, s, full, q);
}

void resolve_delete(struct resolve *r, struct rpc_call *call, const struct msg_delete_shape *m)
{
        struct request *q = request_new(r, call, m->definition);
        q->wanted_handle = slice_dup(m->handle);
        q->deletes = true;
        writer_post(r->o.writer, WRITER_ANYTIME, run_delete, after_request, q);
}

/* ---- */

struct resolve *resolve_new(const struct resolve_options *o)
{
        struct resolve *r = mem_new(struct resolve);
        r->o = *o;
        hmap_init(&r->lookups);
        return r;
}

void resolve_free(struct resolve *r)
{
        if (!r)
                return;
        SLUICE_ASSERT(hmap_count(&r->lookups) == 0);
        hmap_fini(&r->lookups);
        mem_free(r);
}
