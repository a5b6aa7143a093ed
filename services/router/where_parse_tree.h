/* libpg_query's tree to ours; only where_parse.c uses it. */
#ifndef SERVICES_ROUTER_WHERE_PARSE_TREE_H
#define SERVICES_ROUTER_WHERE_PARSE_TREE_H

#include <pg_query/pg_query.pb-c.h>

#include "services/router/where_parse.h"

struct where_reader {
        struct where_scratch *arena;
        struct buf *why;
        int before; /* bytes of the parsed text before the clause */
        int depth;
};

/* NULL: refused, `why` says so. */
struct where_parsed *where_read_node(struct where_reader *r, const PgQuery__Node *node);

#endif
