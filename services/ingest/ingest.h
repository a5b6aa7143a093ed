/* The ingest service: everything that concerns replicating one database. Who owns what:
 *
 *   loop (main thread)      repl ──▶ stream ──▶ pub           control answers routers here
 *   repl's worker           setup: connect, lock, publication, slot
 *   ensure's worker         tables into the publication
 *   lineage's worker        what a relation is a partition of
 *   NNG's threads           post requests to the loop */
#ifndef SERVICES_INGEST_INGEST_H
#define SERVICES_INGEST_INGEST_H

#include "services/ingest/conf.h"

/* struct svc's three hooks. */
int ingest_start(struct loop *loop, void *conf, struct buf *why);
void ingest_drain(void);
void ingest_stop(void);

#endif
