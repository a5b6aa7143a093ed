#include "services/ingest/control.h"

#include <stdatomic.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/svc/svc.h"

enum {
        CONCURRENCY = 128, /* also bounds what is held */
        REQUEST_MAX_BYTES = 64 * 1024,
        RETRY_AFTER_S = 1,
        HOLD_MS = 5000 /* protocol §4.6 */
};
static const size_t REPLY_MAX_BYTES = (size_t)8 << 30; /* a replay is bounded by stream.c */

struct control {
        struct loop *loop;
        struct stream *stream;
        struct ensure *ensure;
        struct rpc_server *server;
        bool closed;      /* the loop's */
        struct list held; /* struct pending, by deadline */
        struct loop_timer *patience;
};

struct pending {
        struct list node;
        struct control *control;
        struct rpc_call *call;
        uint64_t deadline_ms; /* while held */
};

void control_reply(struct rpc_call *call, const union msg *m)
{
        struct buf out;
        buf_init(&out, REPLY_MAX_BYTES);
        msg_encode(&out, m);
        SLUICE_ASSERT(buf_status(&out) == 0);
        rpc_reply(call, buf_slice(&out));
        buf_fini(&out);
}

void control_refuse(struct rpc_call *call, uint64_t status, struct slice text, bool to_client,
                    uint64_t retry_after_s)
{
        struct buf body;
        buf_init(&body, REQUEST_MAX_BYTES);
        if (to_client) {
                buf_puts(&body, "{\"message\":");
                buf_put_json_string(&body, text);
                buf_putc(&body, '}');
        }
        union msg m = {.failed = {.type = MSG_failed,
                                  .status = status,
                                  .body = buf_slice(&body),
                                  .message = text,
                                  .retry_after_s = retry_after_s,
                                  .handle = SLICE_EMPTY}};
        control_reply(call, &m);
        buf_fini(&body);
}

/* ---- answers */

static void refuse(struct rpc_call *call, const struct refusal *no)
{
        control_refuse(call, no->status, slice_cstr(no->message), false,
                       no->status == 503 ? RETRY_AFTER_S : 0);
}

/* Who is not streaming says what it waits for: clients are shown it (protocol §4.6). */
static void refuse_not_active(struct rpc_call *call)
{
        struct buf reason;
        buf_init(&reason, 2048);
        svc_get_state(&reason);
        control_refuse(call, 503, buf_slice(&reason), true, RETRY_AFTER_S);
        buf_fini(&reason);
}

static void answer_status(struct control *c, struct rpc_call *call)
{
        struct buf reason;
        buf_init(&reason, 2048);
        enum svc_state state = svc_get_state(&reason);
        union msg m = {.status_ok = {.type = MSG_status_ok,
                                     .state = (uint64_t)state,
                                     .reason = buf_slice(&reason),
                                     .epoch = stream_epoch(c->stream),
                                     .lsn = stream_received(c->stream).v}};
        control_reply(call, &m);
        buf_fini(&reason);
}

static void answer_replay(struct control *c, struct rpc_call *call, const struct msg_replay *m)
{
        struct buf frames;
        union msg ok;
        buf_init(&frames, REPLY_MAX_BYTES);
        stream_replay(c->stream, m, &frames, &ok);
        control_reply(call, &ok);
        buf_fini(&frames);
}

/* ---- ensure_table while no stream runs */

static void watch_held(struct control *c)
{
        if (list_empty(&c->held)) {
                loop_timer_cancel(c->patience);
                return;
        }
        uint64_t deadline = LIST_OBJ(c->held.next, struct pending, node)->deadline_ms;
        uint64_t now = clock_mono_ms();
        loop_timer_set(c->patience, deadline > now ? deadline - now : 0);
}

static void hold(struct control *c, struct rpc_call *call)
{
        struct pending *p = mem_new(struct pending);
        *p = (struct pending){.control = c, .call = call, .deadline_ms = clock_mono_ms() + HOLD_MS};
        list_push_back(&c->held, &p->node);
        watch_held(c);
}

static void on_patience(void *arg)
{
        struct control *c = arg;
        uint64_t now = clock_mono_ms();
        while (!list_empty(&c->held)) {
                struct pending *p = LIST_OBJ(c->held.next, struct pending, node);
                if (p->deadline_ms > now)
                        break;
                list_remove(&p->node);
                refuse_not_active(p->call);
                mem_free(p);
        }
        watch_held(c);
}

static void ensure_table(struct control *c, struct rpc_call *call, const struct msg_ensure_table *m)
{
        ensure_submit(c->ensure, call, m, stream_epoch(c->stream));
}

void control_resume(struct control *c)
{
        for (struct list *n; (n = list_pop_front(&c->held));) {
                struct pending *p = LIST_OBJ(n, struct pending, node);
                union msg m;
                int err = msg_decode(rpc_call_body(p->call), &m);
                SLUICE_ASSERT(err == 0 && m.type == MSG_ensure_table);
                ensure_table(c, p->call, &m.ensure_table);
                mem_free(p);
        }
        watch_held(c);
}

static void answer(struct control *c, struct rpc_call *call, const union msg *m)
{
        union msg ok;
        struct refusal no;
        bool active = svc_get_state(NULL) == SVC_ACTIVE;
        bool granted = false;
        if (m->type == MSG_status) {
                answer_status(c, call);
                return;
        }
        if (m->type == MSG_replay) {
                answer_replay(c, call, &m->replay);
                return;
        }
        if (m->type == MSG_ack && stream_ack(c->stream, &m->ack, &no)) {
                answer_status(c, call); /* the router tells the edges */
                return;
        }
        if (m->type == MSG_ack) {
                granted = false;
        } else if (!active && m->type == MSG_hello) {
                answer_status(c, call);
                return;
        } else if (!active && m->type == MSG_ensure_table) {
                hold(c, call);
                return;
        } else if (!active) {
                refuse_not_active(call);
                return;
        } else if (m->type == MSG_hello) {
                granted = stream_hello(c->stream, &m->hello, &ok, &no);
        } else if (m->type == MSG_ensure_table) {
                ensure_table(c, call, &m->ensure_table);
                return;
        } else {
                no = (struct refusal){400, "not a request to ingest"};
        }
        if (granted)
                control_reply(call, &ok);
        else
                refuse(call, &no);
}

/* ---- from NNG's threads to the loop */

static void on_loop(void *arg)
{
        struct pending *p = arg;
        struct pending pending = *p;
        mem_free(p);
        if (pending.control->closed)
                return; /* and so is the call */
        union msg m;
        if (msg_decode(rpc_call_body(pending.call), &m) == 0)
                answer(pending.control, pending.call, &m);
        else
                refuse(pending.call, &(struct refusal){400, "not a message of this version"});
}

static void on_call(void *arg, struct rpc_call *call)
{
        struct control *c = arg;
        struct pending *p = mem_new(struct pending);
        *p = (struct pending){.control = c, .call = call};
        loop_post(c->loop, on_loop, p);
}

int control_open(struct control **out, const char *url, struct loop *loop, struct stream *stream,
                 struct ensure *ensure, struct buf *why)
{
        struct control *c = mem_new(struct control);
        *c = (struct control){.loop = loop, .stream = stream, .ensure = ensure};
        list_init(&c->held);
        c->patience = loop_timer_new(loop, on_patience, c);
        int err = rpc_server_open(&c->server, url, CONCURRENCY, REQUEST_MAX_BYTES, on_call, c, why);
        if (err) {
                loop_timer_free(c->patience);
                mem_free(c);
                return err;
        }
        *out = c;
        return 0;
}

static void free_control(void *arg)
{
        mem_free(arg);
}

void control_close(struct control *c)
{
        if (!c)
                return;
        c->closed = true;
        for (struct list *n; (n = list_pop_front(&c->held));)
                mem_free(LIST_OBJ(n, struct pending, node));
        loop_timer_free(c->patience);
        rpc_server_close(c->server);
        loop_post(c->loop, free_control, c); /* behind the calls that still name it */
}
