/* The parameters of /v1/shape (protocol §1.4, §1.6) and what the edge itself can say about them:
 * the stages of §2.1 with the texts of §4.2. What needs the catalog (does the table exist, is the
 * where clause one) goes into the definition and is judged by the router. */
#ifndef SERVICES_EDGE_PARAMS_H
#define SERVICES_EDGE_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/wire/definition.h"
#include "services/edge/arena.h"
#include "services/edge/fielderr.h"
#include "services/edge/query.h"

struct subset_params {
        struct slice where, order_by; /* empty: absent */
        bool has_limit, has_offset;
        uint64_t limit, offset;
        struct slice *params;
        uint32_t n_params;
};

struct params {
        struct offset_request offset;
        struct slice handle; /* empty: none, or dropped because of the offset */
        bool live, live_sse;
        struct slice cursor; /* empty: none */
        bool has_table;
        struct definition def; /* its arrays are the arena's: never definition_fini() it */
        bool compaction;
        bool is_subset;
        struct subset_params subset;
};

enum params_for { PARAMS_GET, PARAMS_DELETE };

/* Everything in *out borrows from the tree or the arena. ERR_INVAL: the first stage that failed, as
 * a JSON body in *error. */
int params_parse(struct arena *a, enum params_for what, const struct value *query,
                 struct params *out, struct buf *error);

/* Merges a POST body into the query's tree (§1.6.4): afterwards members of the subset are in the
 * map `subset` of the tree and nowhere else. Also needed without a body (NULL), for the `subset__X`
 * keys. */
void params_merge(struct arena *a, struct value *query, const struct value *body);

/* ---- for params_subset.c */

/* A string, or a number or boolean as text. *out stays as it is when the member is absent or empty;
 * false and an error `is invalid` on *field when it is something else or has a NUL in it. */
bool params_cast_string(const struct value *in, struct slice name, const char *field,
                        struct slice *out, struct fielderr *e);
/* `{"1": …, "2": …}` -> $1, $2. */
void params_cast_positional(struct arena *a, const struct value *map, const char *field,
                            struct slice **out, uint32_t *n, struct fielderr *e);
void params_cast_subset(struct arena *a, const struct value *subset, struct subset_params *out,
                        struct fielderr *e);

#endif
