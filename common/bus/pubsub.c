/* Numbered publish/subscribe. What is lost is lost silently by NNG; the numbers let the subscriber
 * see it. */
#include <nng/nng.h>

#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/bus/listening.h"
#include "common/bus/nng.h"
#include "common/bus/redial.h"
#include "common/wire/msg.h"
#include "common/wire/rd.h"
#include "common/wire/wr.h"

struct pub {
        uint32_t magic;
        nng_socket socket;
        struct listening *listening;
};

struct sub {
        uint32_t magic;
        nng_socket socket;
        struct redial *redial;
        nng_aio *aio;
        sub_callback *cb;
        void *arg;
};

enum { PUB_MAGIC = 0x9b0b0001, SUB_MAGIC = 0x50b00001, MAX_QUEUE = 8192 };

int pub_open(struct pub **out, const char *url, uint32_t queue, struct buf *why)
{
        SLUICE_ASSERT(queue >= 1 && queue <= MAX_QUEUE);
        struct pub *p = mem_new(struct pub);
        p->magic = PUB_MAGIC;
        int err = bus_err(nng_pub0_open(&p->socket));
        if (err != 0) {
                mem_free(p);
                return err;
        }
        err = bus_err(nng_socket_set_int(p->socket, NNG_OPT_SENDBUF, (int)queue));
        if (err == 0)
                err = listening_open(&p->listening, p->socket, url, nng_sub0_open, why);
        if (err != 0) {
                pub_close(p);
                return err;
        }
        *out = p;
        return 0;
}

void pub_close(struct pub *p)
{
        if (!p)
                return;
        CHECK_OBJ(p, PUB_MAGIC);
        listening_stop(p->listening);
        nng_close(p->socket);
        listening_free(p->listening);
        p->magic = 0;
        mem_free(p);
}

void pub_send(struct pub *p, struct slice frame)
{
        CHECK_OBJ(p, PUB_MAGIC);
        nng_msg *msg = bus_copy(frame, SLICE_EMPTY);
        if (nng_sendmsg(p->socket, msg, 0) != 0) /* takes the message on success */
                nng_msg_free(msg);
}

void pub_frame(struct buf *out, uint64_t epoch, uint64_t seq, struct slice body)
{
        wr_array(out, 4);
        wr_u64(out, WIRE_VERSION);
        wr_u64(out, epoch);
        wr_u64(out, seq);
        wr_bin(out, body);
}

int bus_frame_parse(struct slice bytes, struct bus_frame *out)
{
        struct rd r;
        struct bus_frame f;
        rd_init(&r, bytes);
        uint32_t count = rd_array(&r);
        uint64_t version = rd_u64(&r);
        if (!r.err && version != WIRE_VERSION)
                return ERR_VERSION;
        f.epoch = rd_u64(&r);
        f.seq = rd_u64(&r);
        f.body = rd_bytes(&r);
        if (r.err || count != 4 || !rd_at_end(&r) || f.epoch == 0 || f.seq == 0)
                return ERR_FORMAT;
        *out = f;
        return 0;
}

static void on_message(void *arg)
{
        struct sub *s = arg;
        int rv = nng_aio_result(s->aio);
        if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
                return;
        if (rv == 0) {
                struct bus_msg *m = bus_msg_new(nng_aio_get_msg(s->aio));
                nng_aio_set_msg(s->aio, NULL);
                s->cb(s->arg, m);
        }
        nng_recv_aio(s->socket, s->aio);
}

static int sub_setup(struct sub *s, const char *url, uint32_t queue, size_t max_bytes,
                     struct buf *why)
{
        int err = bus_setup(s->socket, max_bytes);
        if (err == 0)
                err = bus_err(nng_socket_set_int(s->socket, NNG_OPT_RECVBUF, (int)queue));
        if (err == 0)
                err = bus_err(nng_socket_set(s->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0));
        if (err == 0)
                err = bus_err(nng_aio_alloc(&s->aio, on_message, s));
        if (err == 0)
                err = redial_open(&s->redial, s->socket, url, why);
        return err;
}

int sub_open(struct sub **out, const char *url, uint32_t queue, size_t max_bytes, sub_callback *cb,
             void *arg, struct buf *why)
{
        SLUICE_ASSERT(queue >= 1 && queue <= MAX_QUEUE && cb);
        struct sub *s = mem_new(struct sub);
        *s = (struct sub){.magic = SUB_MAGIC, .cb = cb, .arg = arg};
        int err = bus_err(nng_sub0_open(&s->socket));
        if (err != 0) {
                mem_free(s);
                return err;
        }
        err = sub_setup(s, url, queue, max_bytes, why);
        if (err != 0) {
                sub_close(s);
                return err;
        }
        *out = s;
        nng_recv_aio(s->socket, s->aio);
        return 0;
}

void sub_dial_again(struct sub *s)
{
        CHECK_OBJ(s, SUB_MAGIC);
        redial_now(s->redial);
}

void sub_close(struct sub *s)
{
        if (!s)
                return;
        CHECK_OBJ(s, SUB_MAGIC);
        redial_stop(s->redial);
        nng_close(s->socket);
        redial_free(s->redial);
        if (s->aio) {
                nng_aio_stop(s->aio);
                nng_aio_free(s->aio);
        }
        s->magic = 0;
        mem_free(s);
}
