/* What the routers' notices do to a loop, and how it finds out what it missed: the lossy but never
 * wrong half of the bus. A parked client is never left waiting for data that exists: when frames
 * are missing or a router falls silent, and every few seconds anyway, the tails of all shapes
 * somebody waits for are asked for. */
#ifndef SERVICES_EDGE_NOTICES_H
#define SERVICES_EDGE_NOTICES_H

#include "services/edge/worker.h"

/* One message of a router's notice stream. */
void notices_on_frame(struct worker *w, uint32_t shard, struct slice bytes);
/* Something known of this router's shapes may be out of date: ask soon. */
void notices_doubt(struct worker *w, uint32_t shard);
/* Each tick: silence, doubts, the sweep. */
void notices_tick(struct worker *w);

#endif
