/* A subset of a shape's rows as the client asks for it (protocol §6.7): judged against the table,
 * and made into one statement. Pure. */
#ifndef SERVICES_ROUTER_SUBSET_QUERY_H
#define SERVICES_ROUTER_SUBSET_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/wire/definition.h"
#include "common/wire/msg.h"
#include "services/router/render.h"

/* Everything borrows from the message; the arrays are owned. */
struct subset_query {
        struct definition request; /* of the shape, in the words of this request */
        struct slice where, order_by;
        struct slice *params;
        uint32_t n_params;
        bool has_limit;
        uint64_t limit, skip;
};

/* ERR_FORMAT. */
int subset_query_read(struct subset_query *q, const struct msg_subset *m);
void subset_query_fini(struct subset_query *q);

/* Appends the statement to *sql: the rows of the shape, as `shape` defines them, that the client
 * wants; it selects the columns that the projection needs, in the table's
 * order. ERR_INVAL: *body is the JSON for the client. */
int subset_query_sql(const struct subset_query *q, const struct definition *shape,
                     const struct projection *p, struct buf *sql, struct buf *body);

/* {"message":"Invalid request","errors":{"subset":{"<field>":["<text>"]}}}; `plain`: the text
 * stands without a list around it. */
void subset_refusal(const char *field, struct slice text, bool plain, struct buf *body);

#endif
