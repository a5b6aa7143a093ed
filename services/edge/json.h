/* JSON bodies of requests (RFC 8259), read into the tree of query.h. Small and strict; depth is
 * bounded, memory is bounded by the length of the text. */
#ifndef SERVICES_EDGE_JSON_H
#define SERVICES_EDGE_JSON_H

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "services/edge/arena.h"
#include "services/edge/query.h"

enum { JSON_MAX_DEPTH = 64 };

/* The whole text must be one value. ERR_FORMAT, with the reason and its byte position in *why. The
 * last of equal keys wins. */
int json_parse(struct arena *a, struct slice text, struct value **out, struct buf *why);

#endif
