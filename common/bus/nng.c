#include "common/bus/nng.h"

#include <stdatomic.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

/* NNG's default is a second; a peer that restarts should be found at once (stack.md's measurements:
 * 53 ms). */
enum { RECONNECT_MIN_MS = 10, RECONNECT_MAX_MS = 100 };

int bus_err(int nng_error)
{
        switch (nng_error) {
        case 0:
                return 0;
        case NNG_ETIMEDOUT:
                return ERR_TIMEOUT;
        case NNG_ECLOSED:
        case NNG_ECONNRESET:
        case NNG_ECONNABORTED:
                return ERR_CLOSED;
        case NNG_ECANCELED:
                return ERR_CANCELLED;
        case NNG_EADDRINUSE:
                return ERR_EXISTS;
        case NNG_ECONNREFUSED:
                return ERR_REFUSED;
        case NNG_EADDRINVAL:
        case NNG_EINVAL:
        case NNG_ENOTSUP:
                return ERR_CONF;
        case NNG_EPERM:
                return ERR_DENIED;
        default:
                return ERR_IO;
        }
}

int bus_setup(nng_socket s, size_t max_bytes)
{
        int rv = nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, max_bytes);
        if (rv == 0)
                rv = nng_socket_set_ms(s, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
        if (rv == 0)
                rv = nng_socket_set_ms(s, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
        return bus_err(rv);
}

nng_msg *bus_copy(struct slice front, struct slice rest)
{
        nng_msg *msg;
        SLUICE_ASSERT(nng_msg_alloc(&msg, front.len + rest.len) == 0);
        char *body = nng_msg_body(msg);
        if (front.len)
                memcpy(body, front.p, front.len);
        if (rest.len)
                memcpy(body + front.len, rest.p, rest.len);
        return msg;
}

struct bus_msg *bus_msg_new(nng_msg *msg)
{
        struct bus_msg *m = mem_new(struct bus_msg);
        atomic_init(&m->refs, 1);
        m->msg = msg;
        return m;
}

struct slice bus_msg_body(const struct bus_msg *m)
{
        return slice_of(nng_msg_body(m->msg), nng_msg_len(m->msg));
}

struct bus_msg *bus_msg_ref(struct bus_msg *m)
{
        atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
        return m;
}

void bus_msg_unref(struct bus_msg *m)
{
        if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
                return;
        nng_msg_free(m->msg);
        mem_free(m);
}
