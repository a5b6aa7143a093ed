/* Requests that came while edges had been told more than the store has (announce.h): each is kept
 * until the commit in progress is done and then answered, on a thread of its own. So nobody sees a
 * log that ends before what was announced of it (I5). Their number is bounded by the server's
 * concurrency (I7). */
#ifndef SERVICES_ROUTER_LATE_H
#define SERVICES_ROUTER_LATE_H

#include <stdbool.h>

#include "common/bus/bus.h"

struct late;

struct late_options {
        bool (*is_ahead)(void *arg); /* any thread; late_settled() follows when it has ended */
        rpc_handler *answer;         /* on the thread, in the order of the requests */
        void *arg;
};
struct late *late_new(const struct late_options *o);
/* Nothing is answered any more; what is kept is left to the server. The writer is stopped. */
void late_stop(struct late *l);
/* After the server is closed. NULL is allowed. */
void late_free(struct late *l);
/* Any thread. True: it is kept; the body stays where it is. */
bool late_keep(struct late *l, struct rpc_call *call);
/* is_ahead() is false now. */
void late_settled(struct late *l);

#endif
