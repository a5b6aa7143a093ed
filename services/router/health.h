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
/* Whether a new shape may be begun: active, or so lately that another leader may well be about to
 * answer; its snapshot waits for that as long as a client may have to (protocol §4.6). */
bool health_may_begin(void);

#endif
