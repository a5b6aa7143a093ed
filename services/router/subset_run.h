/* One subset: from a valid request to the rows, with a connection of its own (protocol §6.7). A
 * worker's thread. */
#ifndef SERVICES_ROUTER_SUBSET_RUN_H
#define SERVICES_ROUTER_SUBSET_RUN_H

#include <libpq-fe.h>
#include <stdint.h>

#include "services/router/snapshot_trouble.h"
#include "services/router/subset_query.h"
#include "services/router/writer.h"

enum { SUBSET_STATEMENT_TIMEOUT_MS = 30000, SUBSET_LOCK_TIMEOUT_MS = 5000 };

struct subset_reader {
        const char *database_url, *ca_file;
        bool pooled; /* see pg_options */
        struct writer *writer;
        size_t max_bytes; /* of a body */
        PGconn *conn;     /* NULL until it is needed */
        int wake_fd;      /* readable: give up */
};

struct subset_job {
        const struct subset_query *query;
        const struct definition *shape; /* as the shape was made */
        const struct projection *projection;
        uint64_t deadline_ms; /* by clock_mono_ms() */
        uint32_t mark;        /* snapshot_mark */
        /* the result, when subset_run() returns 0 */
        struct buf *body;
        struct slice rows; /* in the body, between the brackets */
};

/* 0, or an error with what the client gets in *trouble. */
int subset_run(struct subset_reader *r, struct subset_job *job, struct trouble *trouble);
/* The table of a definition, by its name. 0, ERR_NOTFOUND, or an error with *trouble. */
int subset_find_table(struct subset_reader *r, const struct definition *d, uint64_t deadline_ms,
                      struct table **out, struct trouble *trouble);
void subset_disconnect(struct subset_reader *r);

#endif
