/* Making the private Postgres' cluster on disk: finding the programs, initdb, the demo table.
 * Blocking. */
#ifndef SUPERVISOR_PGCLUSTER_H
#define SUPERVISOR_PGCLUSTER_H

#include "common/base/buf.h"
#include "supervisor/datadir.h"
#include "supervisor/postgres.h"

/* Fills pg->bin_dir: the programs of the version that made the cluster, or the newest when there is
 * none yet. ERR_NOTFOUND. */
int pgcluster_find_programs(struct postgres *pg, const struct datadir *d, struct buf *why);
/* Makes the cluster unless there is one; it appears whole or not at all. Fills pg->cluster and
 * pg->password. */
int pgcluster_make(struct postgres *pg, const struct datadir *d, struct buf *why);

#endif
