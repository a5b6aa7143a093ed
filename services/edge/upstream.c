#include "services/edge/upstream.h"

#include <stdatomic.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/wire/definition.h"

enum {
        SUB_QUEUE = 8192,
        /* for one loop; more are dropped, which the loop sees as a gap */
        MAX_FRAMES_WAITING = 4096,
        MAX_FRAME_BYTES_WAITING = 16 << 20,
        MAX_REQUEST = DEFINITION_MAX_BYTES + (8 << 20), /* with what a client may post */
        POLL_FAST_MS = 100,
        POLL_SLOW_MS = 1000,
        POLL_TIMEOUT_MS = 2000,
        MAX_POLLS = 4, /* of a router that are not answered yet */
        MAX_REASON = 256
};

struct shard {
        struct upstream *up;
        uint32_t index;
        struct rpc_client *rpc;
        struct sub *sub;
        atomic_int state;  /* enum svc_state */
        atomic_int wait;   /* index of waits[] */
        atomic_bool asked; /* upstream_ask() is on its way to the main thread */
        /* main thread */
        uint32_t n_polls;         /* not answered yet */
        uint64_t polled, applied; /* number of the last one; of the last one whose answer counted */
};

struct sink {
        struct http_loop *loop;
        struct list stalled[UPSTREAM_MAX_SHARDS]; /* calls that found no free slot; loop's thread */
        _Atomic int64_t frames_waiting, frame_bytes_waiting;
};

struct upstream {
        struct upstream_callbacks callbacks;
        struct loop *main_loop;
        struct loop_timer *poll_timer;
        uint32_t n_shards;
        atomic_uint n_sinks; /* grows while notices may come already */
        struct shard shards[UPSTREAM_MAX_SHARDS];
        struct sink *sinks;
        uint32_t max_sinks;
        bool stopping;
        char reason[MAX_REASON]; /* of the shard that is not active */
};

/* ---- calls */

struct call {
        struct http_post post; /* first */
        struct list node;      /* in sink->stalled */
        struct upstream *up;
        struct sink *sink;
        uint32_t shard;
        struct buf request;
        uint64_t deadline_ms;
        upstream_callback *cb;
        void *arg;
        int err;
        struct blob *blob;
};

static void retry_stalled(struct sink *sink, uint32_t shard);

static void decode(struct call *call, struct upstream_reply *reply)
{
        reply->err = call->err;
        reply->blob = call->blob;
        if (reply->err != 0)
                return;
        reply->err = msg_decode(blob_slice(call->blob), &reply->msg);
        if (reply->err != 0)
                log_error("reply_malformed", "router %u sent a reply that cannot be decoded: %s",
                          call->shard, err_text(reply->err));
}

static void deliver(void *state, struct http_post *post)
{
        struct call *call = (struct call *)post;
        struct upstream_reply reply = {0};
        decode(call, &reply);
        call->cb(state, call->arg, &reply);
        retry_stalled(call->sink, call->shard);
        blob_unref(call->blob);
        buf_fini(&call->request);
        mem_free(call);
}

/* NNG's thread. */
static void on_reply(void *arg, int err, struct bus_msg *reply)
{
        struct call *call = arg;
        call->err = err;
        if (err == 0)
                call->blob = blob_of(reply);
        http_loop_post(call->sink->loop, &call->post);
}

static void fail_later(struct call *call, int err)
{
        call->err = err;
        http_loop_post(call->sink->loop, &call->post);
}

/* False when every slot is in use: try again when one is free. */
static bool try_send(struct call *call)
{
        uint64_t now = clock_mono_ms();
        if (call->up->stopping) {
                fail_later(call, ERR_CANCELLED);
                return true;
        }
        if (now >= call->deadline_ms) {
                fail_later(call, ERR_TIMEOUT);
                return true;
        }
        int err = rpc_send(call->up->shards[call->shard].rpc, buf_slice(&call->request),
                           (uint32_t)(call->deadline_ms - now), on_reply, call);
        if (err == ERR_AGAIN)
                return false;
        if (err != 0)
                fail_later(call, err);
        return true;
}

static void retry_stalled(struct sink *sink, uint32_t shard)
{
        struct list *stalled = &sink->stalled[shard];
        while (!list_empty(stalled)) {
                struct call *call = LIST_OBJ(stalled->next, struct call, node);
                if (!try_send(call))
                        return;
                /* The reply cannot be delivered before this function returns: it is posted to this
                 * thread. */
                list_remove(&call->node);
        }
}

void upstream_call(struct upstream *u, uint32_t loop, uint32_t shard, const union msg *m,
                   upstream_callback *cb, void *arg)
{
        upstream_call_within(u, loop, shard, m, UPSTREAM_TIMEOUT_MS, cb, arg);
}

void upstream_call_within(struct upstream *u, uint32_t loop, uint32_t shard, const union msg *m,
                          uint32_t timeout_ms, upstream_callback *cb, void *arg)
{
        SLUICE_ASSERT(shard < u->n_shards && loop < u->max_sinks);
        struct call *call = mem_new(struct call);
        call->post.cb = deliver;
        call->up = u;
        call->sink = &u->sinks[loop];
        call->shard = shard;
        call->deadline_ms = clock_mono_ms() + timeout_ms;
        call->cb = cb;
        call->arg = arg;
        list_init(&call->node);
        buf_init(&call->request, MAX_REQUEST);
        msg_encode(&call->request, m);
        if (buf_status(&call->request) != 0)
                fail_later(call, ERR_LIMIT);
        else if (!list_empty(&call->sink->stalled[shard]) || !try_send(call))
                list_push_back(&call->sink->stalled[shard], &call->node);
}

/* ---- notices */

struct frame_post {
        struct http_post post; /* first */
        struct upstream *up;
        struct sink *sink;
        uint32_t shard;
        struct bus_msg *msg;
};

static void count_frame(struct sink *sink, const struct bus_msg *msg, int64_t by)
{
        int64_t bytes = by * (int64_t)bus_msg_body(msg).len;
        atomic_fetch_add_explicit(&sink->frames_waiting, by, memory_order_relaxed);
        atomic_fetch_add_explicit(&sink->frame_bytes_waiting, bytes, memory_order_relaxed);
}

static bool takes_frames(const struct sink *sink)
{
        return atomic_load_explicit(&sink->frames_waiting, memory_order_relaxed) <
                       MAX_FRAMES_WAITING &&
               atomic_load_explicit(&sink->frame_bytes_waiting, memory_order_relaxed) <
                       MAX_FRAME_BYTES_WAITING;
}

static void deliver_frame(void *state, struct http_post *post)
{
        struct frame_post *f = (struct frame_post *)post;
        f->up->callbacks.on_frame(state, f->shard, bus_msg_body(f->msg));
        retry_stalled(f->sink, f->shard);
        count_frame(f->sink, f->msg, -1);
        bus_msg_unref(f->msg);
        mem_free(f);
}

/* NNG's thread. */
static void on_frame(void *arg, struct bus_msg *msg)
{
        struct shard *shard = arg;
        uint32_t n = atomic_load_explicit(&shard->up->n_sinks, memory_order_acquire);
        for (uint32_t i = 0; i < n; i++) {
                struct sink *sink = &shard->up->sinks[i];
                if (!takes_frames(sink))
                        continue;
                count_frame(sink, msg, 1);
                struct frame_post *f = mem_new(struct frame_post);
                f->post.cb = deliver_frame;
                f->up = shard->up;
                f->sink = sink;
                f->shard = shard->index;
                f->msg = bus_msg_ref(msg);
                http_loop_post(sink->loop, &f->post);
        }
        bus_msg_unref(msg);
}

/* ---- readiness: main thread asks each router for its state */

struct poll_reply {
        struct shard *shard;
        uint64_t number;
        enum svc_state state;
        char reason[MAX_REASON];
};

struct state_post {
        struct http_post post; /* first */
        struct upstream *up;
        uint32_t shard;
        enum svc_state state;
};

static void deliver_state(void *state, struct http_post *post)
{
        struct state_post *s = (struct state_post *)post;
        s->up->callbacks.on_shard_state(state, s->shard, s->state);
        mem_free(s);
}

enum svc_state upstream_shard_state(const struct upstream *u, uint32_t shard)
{
        SLUICE_ASSERT(shard < u->n_shards);
        return (enum svc_state)atomic_load_explicit(&u->shards[shard].state, memory_order_relaxed);
}

void upstream_doubt(struct upstream *u, uint32_t shard)
{
        SLUICE_ASSERT(shard < u->n_shards);
        int active = SVC_ACTIVE;
        if (!atomic_compare_exchange_strong(&u->shards[shard].state, &active, SVC_STARTING))
                return;
        atomic_store_explicit(&u->shards[shard].wait, SVC_STARTING, memory_order_relaxed);
        upstream_ask(u, shard);
}

enum svc_state upstream_state(const struct upstream *u)
{
        enum svc_state worst = SVC_ACTIVE;
        for (uint32_t i = 0; i < u->n_shards; i++)
                if (upstream_shard_state(u, i) < worst)
                        worst = upstream_shard_state(u, i);
        return worst;
}

/* What a client is told that has waited for a router in vain (protocol §4.6). A router's reason
 * begins with one of these; what follows behind a colon is for the log. The first ones are for a
 * state without such a reason. */
static const char *const waits[] = {
        [SVC_STARTING] = "Timeout waiting for shape metadata to be loaded",
        [SVC_WAITING] = "Timeout waiting for Postgres lock acquisition",
        [SVC_ACTIVE] = "Timeout waiting for stack restart",
        "Timeout waiting for replication client to be ready. Check that you don't have pending "
        "transactions in the database. Electric has to wait for all pending transactions to commit "
        "or rollback before it can create the replication slot.",
        "no space left for the shape logs",
};

static int wait_of(enum svc_state state, const char *reason)
{
        for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
                if (slice_starts(slice_cstr(reason), slice_cstr(waits[i])))
                        return (int)i;
        return (int)state;
}

const char *upstream_shard_wait(const struct upstream *u, uint32_t shard)
{
        SLUICE_ASSERT(shard < u->n_shards);
        return waits[atomic_load_explicit(&u->shards[shard].wait, memory_order_relaxed)];
}

static void announce(struct upstream *u, const struct poll_reply *p)
{
        for (uint32_t i = 0; i < u->n_sinks; i++) {
                struct state_post *s = mem_new(struct state_post);
                s->post.cb = deliver_state;
                s->up = u;
                s->shard = p->shard->index;
                s->state = p->state;
                http_loop_post(u->sinks[i].loop, &s->post);
        }
        log_event(p->state == SVC_ACTIVE ? LOG_INFO : LOG_WARNING, "router_state",
                  "router %u is %s%s%s", p->shard->index,
                  p->state == SVC_ACTIVE    ? "active"
                  : p->state == SVC_WAITING ? "waiting"
                                            : "starting",
                  p->reason[0] ? ": " : "", p->reason);
}

/* False: a later one was answered already. */
static bool is_latest(struct shard *shard, const struct poll_reply *p)
{
        if (p->number < shard->applied)
                return false;
        shard->applied = p->number;
        return true;
}

static void on_polled(void *arg)
{
        struct poll_reply *p = arg;
        struct upstream *u = p->shard->up;
        p->shard->n_polls--;
        if (!is_latest(p->shard, p)) {
                mem_free(p);
                return;
        }
        bool changed = upstream_shard_state(u, p->shard->index) != p->state;
        atomic_store_explicit(&p->shard->state, (int)p->state, memory_order_relaxed);
        atomic_store_explicit(&p->shard->wait, wait_of(p->state, p->reason), memory_order_relaxed);
        if (u->stopping) {
                mem_free(p);
                return;
        }
        if (changed)
                announce(u, p);
        if (p->state != SVC_ACTIVE)
                snprintf(u->reason, sizeof(u->reason), "router %u: %.200s", p->shard->index,
                         p->reason);
        enum svc_state all = upstream_state(u);
        svc_set_state(all, all == SVC_ACTIVE ? "" : u->reason);
        if (changed && all != SVC_ACTIVE)
                loop_timer_set(u->poll_timer, POLL_FAST_MS);
        mem_free(p);
}

/* NNG's thread. */
static void on_status(void *arg, int err, struct bus_msg *reply)
{
        struct poll_reply *p = arg;
        union msg m;
        p->state = SVC_STARTING;
        if (err != 0) {
                snprintf(p->reason, sizeof(p->reason), "no answer (%s)", err_text(err));
        } else if (msg_decode(bus_msg_body(reply), &m) != 0 || m.type != MSG_status_ok ||
                   m.status_ok.state > SVC_ACTIVE) {
                snprintf(p->reason, sizeof(p->reason), "answer not understood");
        } else {
                p->state = (enum svc_state)m.status_ok.state;
                size_t n = m.status_ok.reason.len;
                n = n < sizeof(p->reason) ? n : sizeof(p->reason) - 1;
                memcpy(p->reason, m.status_ok.reason.p, n);
        }
        loop_post(p->shard->up->main_loop, on_polled, p);
}

static void poll_shard(struct shard *shard)
{
        struct buf request;
        struct poll_reply *p = mem_new(struct poll_reply);
        union msg m = {.type = MSG_status};
        p->shard = shard;
        p->number = ++shard->polled;
        buf_init(&request, 64);
        msg_encode(&request, &m);
        shard->n_polls++;
        if (rpc_send(shard->rpc, buf_slice(&request), POLL_TIMEOUT_MS, on_status, p) != 0) {
                shard->n_polls--;
                mem_free(p);
        }
        buf_fini(&request);
}

static void on_poll_timer(void *arg)
{
        struct upstream *u = arg;
        for (uint32_t i = 0; i < u->n_shards; i++)
                if (u->shards[i].n_polls == 0)
                        poll_shard(&u->shards[i]);
        loop_timer_set(u->poll_timer,
                       upstream_state(u) == SVC_ACTIVE ? POLL_SLOW_MS : POLL_FAST_MS);
}

/* Main thread. One that is on its way may have been sent to a process that is no more. */
static void on_ask(void *arg)
{
        struct shard *shard = arg;
        atomic_store_explicit(&shard->asked, false, memory_order_release);
        if (shard->up->stopping)
                return;
        if (shard->n_polls < MAX_POLLS)
                poll_shard(shard);
        loop_timer_set(shard->up->poll_timer, POLL_FAST_MS);
}

void upstream_ask(struct upstream *u, uint32_t shard)
{
        SLUICE_ASSERT(shard < u->n_shards);
        if (!atomic_exchange_explicit(&u->shards[shard].asked, true, memory_order_acq_rel))
                loop_post(u->main_loop, on_ask, &u->shards[shard]);
}

/* ---- opening and closing */

static int next_url(const char **list, char *out, size_t room)
{
        const char *start = *list, *comma = strchr(start, ',');
        size_t len = comma ? (size_t)(comma - start) : strlen(start);
        struct slice url = slice_of(start, len);
        while (url.len && url.p[0] == ' ')
                url = slice_of(url.p + 1, url.len - 1);
        if (url.len == 0 || url.len >= room)
                return ERR_CONF;
        memcpy(out, url.p, url.len);
        out[url.len] = '\0';
        *list = comma ? comma + 1 : start + len;
        return 0;
}

static int open_shard(struct upstream *u, const char *notices, const char *fetch, struct buf *why)
{
        struct shard *shard = &u->shards[u->n_shards];
        shard->up = u;
        shard->index = u->n_shards;
        atomic_init(&shard->state, SVC_STARTING);
        atomic_init(&shard->wait, SVC_STARTING);
        int err =
                rpc_client_open(&shard->rpc, fetch, UPSTREAM_CONCURRENCY, UPSTREAM_MAX_REPLY, why);
        if (err != 0)
                return err;
        u->n_shards++;
        return sub_open(&shard->sub, notices, SUB_QUEUE, UPSTREAM_MAX_FRAME, on_frame, shard, why);
}

static int open_shards(struct upstream *u, const char *notices, const char *fetch, struct buf *why)
{
        char notices_url[256], fetch_url[256];
        while (*notices && *fetch) {
                if (u->n_shards == UPSTREAM_MAX_SHARDS ||
                    next_url(&notices, notices_url, sizeof(notices_url)) != 0 ||
                    next_url(&fetch, fetch_url, sizeof(fetch_url)) != 0) {
                        buf_puts(why, "the lists of router URLs are malformed or too long");
                        return ERR_CONF;
                }
                int err = open_shard(u, notices_url, fetch_url, why);
                if (err != 0)
                        return err;
        }
        if (*notices || *fetch || u->n_shards == 0) {
                buf_puts(why, "as many notices URLs as fetch URLs are needed, and at least one");
                return ERR_CONF;
        }
        return 0;
}

int upstream_open(struct upstream **out, const char *notices_urls, const char *fetch_urls,
                  const struct upstream_callbacks *callbacks, struct loop *main_loop,
                  struct buf *why)
{
        struct upstream *u = mem_new(struct upstream);
        u->callbacks = *callbacks;
        u->main_loop = main_loop;
        u->max_sinks = 256;
        u->sinks = mem_zalloc(u->max_sinks * sizeof(*u->sinks));
        int err = open_shards(u, notices_urls, fetch_urls, why);
        if (err != 0) {
                upstream_stop(u);
                upstream_free(u);
                return err;
        }
        *out = u;
        return 0;
}

void upstream_attach(struct upstream *u, struct http_loop *loop, uint32_t index)
{
        SLUICE_ASSERT(index == u->n_sinks && u->n_sinks < u->max_sinks);
        struct sink *sink = &u->sinks[index];
        sink->loop = loop;
        for (uint32_t i = 0; i < UPSTREAM_MAX_SHARDS; i++)
                list_init(&sink->stalled[i]);
        atomic_store_explicit(&u->n_sinks, index + 1, memory_order_release);
}

void upstream_start(struct upstream *u)
{
        u->poll_timer = loop_timer_new(u->main_loop, on_poll_timer, u);
        loop_timer_set(u->poll_timer, 0);
}

void upstream_stop(struct upstream *u)
{
        u->stopping = true;
        if (u->poll_timer)
                loop_timer_free(u->poll_timer);
        u->poll_timer = NULL;
        for (uint32_t i = 0; i < u->n_sinks; i++)
                for (uint32_t k = 0; k < u->n_shards; k++)
                        retry_stalled(&u->sinks[i], k);
        for (uint32_t i = 0; i < u->n_shards; i++) {
                if (u->shards[i].sub)
                        sub_close(u->shards[i].sub);
                rpc_client_close(u->shards[i].rpc);
        }
}

static void free_upstream(void *arg)
{
        struct upstream *u = arg;
        mem_free(u->sinks);
        mem_free(u);
}

void upstream_free(struct upstream *u)
{
        loop_post(u->main_loop, free_upstream, u); /* behind the answers that still name it */
}

uint32_t upstream_shards(const struct upstream *u)
{
        return u->n_shards;
}
