/* Request/reply, the answering side. Each slot is an NNG context that receives a call, hands it to
 * the handler and, once answered, receives the next; so at most `concurrency` calls are unanswered.
 *
 * States of a slot:  receiving -> (message) calling -> rpc_reply() -> sending -> receiving
 * The slot's aio is used by one of them at a time. */
#include <nng/nng.h>

#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdatomic.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/bus/listening.h"
#include "common/bus/nng.h"

enum { SERVER_MAGIC = 0x5e7e0001, CALL_MAGIC = 0xca110001 };

enum slot_state { SLOT_RECEIVING, SLOT_CALLING, SLOT_SENDING };

struct rpc_call {
        uint32_t magic;
        struct rpc_server *server;
        nng_ctx ctx;
        nng_aio *aio;
        nng_msg *request;
        enum slot_state state;
};

struct rpc_server {
        uint32_t magic;
        nng_socket socket;
        struct listening *listening;
        rpc_handler *handler;
        void *arg;
        _Atomic bool closing;
        uint32_t n_slots;
        struct rpc_call *slots;
};

static void receive(struct rpc_call *c)
{
        c->state = SLOT_RECEIVING;
        nng_ctx_recv(c->ctx, c->aio);
}

static void on_aio(void *arg)
{
        struct rpc_call *c = arg;
        int rv = nng_aio_result(c->aio);
        if (atomic_load(&c->server->closing) || rv == NNG_ECLOSED || rv == NNG_ECANCELED)
                return;
        if (c->state == SLOT_SENDING) {
                if (rv != 0) /* not sent: the message is still ours */
                        nng_msg_free(nng_aio_get_msg(c->aio));
                receive(c);
                return;
        }
        if (rv != 0) {
                receive(c);
                return;
        }
        c->request = nng_aio_get_msg(c->aio);
        c->state = SLOT_CALLING;
        c->server->handler(c->server->arg, c);
}

static int open_slot(struct rpc_server *s, struct rpc_call *c)
{
        *c = (struct rpc_call){.magic = CALL_MAGIC, .server = s};
        int rv = nng_aio_alloc(&c->aio, on_aio, c);
        if (rv == 0) {
                rv = nng_ctx_open(&c->ctx, s->socket);
                if (rv != 0)
                        nng_aio_free(c->aio);
        }
        return bus_err(rv);
}

static int open_slots(struct rpc_server *s, uint32_t concurrency)
{
        s->slots = mem_zalloc(concurrency * sizeof(*s->slots));
        for (; s->n_slots < concurrency; s->n_slots++) {
                int err = open_slot(s, &s->slots[s->n_slots]);
                if (err != 0)
                        return err;
        }
        return 0;
}

int rpc_server_open(struct rpc_server **out, const char *url, uint32_t concurrency,
                    size_t max_bytes, rpc_handler *handler, void *arg, struct buf *why)
{
        SLUICE_ASSERT(concurrency > 0 && handler);
        struct rpc_server *s = mem_new(struct rpc_server);
        *s = (struct rpc_server){.magic = SERVER_MAGIC, .handler = handler, .arg = arg};
        int err = bus_err(nng_rep0_open(&s->socket));
        if (err != 0) {
                mem_free(s);
                return err;
        }
        err = bus_setup(s->socket, max_bytes);
        if (err == 0)
                err = open_slots(s, concurrency);
        if (err == 0)
                err = listening_open(&s->listening, s->socket, url, nng_req0_open, why);
        if (err != 0) {
                rpc_server_close(s);
                return err;
        }
        *out = s;
        for (uint32_t i = 0; i < s->n_slots; i++)
                receive(&s->slots[i]);
        return 0;
}

void rpc_server_close(struct rpc_server *s)
{
        if (!s)
                return;
        CHECK_OBJ(s, SERVER_MAGIC);
        atomic_store(&s->closing, true);
        listening_stop(s->listening);
        nng_close(s->socket);
        listening_free(s->listening);
        for (uint32_t i = 0; i < s->n_slots; i++)
                nng_aio_stop(s->slots[i].aio);
        for (uint32_t i = 0; i < s->n_slots; i++) {
                nng_aio_free(s->slots[i].aio);
                nng_msg_free(s->slots[i].request);
        }
        mem_free(s->slots);
        s->magic = 0;
        mem_free(s);
}

struct slice rpc_call_body(const struct rpc_call *call)
{
        CHECK_OBJ(call, CALL_MAGIC);
        SLUICE_ASSERT(call->state == SLOT_CALLING);
        return slice_of(nng_msg_body(call->request), nng_msg_len(call->request));
}

void rpc_reply_parts(struct rpc_call *call, struct slice front, struct slice rest)
{
        CHECK_OBJ(call, CALL_MAGIC);
        SLUICE_ASSERT(call->state == SLOT_CALLING);
        nng_msg *reply = bus_copy(front, rest); /* before the request goes: it may be part of it */
        nng_msg_free(call->request);
        call->request = NULL;
        call->state = SLOT_SENDING;
        nng_aio_set_msg(call->aio, reply);
        nng_ctx_send(call->ctx, call->aio);
}

void rpc_reply(struct rpc_call *call, struct slice body)
{
        rpc_reply_parts(call, body, SLICE_EMPTY);
}
