/* Subsets (protocol §6.7): a request that is resolved and read like any other to learn where it
 * ends, and is then answered with rows that a router has read for it alone. */
#ifndef SERVICES_EDGE_GET_SUBSET_H
#define SERVICES_EDGE_GET_SUBSET_H

#include "services/edge/get.h"

/* What is asked for; in memory of the request. */
struct get_subset {
        struct slice where, order_by;
        struct slice params; /* encoded list */
        bool has_limit, was_live;
        uint64_t limit, skip;
        struct subset_question *question; /* under way, NULL: none */
};

/* False: it is too large to be passed on. */
bool get_subset_keep(struct get *g, const struct subset_params *p);
/* Nothing is created for a request that is not valid: a router is asked, unless the shape is known.
 * Goes on with get_resolve(). */
void get_subset_start(struct get *g);
/* An ordinary request would end at `end`. */
void get_subset_read(struct get *g, struct log_offset end);
/* The request ends. */
void get_subset_forget(struct get *g);

#endif
