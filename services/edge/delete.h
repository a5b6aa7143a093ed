/* DELETE /v1/shape (protocol §4.9). */
#ifndef SERVICES_EDGE_DELETE_H
#define SERVICES_EDGE_DELETE_H

#include "services/edge/exchange.h"
#include "services/edge/query.h"

void delete_start(struct exchange *x, struct value *query);

#endif
