/* Routers' requests: hello, ack, replay and status are answered on the loop, ensure_table by its
 * worker (ensure.h); while no stream runs it is held for as long as a client may have to wait. What
 * arrives is checked as a message before it goes anywhere (I8). */
#ifndef SERVICES_INGEST_CONTROL_H
#define SERVICES_INGEST_CONTROL_H

#include "common/base/buf.h"
#include "common/bus/bus.h"
#include "common/svc/loop.h"
#include "common/wire/msg.h"
#include "services/ingest/ensure.h"
#include "services/ingest/stream.h"

struct control;

/* Borrows stream and ensure. ERR_CONF, ERR_EXISTS, ERR_IO with a line in *why. */
int control_open(struct control **out, const char *url, struct loop *loop, struct stream *stream,
                 struct ensure *ensure, struct buf *why);
/* The stream runs: what was held is done now. */
void control_resume(struct control *c);
/* Nothing is answered from now on; the worker of ensure.h must have ended. */
void control_close(struct control *c);

/* Answers a call with a message, from any thread. */
void control_reply(struct rpc_call *call, const union msg *m);
/* `text`: one line; with `to_client` it is also what the client sees, as {"message": text}. */
void control_refuse(struct rpc_call *call, uint64_t status, struct slice text, bool to_client,
                    uint64_t retry_after_s);

#endif
