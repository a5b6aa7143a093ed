/* What the router says of itself (enum svc_state and one line): active only while it follows a
 * leader's stream and its store has room. Any thread. */
#ifndef SERVICES_ROUTER_HEALTH_H
#define SERVICES_ROUTER_HEALTH_H

#include <stdbool.h>

#include "common/base/slice.h"

void health_init(void);
void health_following(void);
/* `why`: one line, copied. */
void health_not_following(struct slice why);
void health_full(bool full);
bool health_is_active(void);

#endif
