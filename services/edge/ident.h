/* SQL identifiers as clients write them (protocol §1.5 with the corrections of §13.1): folded and
 * unquoted here, looked up in the catalog by the router. */
#ifndef SERVICES_EDGE_IDENT_H
#define SERVICES_EDGE_IDENT_H

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "services/edge/arena.h"

enum { IDENT_MAX_BYTES = 63 /* Postgres' NAMEDATALEN - 1 */ };

/* All: ERR_FORMAT with the protocol's text in *why; slices are the arena's or borrow from `text`.
 */
int ident_parse(struct arena *a, struct slice text, struct slice *out, struct buf *why);
/* `table` or `schema.table`; schema `public` when there is none. */
int ident_parse_relation(struct arena *a, struct slice text, struct slice *schema,
                         struct slice *table, struct buf *why);
/* Comma separated; nothing is trimmed, duplicates stay. */
int ident_parse_list(struct arena *a, struct slice text, struct slice **out, uint32_t *n,
                     struct buf *why);

#endif
