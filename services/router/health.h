/* What the router says of itself (enum svc_state and one line): active only while it follows the
 * stream of a leader that is active itself, and its store has room. Any thread. */
#ifndef SERVICES_ROUTER_HEALTH_H
#define SERVICES_ROUTER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

void health_init(void);
/* `why`: one line, copied. */
void health_not_following(struct slice why);
/* What ingest says of itself, in answer to hello or ack. */
void health_leader(bool following, uint64_t state, struct slice reason);
void health_full(bool full);
bool health_is_active(void);

#endif
