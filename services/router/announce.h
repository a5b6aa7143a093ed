/* What edges are told of a commit (common/wire/notice.h), and when.
 *
 * Usually after it: nothing is announced before it can be fetched (I5). But a commit takes as long
 * as everything else a live reader waits for together, and when all that it brings is entries of
 * complete transactions for shapes that are on disk, few enough to travel inline, nobody who is
 * told has to fetch them: they are announced first, and whoever fetches or asks for tails in
 * between is answered after the commit (late.h). Should the process die in between, the entries
 * come again from the stream at the same offsets (I1).
 *
 * Parts of the engine; the writer thread's. */
#ifndef SERVICES_ROUTER_ANNOUNCE_H
#define SERVICES_ROUTER_ANNOUNCE_H

#include <stdint.h>

#include "services/router/engine.h"

enum { ANNOUNCE_FRAME_BYTES = 256 * 1024 }; /* notices of one frame, the last one aside */

/* Appends to e->notices what the commit brings for a shape; how many notices that is. */
uint32_t announce_shape(struct engine *e, const struct shape *s);
/* Announces the next commit if that is allowed: then e->announced. */
void announce_ahead(struct engine *e);

#endif
