/* msgpack writer: msgpack-c's packer over a struct buf, whose sticky error is checked at the end.
 */
#ifndef COMMON_WIRE_WR_H
#define COMMON_WIRE_WR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

void wr_u64(struct buf *b, uint64_t v);
void wr_i64(struct buf *b, int64_t v);
void wr_bool(struct buf *b, bool v);
void wr_nil(struct buf *b);
void wr_str(struct buf *b, struct slice s);
void wr_bin(struct buf *b, struct slice s);
/* What stands before the `len` bytes of a bin object. */
void wr_bin_front(struct buf *b, size_t len);
void wr_array(struct buf *b, uint32_t count);
/* An array whose count is known later: returns where it stands, to be passed to wr_array_end(). */
size_t wr_array_begin(struct buf *b);
void wr_array_end(struct buf *b, size_t at, uint32_t count);

#endif
