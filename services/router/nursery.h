/* Where shapes get their first snapshot: the writer's side of the snapshot workers (struct
 * snapshot_sink), which carries their calls to the writer thread and waits for the commit, and asks
 * the leader to publish tables. */
#ifndef SERVICES_ROUTER_NURSERY_H
#define SERVICES_ROUTER_NURSERY_H

#include "services/router/follow.h"
#include "services/router/graves.h"
#include "services/router/snapshot.h"
#include "services/router/writer.h"

/* All borrowed; set before the pool opens, except follow, which may come later but before the
 * writer starts. */
struct nursery {
        struct writer *writer;
        struct follow *follow;
        struct graves *graves;
        uint32_t index; /* of the router */
};

/* The sink's callbacks, for the workers of a snapshot pool. */
struct snapshot_sink nursery_sink(struct nursery *n);

#endif
