/* The routers, as the edge's loops see them: calls whose replies come back to the loop that asked,
 * notices that come to every loop, and whether each router is ready to serve. */
#ifndef SERVICES_EDGE_UPSTREAM_H
#define SERVICES_EDGE_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/bus/bus.h"
#include "common/svc/loop.h"
#include "common/svc/svc.h"
#include "common/wire/msg.h"
#include "services/edge/blob.h"
#include "services/edge/http.h"

enum {
        UPSTREAM_MAX_SHARDS = 64,
        UPSTREAM_TIMEOUT_MS = 5000,
        UPSTREAM_MAX_REPLY = 1 << 30, /* one entry may be as large as a row, and a row 1 GB */
        UPSTREAM_MAX_FRAME = 64 << 20,
        UPSTREAM_CONCURRENCY = 512 /* calls in flight at one router; more wait here */
};

struct upstream;

/* Loop's thread. `state` is the loop's. */
struct upstream_callbacks {
        void (*on_frame)(void *state, uint32_t shard, struct slice frame);
        void (*on_shard_state)(void *state, uint32_t shard, enum svc_state now);
};

/* URLs are comma separated lists of equal length, entry i is shard i. Both lists are dialled in the
 * background for ever. ERR_CONF with a line in *why. */
int upstream_open(struct upstream **out, const char *notices_urls, const char *fetch_urls,
                  const struct upstream_callbacks *callbacks, struct loop *main_loop,
                  struct buf *why);
/* Before upstream_start(): the loop gets notices and may make calls. */
void upstream_attach(struct upstream *u, struct http_loop *loop, uint32_t index);
void upstream_start(struct upstream *u);
/* Main thread. Calls in flight are answered with ERR_CANCELLED; nothing is posted to a loop after
 * it returns. */
void upstream_stop(struct upstream *u);
/* After the loops have ended. */
void upstream_free(struct upstream *u);
uint32_t upstream_shards(const struct upstream *u);

/* Any thread: the worst of all routers, and of one. */
enum svc_state upstream_state(const struct upstream *u);
enum svc_state upstream_shard_state(const struct upstream *u, uint32_t shard);
/* Any thread: the router's state may be another than it was, ask it at once. */
void upstream_ask(struct upstream *u, uint32_t shard);
/* Any thread: a router that was active when it was asked last has said that it is not; so it is
 * until it is asked again, at once. */
void upstream_doubt(struct upstream *u, uint32_t shard);
/* Any thread: what a client is told that has waited for this router in vain. Static. */
const char *upstream_shard_wait(const struct upstream *u, uint32_t shard);

/* A reply: err is 0, ERR_TIMEOUT, ERR_CLOSED, ERR_CANCELLED or ERR_FORMAT; when 0, `msg` is decoded
 * and borrows from `blob`, which is borrowed too: take a reference to keep it. */
struct upstream_reply {
        int err;
        union msg msg;
        struct blob *blob;
};
typedef void upstream_callback(void *state, void *arg, const struct upstream_reply *reply);

/* Loop's thread; `loop` is the caller's index. The callback runs exactly once, later. */
void upstream_call(struct upstream *u, uint32_t loop, uint32_t shard, const union msg *m,
                   upstream_callback *cb, void *arg);
/* The same for what takes a router longer than UPSTREAM_TIMEOUT_MS. */
void upstream_call_within(struct upstream *u, uint32_t loop, uint32_t shard, const union msg *m,
                          uint32_t timeout_ms, upstream_callback *cb, void *arg);

#endif
