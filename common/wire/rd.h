/* A bounds-checked msgpack reader with a sticky error. It never allocates and never trusts a
 * length: a count is checked against the bytes that are left before anybody loops over it.
 * (msgpack-c's own unpacker reserves gigabytes for five hostile bytes, so it is not used on
 * received data.) */
#ifndef COMMON_WIRE_RD_H
#define COMMON_WIRE_RD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct rd {
        const unsigned char *p, *end;
        int err; /* sticky: 0 or ERR_FORMAT; after an error every read returns 0 or empty */
};

enum rd_type { RD_END, RD_NIL, RD_BOOL, RD_UINT, RD_INT, RD_STR, RD_BIN, RD_ARRAY, RD_OTHER };

/* Borrows `bytes`; slices read from it live as long as they do. */
void rd_init(struct rd *r, struct slice bytes);
/* Type of the next object; RD_END at the end or after an error. */
enum rd_type rd_peek(const struct rd *r);
bool rd_at_end(const struct rd *r);

uint64_t rd_u64(struct rd *r);
int64_t rd_i64(struct rd *r);
bool rd_bool(struct rd *r);
/* A str or bin object. */
struct slice rd_bytes(struct rd *r);
/* True and consumed when the next object is nil. */
bool rd_nil(struct rd *r);
/* Element count; an error when fewer bytes are left than elements. */
uint32_t rd_array(struct rd *r);
/* Skips one whole object, nested at most 16 deep. */
void rd_skip(struct rd *r);
void rd_fail(struct rd *r);

#endif
