/* The value of the electric-schema header (protocol §2.7): one JSON object from column name to
 * type, dimensions, key position and what the type modifier means for that type. Pure. */
#ifndef SERVICES_ROUTER_SCHEMA_JSON_H
#define SERVICES_ROUTER_SCHEMA_JSON_H

#include <stdint.h>

#include "common/base/buf.h"
#include "services/router/table.h"

/* `columns`: indexes into the table's columns, in the order wanted. */
void schema_json(const struct table *t, const uint32_t *columns, uint32_t n, struct buf *out);

#endif
