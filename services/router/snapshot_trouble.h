/* Why a snapshot cannot be had, in the words of protocol §4.7. Pure. */
#ifndef SERVICES_ROUTER_SNAPSHOT_TROUBLE_H
#define SERVICES_ROUTER_SNAPSHOT_TROUBLE_H

#include <stdint.h>

#include "common/base/buf.h"
#include "services/router/snapshot.h"

struct trouble {
        uint32_t status; /* 0: none */
        uint32_t retry_after_s;
        struct buf body;
};

void trouble_init(struct trouble *t);
void trouble_fini(struct trouble *t);
/* Borrows the body. */
struct snapshot_failure trouble_failure(const struct trouble *t);

/* 409: the table is not what the shape believes, or the shape is gone. */
void trouble_refetch(struct trouble *t);
/* 503 */
void trouble_no_connection(struct trouble *t);
void trouble_slow_start(struct trouble *t);
void trouble_slow_query(struct trouble *t, uint64_t after_ms);
/* 500 */
void trouble_unexpected(struct trouble *t, struct slice what);
/* By SQLSTATE; `why` is Postgres' message, after_ms how long the statement had run. */
void trouble_sql(struct trouble *t, const char *state, struct slice why, uint64_t after_ms);

#endif
