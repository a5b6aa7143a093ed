/* Event streams: live=true&live_sse=true (protocol §2.11). A shape request whose answer goes on:
 * each batch of changes is a run of frames, followed by an up-to-date frame when it reaches the end
 * of the log. A batch that is cut by a chunk's end goes on with the next chunk at once. A stream
 * that begins with data stays open as any other: clients that see a few streams end early poll for
 * ever after.
 *
 * One write is in flight at a time; while it is, nothing is read and nothing is waited for, so a
 * slow client holds one batch. */
#ifndef SERVICES_EDGE_SSE_H
#define SERVICES_EDGE_SSE_H

#include "common/base/buf.h"
#include "common/base/slice.h"

struct get;
struct answer;

enum { SSE_DURATION_MS = 60000, SSE_KEEP_ALIVE_MS = 21000 };

/* Nothing follows the offset: send the head and keep the stream open. */
void sse_start(struct get *g);
/* The offset lies beyond the tail: a stream that waits for it (§13.1.27). */
void sse_start_out_of_bounds(struct get *g);
/* The reader has its first piece; without a stream yet it is opened. */
void sse_deliver_chunk(struct get *g, const struct answer *a);
/* Entries that came with a notice. */
void sse_deliver(struct get *g, const struct answer *a, struct slice entries);
/* An open stream has nothing to read. */
void sse_at_end(struct get *g);
/* The timer of the wait: keep-alive or the end. */
void sse_on_timer(struct get *g);
void sse_end(struct get *g);
/* With the request. */
void sse_free(struct get *g);

/* Appends one frame for each entry of a comma-separated list of JSON objects. */
void sse_put_frames(struct buf *out, struct slice entries);

#endif
