/* What the files of common/bus share: opening sockets and translating NNG's errors. Private to this
 * directory. */
#ifndef COMMON_BUS_NNG_H
#define COMMON_BUS_NNG_H

#include <nng/nng.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/bus/bus.h"

struct bus_msg {
        _Atomic uint32_t refs;
        nng_msg *msg;
};

/* Our code for NNG's. */
int bus_err(int nng_error);
/* Sets the options that every socket has (receive limit, reconnect times). */
int bus_setup(nng_socket s, size_t max_bytes);
/* A message with a copy of both parts; asserts memory. */
nng_msg *bus_copy(struct slice front, struct slice rest);
/* Takes the message; one reference. */
struct bus_msg *bus_msg_new(nng_msg *msg);

#endif
