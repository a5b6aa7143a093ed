/* The database's catalog: looks up the table of a definition and judges the definition against it
 * (protocol §4.2). One worker thread with one connection; requests queue up to a maximum. */
#ifndef SERVICES_ROUTER_CATALOG_H
#define SERVICES_ROUTER_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/wire/definition.h"
#include "services/router/table.h"
#include "services/router/where.h"

/* The verdict on a definition. */
struct catalog_answer {
        uint32_t status;        /* 0: valid; else the HTTP status: 400, 503 */
        struct buf body;        /* status != 0: the JSON body for the client */
        uint32_t retry_after_s; /* 0: none */
        struct table *table;    /* status 0: owned */
        uint32_t *columns;      /* selected columns, indexes into table->columns, attribute order */
        uint32_t n_columns;
        struct where *where; /* owned; NULL: every row */
};

/* An empty answer: status 0, nothing selected. */
void catalog_answer_init(struct catalog_answer *a);
void catalog_answer_fini(struct catalog_answer *a);

struct catalog;

struct catalog_options {
        const char *database_url, *ca_file;
        uint32_t max_queue;
        uint32_t timeout_ms;     /* for one look-up, connecting included */
        const char *publication; /* how tables must be published; NULL: not asked for */
};

/* Does not connect: that happens with the first request, and again after a failure. ERR_CONF with a
 * line in *why for a URL that cannot be used. */
int catalog_open(struct catalog **out, const struct catalog_options *o, struct buf *why);
/* Waiting requests are answered with 503 before it returns. */
void catalog_close(struct catalog *c);

/* Runs on the worker thread; takes the answer's contents (catalog_answer_fini). */
typedef void catalog_callback(void *arg, struct catalog_answer *answer);
/* Any thread. Copies `definition` (encoded). The callback runs exactly once; with 503 at once, on
 * this thread, when the queue is full. */
void catalog_request(struct catalog *c, struct slice definition, catalog_callback *cb, void *arg);

/* Pure part, for tests and for the worker: selects the columns and compiles the clause. Fills
 * status/body on a fault, else columns and where. Takes nothing; `out` was made by
 * catalog_answer_init(). */
void catalog_judge(const struct definition *d, const struct table *t, struct catalog_answer *out);

/* Reconciler: called from the worker for a watched table that the catalog shows to have changed, or
 * that is looked at for the first time. `gone`: no ordinary or partitioned table has this oid any
 * more (told again and again as long as it is watched); otherwise `table` is the new description
 * (borrowed; of a renamed table under its new name), to be compared with the old one. Runs on the
 * worker thread. */
typedef void catalog_drift_callback(void *arg, uint32_t oid, bool gone, const struct table *table);
struct catalog_periods {
        uint32_t glance_ms; /* between glances (catalog_glance.h), when they are quick */
        uint32_t period_ms; /* after which every table is looked at, whatever a glance says */
};
/* Once. A period in which the database cannot be asked is left out. */
void catalog_watch(struct catalog *c, struct catalog_periods periods, catalog_drift_callback *cb,
                   void *arg);
/* The reconciler tells, too, that the database has other rules of a time zone than this host, for
 * which zone_list_used() is asked with each new connection, and at least once a period on one that
 * is new. Once, before catalog_watch(). */
struct zone;
typedef void catalog_zone_callback(void *arg, const struct zone *z);
void catalog_watch_zones(struct catalog *c, catalog_zone_callback *cb, void *arg);
/* Any thread. The stream has begun anew, perhaps from another host: the zones are checked soon. */
void catalog_check_zones(struct catalog *c);
/* Any thread. The set of oids that the reconciler looks at; counted: as many removes as adds. A
 * callback may still come just after the last remove. */
void catalog_watch_add(struct catalog *c, uint32_t oid);
void catalog_watch_remove(struct catalog *c, uint32_t oid);
/* Any thread. Looks at one table soon, for the same callback, whether or not it is in the set. */
void catalog_look(struct catalog *c, uint32_t oid);

#endif
