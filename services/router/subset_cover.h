/* How far in the log a client is that has just been given a subset. The client goes on from the
 * offset that the answer names, so entries before it must hold nothing for rows that are not in the
 * answer: other subsets of the client need them. Pure. */
#ifndef SERVICES_ROUTER_SUBSET_COVER_H
#define SERVICES_ROUTER_SUBSET_COVER_H

#include <stdbool.h>

#include "common/base/slice.h"

/* Whether every entry of the log is a change of a row that is among `rows`. Both are JSON objects
 * joined by commas, as render.h makes them. */
bool subset_covers(struct slice rows, struct slice entries);

#endif
