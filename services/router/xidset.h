/* Which transactions the stream has brought lately (invariant I2a). A transaction can be in the
 * stream before a new snapshot sees it: its commit record is flushed, but it is still in the array
 * of running processes. So a snapshot is good only when every transaction that was routed before
 * its shape was held is visible in it.
 *
 * The set is a circular bitmap over the last 2^26 xids, in untouched memory until a bit is set, and
 * a ring of the latest xids that is stored with every commit, so that the question can be answered
 * after a restart as well: whoever was routed before it and still runs is among the last
 * XIDSET_RECENT (with synchronous replication a commit may wait that long for a standby). The
 * writer thread's. */
#ifndef SERVICES_ROUTER_XIDSET_H
#define SERVICES_ROUTER_XIDSET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

enum {
        XIDSET_SPAN_BITS = 26,
        XIDSET_SLOTS = 256,
        XIDSET_SLOT_XIDS = 256,
        XIDSET_RECENT = XIDSET_SLOTS * XIDSET_SLOT_XIDS
};

struct xidset;

struct xidset *xidset_new(void);
void xidset_free(struct xidset *x);
void xidset_add(struct xidset *x, uint32_t xid);
bool xidset_has(const struct xidset *x, uint32_t xid);
/* The first member at or circularly after *xid, up to the newest one. False: none. */
bool xidset_next(const struct xidset *x, uint32_t *xid);
void xidset_clear(struct xidset *x);

/* Slots of the ring that changed since xidset_saved(): start with *slot = 0 and add one after each;
 * false at the end. `record` is borrowed until the next add. */
bool xidset_unsaved(const struct xidset *x, uint32_t *slot, struct slice *record);
void xidset_saved(struct xidset *x);
/* Adds what a slot had stored, to a new set. ERR_CORRUPT. */
int xidset_load(struct xidset *x, uint32_t slot, struct slice record);

#endif
