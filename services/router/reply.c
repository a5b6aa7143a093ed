#include "services/router/reply.h"

#include "common/base/assert.h"
#include "common/svc/svc.h"

enum { BODY_MAX_BYTES = 1 << 20, FRONT_MAX_BYTES = 256, RETRY_AFTER_S = 5 };
#define REPLY_MAX_BYTES ((size_t)2 << 30)

void reply_send(struct rpc_call *call, const union msg *m)
{
        struct buf out;
        buf_init(&out, REPLY_MAX_BYTES);
        msg_encode(&out, m);
        SLUICE_ASSERT(buf_status(&out) == 0);
        rpc_reply(call, buf_slice(&out));
        buf_fini(&out);
}

void reply_fetch(struct rpc_call *call, const struct msg_fetch_ok *m)
{
        struct buf front;
        buf_init(&front, FRONT_MAX_BYTES);
        msg_encode_fetch_front(&front, m);
        SLUICE_ASSERT(buf_status(&front) == 0);
        rpc_reply_parts(call, buf_slice(&front), m->bytes);
        buf_fini(&front);
}

void reply_subset(struct rpc_call *call, const struct msg_subset_ok *m)
{
        struct buf front;
        buf_init(&front, FRONT_MAX_BYTES);
        msg_encode_subset_front(&front, m);
        SLUICE_ASSERT(buf_status(&front) == 0);
        rpc_reply_parts(call, buf_slice(&front), m->body);
        buf_fini(&front);
}

void reply_failed(struct rpc_call *call, uint64_t status, struct slice body, uint64_t retry_after_s)
{
        union msg m = {.failed = {.type = MSG_failed,
                                  .status = status,
                                  .body = body,
                                  .message = body,
                                  .retry_after_s = retry_after_s,
                                  .handle = SLICE_EMPTY}};
        reply_send(call, &m);
}

void reply_refuse(struct rpc_call *call, uint64_t status, struct slice text, uint64_t retry_after_s)
{
        struct buf body;
        buf_init(&body, BODY_MAX_BYTES);
        buf_puts(&body, "{\"message\":");
        buf_put_json_string(&body, text);
        buf_putc(&body, '}');
        union msg m = {.failed = {.type = MSG_failed,
                                  .status = status,
                                  .body = buf_slice(&body),
                                  .message = text,
                                  .retry_after_s = retry_after_s,
                                  .handle = SLICE_EMPTY}};
        reply_send(call, &m);
        buf_fini(&body);
}

void reply_not_active(struct rpc_call *call)
{
        struct buf reason;
        buf_init(&reason, BODY_MAX_BYTES);
        if (svc_get_state(&reason) == SVC_ACTIVE || reason.len == 0) {
                buf_reset(&reason);
                buf_puts(&reason, "the router is not ready");
        }
        reply_refuse(call, 503, buf_slice(&reason), RETRY_AFTER_S);
        buf_fini(&reason);
}
