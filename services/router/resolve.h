/* Definition to shape: finds it, or has it looked up and judged, once however many ask at the same
 * time; then it is another spelling of a shape that is there, or one is created. Also deletes
 * shapes on request. Its state belongs to the writer thread. */
#ifndef SERVICES_ROUTER_RESOLVE_H
#define SERVICES_ROUTER_RESOLVE_H

#include <stdint.h>

#include "common/bus/bus.h"
#include "common/wire/msg.h"
#include "services/router/catalog.h"
#include "services/router/limit.h"
#include "services/router/snapshot.h"
#include "services/router/writer.h"

struct resolve;

struct resolve_options {
        struct writer *writer;
        struct catalog *catalog;
        struct snapshot_pool *snapshots;
        struct limit *limit;
        uint32_t max_jobs; /* snapshots waiting or running; the pool's queue has room for them */
};

struct resolve *resolve_new(const struct resolve_options *o);
/* The writer and the catalog are stopped. */
void resolve_free(struct resolve *r);

/* Any thread. Takes the call; copies what it needs of the message. */
void resolve_find(struct resolve *r, struct rpc_call *call, const struct msg_resolve *m);
void resolve_delete(struct resolve *r, struct rpc_call *call, const struct msg_delete_shape *m);

#endif
