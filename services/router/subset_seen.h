/* A subset must not be older than the log that its client has already read: a transaction can be in
 * the stream before a snapshot sees it (xidset.h), and the client that has been given its change
 * would take the subset's old row for the newer one. So a snapshot is used only when it sees all
 * that was routed before it was asked for. */
#ifndef SERVICES_ROUTER_SUBSET_SEEN_H
#define SERVICES_ROUTER_SUBSET_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "services/router/snapshot.h"
#include "services/router/writer.h"

struct subset_unseen {
        uint32_t *xids; /* owned */
        uint32_t n, cap;
};

/* The transactions routed until now that the snapshot does not see. Waits for the writer: 0 or
 * ERR_CANCELLED. */
int subset_unseen_list(struct writer *w, const struct pg_snapshot *s, struct subset_unseen *out);
/* A younger snapshot sees them all. */
bool subset_unseen_passed(const struct subset_unseen *u, const struct pg_snapshot *s);
void subset_unseen_fini(struct subset_unseen *u);

#endif
