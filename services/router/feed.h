/* A relation of the stream: which tables' shapes see its changes, and where in its rows the columns
 * of those tables are. A partition's columns may stand in another order than those of the table it
 * is part of, and in a table of partitions every partition has an order of its own: columns are
 * found by name, once for each relation and description. The writer thread's, see match.h. */
#ifndef SERVICES_ROUTER_FEED_H
#define SERVICES_ROUTER_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/hmap.h"
#include "common/wire/change.h"
#include "services/router/table.h"

enum { FEED_MAX_TABLES = CHANGE_MAX_ANCESTORS + 1 };

struct feed {
        uint32_t oid;
        struct slice relation; /* owned: bytes of the relation last seen */
        uint32_t n_columns;
        bool stale; /* a table came since then: its columns are not placed */
        uint32_t n_tables;
        uint32_t tables[]; /* oids: its own, then its ancestors' */
};

struct feed *feed_new(const struct change_relation *r);
void feed_free(struct feed *f);
bool feed_has(const struct feed *f, uint32_t oid);

/* What a table's columns are in the rows of one relation. */
struct placement {
        uint32_t *source; /* for each table column its place in the relation, or NO_SOURCE */
        bool *same;       /* for each table column: it is there, of the same type */
        bool adds;        /* the relation has columns that the table has not */
        bool strange;     /* the relation has another name, or became a part of the table after
                             the table was described and may have brought rows (tree.h) */
};

#define NO_SOURCE UINT32_MAX

/* `step`: the table's place among the feed's tables. */
struct placement *placement_new(const struct table *t, const struct change_relation *r,
                                uint32_t step);
void placement_free(struct placement *p);

#endif
