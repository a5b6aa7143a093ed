/* What edges hear: frames of notices on the PUB socket, numbered, at least one every
 * NOTICE_HEARTBEAT_MS. The epoch is the time of the process' start, so it grows from one
 * incarnation to the next. The writer thread's. */
#ifndef SERVICES_ROUTER_NOTIFY_H
#define SERVICES_ROUTER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"

struct notify;

int notify_open(struct notify **out, const char *url, uint64_t epoch, struct buf *why);
void notify_close(struct notify *n);
uint64_t notify_epoch(const struct notify *n);
/* Publishes `count` notices. Without any, says only how far the router is, and that not too often.
 */
void notify_send(struct notify *n, lsn_t applied, uint32_t count, struct slice notices);
/* Sends a frame without notices when the last one is too long ago; returns the milliseconds until
 * the next one is due. */
uint64_t notify_heartbeat(struct notify *n);

#endif
