/* One worker's way through one job; for snapshot.c only. */
#ifndef SERVICES_ROUTER_SNAPSHOT_READ_H
#define SERVICES_ROUTER_SNAPSHOT_READ_H

#include <libpq-fe.h>
#include <stdint.h>

#include "services/router/snapshot.h"

struct snapshot_reader {
        const struct snapshot_options *options;
        const struct snapshot_sink *sink;
        PGconn *conn; /* NULL until it is needed */
        int wake_fd;  /* readable: the job is not wanted any more */
};

/* From ensure_table to the last callback of the job. 0, or ERR_CANCELLED when the reader was woken:
 * then nobody has been told that the job has ended. */
int snapshot_read(struct snapshot_reader *r, const struct snapshot_job *job);
void snapshot_disconnect(struct snapshot_reader *r);

#endif
