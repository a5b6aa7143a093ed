/* Listening for ever. NNG's listener takes no more connections when one of them ends at the wrong
 * moment (NNG 1.5.2: its peer is gone before our side of the handshake is written; the error is
 * taken for that of a listener which is being closed). It goes on shaking hands, so that whoever
 * dials believes to be connected and is never heard. After a connection that has failed, the
 * address is therefore dialed from here; when that is not taken, there is a new listener. Private
 * to common/bus. */
#ifndef COMMON_BUS_LISTENING_H
#define COMMON_BUS_LISTENING_H

#include <nng/nng.h>

#include "common/base/buf.h"

struct listening;

/* Opens a socket that can talk to the one that listens. */
typedef int listening_peer(nng_socket *out);

/* Until listening_stop(). On failure *why has a line, and *out is what there is, to be stopped and
 * freed as ever, or NULL. */
int listening_open(struct listening **out, nng_socket socket, const char *url, listening_peer *peer,
                   struct buf *why);
/* Comes before the socket is closed. NULL is allowed. */
void listening_stop(struct listening *l);
/* Comes after, as redial_free(). NULL is allowed. */
void listening_free(struct listening *l);

#endif
