/* TLS for sockets whose URL is tls+tcp://. Private to common/bus; bus_tls_use() is in bus.h. */
#ifndef COMMON_BUS_TLS_H
#define COMMON_BUS_TLS_H

#include <nng/nng.h>

#include "common/base/buf.h"

/* Whether `url` may be used as bus_tls_use() left things: 0, or ERR_CONF with a line in *why. */
int tls_check_url(const char *url, struct buf *why);
/* Give a dialer or listener its configuration, before it is started; nothing for other URLs. NNG's
 * errors. */
int tls_dialer(nng_dialer dialer, const char *url);
int tls_listener(nng_listener listener, const char *url);
/* Of a dialer to our own listener, by whatever address: who answers need not be proved. */
int tls_dialer_to_self(nng_dialer dialer, const char *url);

#endif
