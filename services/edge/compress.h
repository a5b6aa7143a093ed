/* The door to zlib, libbrotli and libzstd: whole bodies, once each, so at levels that pay when the
 * result is sent many times. Pure functions; any thread. */
#ifndef SERVICES_EDGE_COMPRESS_H
#define SERVICES_EDGE_COMPRESS_H

#include <stddef.h>

#include "common/base/slice.h"
#include "services/edge/coding.h"

/* Compresses the parts as one body. 0 with *out, which is the caller's (mem_free); ERR_LIMIT when
 * that would be longer than `max_bytes`; ERR_INVAL when the library refuses. Not for identity. */
int compress_body(enum coding coding, const struct slice *parts, size_t n_parts, size_t max_bytes,
                  struct slice *out);

#endif
