/* electric-cursor (protocol §2.6): clients that wait in the same interval use the same URL, and
 * never the one they used before. */
#ifndef SERVICES_EDGE_CURSOR_H
#define SERVICES_EDGE_CURSOR_H

#include <stdint.h>

#include "common/base/slice.h"

/* `previous`: the request's cursor, empty for none. `random`: any number; its value modulo 3600 is
 * used. */
uint64_t cursor_next(uint64_t wall_us, uint64_t long_poll_ms, struct slice previous,
                     uint64_t random);

#endif
