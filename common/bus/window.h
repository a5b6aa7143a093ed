/* The publisher's window of a lossless stream: frames that some router has not acknowledged yet,
 * bounded in bytes and in messages. Pure data structure, one thread, no I/O. */
#ifndef COMMON_BUS_WINDOW_H
#define COMMON_BUS_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/offset.h"
#include "common/base/slice.h"

struct window;

/* start_lsn: what comes before the first batch. */
struct window *window_new(size_t max_bytes, uint32_t max_frames, lsn_t start_lsn);
void window_free(struct window *w);
/* False when another frame might not fit: the publisher must stop reading its source. */
bool window_has_room(const struct window *w);
/* Takes the frame's bytes (mem_free). `last_lsn`: the greater of the batch's end and the commit LSN
 * of a transaction that the batch holds a part of; who has everything up to last_lsn needs nothing
 * of this frame. seq must be one more than the last. Only while window_has_room(). */
void window_push(struct window *w, uint64_t seq, lsn_t last_lsn, struct slice frame);
/* Drops every frame up to and including seq. */
void window_release(struct window *w, uint64_t seq);
/* Frame borrowed until the next push or release; false when it is not (or no longer) here. */
bool window_get(const struct window *w, uint64_t seq, struct slice *frame);
/* First seq that holds something after `lsn`; the next seq to come when nothing does. False when
 * frames that held something after `lsn` were released: what is wanted is gone. */
bool window_find(const struct window *w, lsn_t lsn, uint64_t *seq);
uint64_t window_next_seq(const struct window *w);
uint64_t window_first_seq(const struct window *w);
size_t window_bytes(const struct window *w);

#endif
