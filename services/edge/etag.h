/* Entity tags of shape responses and If-None-Match (protocol §2.5). */
#ifndef SERVICES_EDGE_ETAG_H
#define SERVICES_EDGE_ETAG_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"

/* `"<handle>:<requested offset>:<response offset>"`, quotes included. */
void etag_print(struct buf *out, struct slice handle, const struct offset_request *requested,
                struct log_offset end);
/* The same with `:<unique>` at its end: it never matches again. */
void etag_print_unique(struct buf *out, struct slice handle, const struct offset_request *requested,
                       struct log_offset end, uint64_t unique);
/* `"<handle>::"`, of a 409. */
void etag_print_refetch(struct buf *out, struct slice handle);

/* Does one If-None-Match line name `etag` (with its quotes)? A list of tags, quotes optional; weak
 * tags do not match, nor does `*`. */
bool etag_line_matches(struct slice line, struct slice etag);

#endif
