/* Shapes whose first snapshot failed: for a few seconds whoever asks for such a handle is told why,
 * so that all who waited for the snapshot hear the reason and not just that the shape is gone
 * (protocol §4.7). A fixed number is remembered. Any thread. */
#ifndef SERVICES_ROUTER_GRAVES_H
#define SERVICES_ROUTER_GRAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct graves;

struct graves *graves_new(void);
void graves_free(struct graves *g);
/* Copies `failed`, an encoded `failed` message. */
void graves_dig(struct graves *g, uint64_t id, uint64_t created_us, struct slice failed,
                uint64_t now_ms);
/* True: the message is appended. */
bool graves_find(struct graves *g, uint64_t id, uint64_t created_us, uint64_t now_ms,
                 struct buf *out);

#endif
