/* The database's catalog: looks up the table of a definition and judges the definition against it (protocol §4.2). One worker thread
 * with one connection; requests queue up to a maximum. */
#ifndef SERVICES_ROUTER_CATALOG_H
#define SERVICES_ROUTER_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/wire/definition.h"
#include "services/router/table.h"

/* The verdict on a definition. */
struct catalog_answer {
        uint32_t status;        /* 0: valid; else the HTTP status: 400, 503 */
        struct buf body;        /* status != 0: the JSON body for the client */
        uint32_t retry_after_s; /* 0: none */
        struct table *table;    /* status 0: owned */
        uint32_t *columns;      /* selected columns, indexes into table->columns, attribute order */
        uint32_t n_columns;
};

void catalog_answer_fini(struct catalog_answer *a);

struct catalog;

struct catalog_options {
        const char *database_url, *ca_file;
        uint32_t max_queue;
        uint32_t timeout_ms; /* for one look-up, connecting included */
};

int catalog_open(struct catalog **out, const struct catalog_options *o, struct buf *why);
/* Waiting requests are answered with 503 before it returns. */
void catalog_close(struct catalog *c);

/* Runs on the worker thread; takes the answer's contents (catalog_answer_fini). */
typedef void catalog_callback(void *arg, struct catalog_answer *answer);
/* Any thread. Copies `definition` (encoded). The callback runs exactly once; with 503 at once, on this thread, when the queue is full. */
void catalog_request(struct catalog *c, struct slice definition, catalog_callback *cb, void *arg);

/* Pure part, for tests and for the worker: selects the columns. Fills status/body on a fault, else columns. Takes nothing. */
void catalog_judge(const struct definition *d, const struct table *t, struct catalog_answer *out);

/* Reconciler: called from the worker every period for all known tables, see catalog_watch(). `gone`: dropped, renamed or recreated under another
 * oid; otherwise `table` is the new description (borrowed), to be compared with the old one. Runs on the worker thread. */
typedef void catalog_drift_callback(void *arg, uint32_t oid, bool gone, const struct table *table);
void catalog_watch(struct catalog *c, uint32_t period_ms, catalog_drift_callback *cb, void *arg);
/* Any thread. The set of oids that the reconciler looks at. */
void catalog_watch_add(struct catalog *c, uint32_t oid);
void catalog_watch_remove(struct catalog *c, uint32_t oid);

#endif
