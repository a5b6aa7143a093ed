/* The REP server for edges. A fetch is a pure function of one read transaction and is answered on
 * the bus' thread, without the writer; so are tails. Only while the writer commits what edges have
 * been told of already they wait (late.h). Resolving and deleting go to resolve.h. */
#ifndef SERVICES_ROUTER_FETCH_H
#define SERVICES_ROUTER_FETCH_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/store/store.h"
#include "services/router/graves.h"
#include "services/router/limit.h"
#include "services/router/resolve.h"
#include "services/router/subset.h"
#include "services/router/writer.h"

struct fetch;

struct fetch_options {
        const char *url;
        struct store *store;
        struct writer *writer;
        struct resolve *resolve;
        struct subset_pool *subsets;
        struct graves *graves;
        struct limit *limit;
        uint64_t notices_epoch;
        uint32_t concurrency;
};

/* The writer is not ahead any more. On its thread. */
void fetch_settled(struct fetch *f);
int fetch_open(struct fetch **out, const struct fetch_options *o, struct buf *why);
/* Every call given to resolve.h must have been answered (the writer is stopped). */
void fetch_close(struct fetch *f);

#endif
