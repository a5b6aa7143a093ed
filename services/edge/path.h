/* Which route a request target names (protocol §1.1). Segments are percent-decoded and empty ones
 * are dropped before they are compared, so that authentication and CORS follow what is served, not
 * how it was spelt. */
#ifndef SERVICES_EDGE_PATH_H
#define SERVICES_EDGE_PATH_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "services/edge/arena.h"

enum route { ROUTE_NONE, ROUTE_ROOT, ROUTE_SHAPE, ROUTE_HEALTH, ROUTE_DEMO };

enum { PATH_MAX_SEGMENTS = 32 };

struct path {
        enum route route;
        struct slice segments[PATH_MAX_SEGMENTS]; /* decoded, none empty */
        uint32_t n_segments;
        bool trailing_slash;
        struct slice query; /* raw, without '?'; may be empty */
};

/* `target`: as in the request line, origin form or absolute form. Whatever cannot be decoded or has
 * too many segments is ROUTE_NONE. Slices borrow from `target` or the arena. */
void path_resolve(struct arena *a, struct slice target, struct path *out);

#endif
