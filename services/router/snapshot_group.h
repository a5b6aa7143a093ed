/* Small shapes of one table, read together: they ask once for the table to be published, share one
 * transaction with one snapshot, and reach the writer as one. Every step is the same as for one
 * shape alone (snapshot_read.c), in the same order but for the verdict on the snapshot, which comes
 * when all is read and committed: it depends on the snapshot and on what was held, not on when it
 * is given.
 *
 * Nothing that goes wrong is told to anybody. The shape that it went wrong with is to be read
 * alone, which will say what is to be said, and the others again. For snapshot.c only. */
#ifndef SERVICES_ROUTER_SNAPSHOT_GROUP_H
#define SERVICES_ROUTER_SNAPSHOT_GROUP_H

#include "services/router/snapshot_read.h"

enum snapshot_fate {
        SNAPSHOT_ENDED, /* or gone */
        SNAPSHOT_LATER, /* there was no time for it, or a younger snapshot is wanted */
        SNAPSHOT_ALONE
};

struct snapshot_member {
        const struct snapshot_job *job;
        enum snapshot_fate fate;
};

/* 0, and every fate is known; or ERR_CANCELLED when the reader was woken. */
int snapshot_read_group(struct snapshot_reader *r, struct snapshot_member *members, uint32_t n);

#endif
