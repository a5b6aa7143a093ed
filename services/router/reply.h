/* Answers to requests. Any thread. */
#ifndef SERVICES_ROUTER_REPLY_H
#define SERVICES_ROUTER_REPLY_H

#include <stdint.h>

#include "common/bus/bus.h"
#include "common/wire/msg.h"

/* Encodes and sends; the call is gone. */
void reply_send(struct rpc_call *call, const union msg *m);
/* The entries are copied once, into what is sent. */
void reply_fetch(struct rpc_call *call, const struct msg_fetch_ok *m);
/* So is the body. */
void reply_subset(struct rpc_call *call, const struct msg_subset_ok *m);
/* {"message":…} as the client's body, and the same text for logs. */
void reply_refuse(struct rpc_call *call, uint64_t status, struct slice text,
                  uint64_t retry_after_s);
/* The body is given. */
void reply_failed(struct rpc_call *call, uint64_t status, struct slice body,
                  uint64_t retry_after_s);
/* Not following a leader, or no room: 503 with the reason. */
void reply_not_active(struct rpc_call *call);

#endif
