/* A record of the store with its checksum: u64 (xxh3 of the payload, seeded by that of the key) ·
 * payload. What is damaged, or stands under another key than it was written for, is ERR_CORRUPT.
 * Runs of the log have a form of their own (run.h). */
#ifndef SERVICES_ROUTER_SEALED_H
#define SERVICES_ROUTER_SEALED_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "common/store/store.h"

enum { SEALED_HEAD_BYTES = 8 };

/* Borrows `value`. 0 or ERR_CORRUPT. */
int sealed_open(struct slice key, struct slice value, struct slice *payload);
/* As store_get(), with the payload; damage is the transaction's error. */
bool sealed_get(struct store_txn *t, struct slice key, struct slice *payload);
void sealed_put(struct store_txn *t, struct slice key, struct slice payload);

#endif
