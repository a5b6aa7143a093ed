/* Subsets of shapes (protocol §6.7), answered by a small pool of workers with one connection each;
 * what waits is bounded, and so is what an answer may be. */
#ifndef SERVICES_ROUTER_SUBSET_H
#define SERVICES_ROUTER_SUBSET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/bus/bus.h"
#include "common/store/store.h"
#include "services/router/writer.h"

/* An answer may take as long: the statements, the wait for a worker and for a connection. */
enum { SUBSET_DEADLINE_MS = 40000 };

struct subset_pool;

struct subset_options {
        const char *database_url, *ca_file;
        bool pooled; /* see pg_options */
        struct store *store;
        struct writer *writer;
        uint32_t workers, max_queue;
        size_t max_bytes; /* of the JSON body of one subset */
};

/* Does not connect: a worker does with its first job, and lets an idle connection go after half a
 * minute. ERR_CONF with a line in *why for a URL that cannot be used. */
int subset_pool_open(struct subset_pool **out, const struct subset_options *o, struct buf *why);
/* Joins the workers; what they had not answered, and what comes later, is refused. */
void subset_pool_stop(struct subset_pool *p);
void subset_pool_free(struct subset_pool *p);

/* Any thread. Takes the call, whose body is an encoded subset message. */
void subset_submit(struct subset_pool *p, struct rpc_call *call);

#endif
