/* Request/reply, the asking side. One socket per peer; each call in flight has an NNG context of
 * its own.
 *
 * States of a slot:  free -> rpc_send() sending -> receiving -> callback -> free
 * The list of free slots is the only thing shared, under a mutex; a slot in use belongs to its aio.
 */
#include <nng/nng.h>

#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/bus/nng.h"
#include "common/bus/redial.h"

enum { CLIENT_MAGIC = 0xc11e0001 };

/* A lost request is sent again when the connection comes back; while it stands, this rarely. */
enum { RESEND_MS = 60000 };

struct slot {
        struct list node; /* in the client's free list */
        struct rpc_client *client;
        nng_ctx ctx;
        nng_aio *aio;
        rpc_callback *cb;
        void *arg;
        bool sending;
};

struct rpc_client {
        uint32_t magic;
        nng_socket socket;
        struct redial *redial;
        pthread_mutex_t mutex; /* guards `free` and `closing` */
        struct list free;
        bool closing;
        uint32_t n_slots;
        struct slot *slots;
};

/* The callback runs while the slot still belongs to the call, so that it may send the next one from
 * a free slot. */
static void finish(struct slot *slot, int err, struct bus_msg *reply)
{
        struct rpc_client *c = slot->client;
        rpc_callback *cb = slot->cb;
        slot->cb = NULL;
        cb(slot->arg, err, reply);
        pthread_mutex_lock(&c->mutex);
        list_push_back(&c->free, &slot->node);
        pthread_mutex_unlock(&c->mutex);
}

static void on_aio(void *arg)
{
        struct slot *slot = arg;
        int rv = nng_aio_result(slot->aio);
        if (rv != 0) {
                if (slot->sending)
                        nng_msg_free(nng_aio_get_msg(slot->aio));
                nng_aio_set_msg(slot->aio, NULL);
                finish(slot, rv == NNG_ECLOSED ? ERR_CANCELLED : bus_err(rv), NULL);
                return;
        }
        if (slot->sending) {
                slot->sending = false;
                nng_ctx_recv(slot->ctx, slot->aio);
                return;
        }
        struct bus_msg *reply = bus_msg_new(nng_aio_get_msg(slot->aio));
        nng_aio_set_msg(slot->aio, NULL);
        finish(slot, 0, reply);
        bus_msg_unref(reply);
}

static int open_slot(struct rpc_client *c, struct slot *slot)
{
        *slot = (struct slot){.client = c};
        int rv = nng_aio_alloc(&slot->aio, on_aio, slot);
        if (rv != 0)
                return bus_err(rv);
        rv = nng_ctx_open(&slot->ctx, c->socket);
        if (rv == 0)
                rv = nng_ctx_set_ms(slot->ctx, NNG_OPT_REQ_RESENDTIME, RESEND_MS);
        if (rv != 0) {
                nng_aio_free(slot->aio);
                return bus_err(rv);
        }
        list_push_back(&c->free, &slot->node);
        return 0;
}

static int open_slots(struct rpc_client *c, uint32_t concurrency)
{
        c->slots = mem_zalloc(concurrency * sizeof(*c->slots));
        for (; c->n_slots < concurrency; c->n_slots++) {
                int err = open_slot(c, &c->slots[c->n_slots]);
                if (err != 0)
                        return err;
        }
        return 0;
}

int rpc_client_open(struct rpc_client **out, const char *url, uint32_t concurrency,
                    size_t max_bytes, struct buf *why)
{
        SLUICE_ASSERT(concurrency > 0);
        struct rpc_client *c = mem_new(struct rpc_client);
        c->magic = CLIENT_MAGIC;
        pthread_mutex_init(&c->mutex, NULL);
        list_init(&c->free);
        int err = bus_err(nng_req0_open(&c->socket));
        if (err != 0) {
                mem_free(c);
                return err;
        }
        err = bus_setup(c->socket, max_bytes);
        if (err == 0)
                err = open_slots(c, concurrency);
        if (err == 0)
                err = redial_open(&c->redial, c->socket, url, why);
        if (err != 0) {
                rpc_client_close(c);
                return err;
        }
        *out = c;
        return 0;
}

void rpc_client_close(struct rpc_client *c)
{
        if (!c)
                return;
        CHECK_OBJ(c, CLIENT_MAGIC);
        pthread_mutex_lock(&c->mutex);
        c->closing = true;
        pthread_mutex_unlock(&c->mutex);
        redial_stop(c->redial);
        nng_close(c->socket);
        redial_free(c->redial);
        for (uint32_t i = 0; i < c->n_slots; i++)
                nng_aio_stop(c->slots[i].aio);
        for (uint32_t i = 0; i < c->n_slots; i++)
                nng_aio_free(c->slots[i].aio);
        mem_free(c->slots);
        pthread_mutex_destroy(&c->mutex);
        c->magic = 0;
        mem_free(c);
}

static struct slot *take_slot(struct rpc_client *c)
{
        pthread_mutex_lock(&c->mutex);
        struct list *node = c->closing ? NULL : list_pop_front(&c->free);
        pthread_mutex_unlock(&c->mutex);
        return node ? LIST_OBJ(node, struct slot, node) : NULL;
}

int rpc_send(struct rpc_client *c, struct slice body, uint32_t timeout_ms, rpc_callback *cb,
             void *arg)
{
        CHECK_OBJ(c, CLIENT_MAGIC);
        SLUICE_ASSERT(cb && timeout_ms <= INT32_MAX);
        struct slot *slot = take_slot(c);
        if (!slot)
                return ERR_AGAIN;
        slot->cb = cb;
        slot->arg = arg;
        slot->sending = true;
        nng_aio_set_timeout(slot->aio, (nng_duration)timeout_ms);
        nng_aio_set_msg(slot->aio, bus_copy(body, SLICE_EMPTY));
        nng_ctx_send(slot->ctx, slot->aio);
        return 0;
}

struct waiting {
        pthread_mutex_t mutex;
        pthread_cond_t done;
        bool is_done;
        int err;
        struct buf *reply;
};

static void wake(void *arg, int err, struct bus_msg *reply)
{
        struct waiting *w = arg;
        pthread_mutex_lock(&w->mutex);
        if (err == 0) {
                buf_put_slice(w->reply, bus_msg_body(reply));
                err = buf_status(w->reply);
        }
        w->err = err;
        w->is_done = true;
        pthread_cond_signal(&w->done);
        pthread_mutex_unlock(&w->mutex);
}

int rpc_call_wait(struct rpc_client *c, struct slice body, uint32_t timeout_ms, struct buf *reply)
{
        struct waiting w = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .done = PTHREAD_COND_INITIALIZER,
                            .reply = reply};
        int err = rpc_send(c, body, timeout_ms, wake, &w);
        if (err != 0)
                return err;
        pthread_mutex_lock(&w.mutex);
        while (!w.is_done)
                pthread_cond_wait(&w.done, &w.mutex);
        pthread_mutex_unlock(&w.mutex);
        pthread_mutex_destroy(&w.mutex);
        pthread_cond_destroy(&w.done);
        return w.err;
}
