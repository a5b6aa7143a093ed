/* Of which tables is a relation a partition? The stream does not say so: it describes a partition
 * under its own name, and shapes of the tables above it must see its changes. So with every
 * relation that is described the catalog is asked, by a worker thread with a connection of its own,
 * while the stream waits (stream.h). That is seldom: Postgres describes a relation once, and again
 * when something about it has changed, an attached or detached partition among it.
 *
 * The catalog tells of now, the stream of a moment before. What differs between them is always a
 * partition attached or detached since, and that makes the router begin the shapes of the table
 * above again (tree.h of the router), or was filtered by their snapshots: no change gets lost. */
#ifndef SERVICES_INGEST_LINEAGE_H
#define SERVICES_INGEST_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/svc/loop.h"
#include "common/wire/change.h"

struct lineage;

struct lineage_answer {
        uint64_t ticket;
        int err; /* 0; ERR_DB, ERR_LIMIT with a line in `why` */
        const char *why;
        struct change_ancestor *ancestors; /* nearest first */
        uint32_t n_ancestors;
};

/* On the loop; what the answer holds is valid for the duration of the call. */
typedef void lineage_callback(void *arg, const struct lineage_answer *answer);

struct lineage *lineage_new(struct loop *loop, const char *url, const char *ca_file,
                            lineage_callback *cb, void *arg);
/* Ends the worker; no callback any more. */
void lineage_free(struct lineage *l);
/* From the loop. `xid`: the transaction in which the relation was described. It is decoded when its
 * commit is on disk, and that is a moment before others see it: if it has made the relation, or
 * attached it, a look at the catalog would not show that yet. So then it is waited for; a
 * transaction that only wrote rows is not: its commit may wait for a standby for long. One question
 * at a time; one that is asked while the worker is busy with another takes the place of any that
 * waits, and its ticket tells the answers apart. */
void lineage_ask(struct lineage *l, uint32_t oid, uint32_t xid, uint64_t ticket);

#endif
