/* h2o tells the time by the wall clock. Set back by an hour, it would make no timer due for an
 * hour: no long poll would end and no idle connection. So a loop looks after every turn whether the
 * wall clock went another way than the monotonic one, and moves what its timers were set at along.
 *
 * Of the loop's thread. */
#ifndef SERVICES_EDGE_HTTP_CLOCK_H
#define SERVICES_EDGE_HTTP_CLOCK_H

#include <h2o.h>
#include <stdint.h>

struct http_clock {
        int64_t ahead_ms; /* of the monotonic clock, when it was last looked at */
};

void http_clock_init(struct http_clock *c);
/* After a turn of the loop. A step of less than a tenth of a second is left for later. */
void http_clock_follow(struct http_clock *c, h2o_evloop_t *loop);

#endif
