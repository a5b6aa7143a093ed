/* Dialing for ever. NNG's dialer connects again by itself, but when its peer dies in the middle of
 * the handshake it sometimes stops for good (NNG 1.5.2, seen about once in 300 kills): a socket
 * that has had no connection for a while gets a new dialer. And a connection over which nothing
 * comes any more is not always known to be dead: who misses something says so. Private to
 * common/bus. */
#ifndef COMMON_BUS_REDIAL_H
#define COMMON_BUS_REDIAL_H

#include <nng/nng.h>

#include "common/base/buf.h"

struct redial;

/* Dials in the background until redial_stop(). On failure *why has a line, and *out is what there
 * is, to be stopped and freed as ever, or NULL. */
int redial_open(struct redial **out, nng_socket socket, const char *url, struct buf *why);
/* The connection that there is, if NNG thinks that there is one, is given up for a new one within
 * half a second. Any thread. */
void redial_now(struct redial *r);
/* Comes before the socket is closed. NULL is allowed. */
void redial_stop(struct redial *r);
/* Comes after: NNG may be in the middle of telling us of a connection until the socket is closed.
 * NULL is allowed. */
void redial_free(struct redial *r);

#endif
