/* Group commit: a thread that makes the store durable, at most every few milliseconds, while there
 * is something that is not (I3: only what is synced is acknowledged as synced). What moves no
 * position is awaited by nobody and takes its time: rows of a snapshot are not flushed to the disk
 * while they are being read. */
#ifndef SERVICES_ROUTER_SYNCER_H
#define SERVICES_ROUTER_SYNCER_H

#include <stdint.h>

#include "common/base/offset.h"
#include "common/store/store.h"

struct syncer;

/* on_synced runs on the syncer's thread. */
struct syncer *syncer_new(struct store *store, void (*on_synced)(void *arg, lsn_t), void *arg);
/* Joins the thread. */
void syncer_free(struct syncer *s);
/* Any thread: there was a commit, which has everything up to `lsn`. */
void syncer_committed(struct syncer *s, lsn_t lsn);

#endif
