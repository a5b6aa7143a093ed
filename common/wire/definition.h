/* A shape's definition as the edge hands it to the router. Equal definitions have equal bytes: the
 * encoding decides the shard (rendezvous hash). Definitions that differ only in how a clause is
 * written are one shape when they meet on a router. Names are already folded and unquoted (protocol
 * §1.5); `where` is the client's text, to be judged by the router. */
#ifndef COMMON_WIRE_DEFINITION_H
#define COMMON_WIRE_DEFINITION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum { DEFINITION_VERSION = 1, DEFINITION_MAX_BYTES = 256 * 1024, DEFINITION_MAX_PARAMS = 65535 };

enum replica_mode { REPLICA_DEFAULT, REPLICA_FULL };
enum log_mode { LOG_FULL, LOG_CHANGES_ONLY };

struct definition {
        struct slice schema, table;
        bool has_columns;      /* false: all columns, now and later */
        struct slice *columns; /* as given, in the client's order */
        uint32_t n_columns;
        bool has_queryable;
        struct slice *queryable;
        uint32_t n_queryable;
        struct slice where;   /* trimmed; empty: every row */
        struct slice *params; /* $1… */
        uint32_t n_params;
        enum replica_mode replica;
        enum log_mode log;
};

/* Appends the canonical encoding: columns sorted bytewise. */
void definition_encode(struct buf *out, const struct definition *d);
/* ERR_FORMAT, ERR_VERSION, ERR_LIMIT. Slices borrow from `bytes`; arrays are owned by *out. */
int definition_decode(struct slice bytes, struct definition *out);
void definition_fini(struct definition *d);
/* xxh3 of an encoding. */
uint64_t definition_hash(struct slice encoded);
/* Which of n routers has the shape: rendezvous (highest random weight) hash. n > 0. */
uint32_t definition_shard(uint64_t hash, uint32_t n);

#endif
