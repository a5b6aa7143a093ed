/* From a change to the shapes it concerns (design §5), and from a received row to the columns that
 * those shapes know.
 *
 *   table oid ──▶ topic ──▶ version: one description of the table, as a shape's record keeps it
 *                              └──▶ view: columns and replica mode, one rendering
 *                                      └──▶ shapes
 *
 * A relation as the stream describes it is compared with a version by name; what a difference means
 * for a shape is decided when a change is about to be applied to it, for only then it is certain
 * that the description is not older than the shape (protocol §7.4). The writer thread's. */
#ifndef SERVICES_ROUTER_MATCH_H
#define SERVICES_ROUTER_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/hmap.h"
#include "common/base/list.h"
#include "common/wire/change.h"
#include "services/router/render.h"
#include "services/router/shape.h"

struct match;

struct topic {
        struct match *match;
        uint32_t oid;
        struct list versions;
        struct slice relation; /* owned: bytes of the relation last seen, empty: none since a
                                  version came */
        uint32_t n_columns;    /* of that relation */
        uint32_t n_shapes;
};

struct version {
        struct list node;
        struct topic *topic;
        struct table *table;  /* owned */
        struct slice encoded; /* owned: table_encode() */
        struct list views;
        uint32_t *source; /* for each table column its place in the relation, or NO_SOURCE */
        struct change_value *old_row, *new_row; /* rows being matched, table order */
};

/* How the relation last seen differs from what a view was made for. */
enum drift {
        DRIFT_NONE,
        DRIFT_ADDED, /* new columns: shapes of all columns must go */
        DRIFT_LOST /* a column that is needed, or the table's name, is another: every shape must go
                    */
};

/* Shapes and snapshot jobs hold references. */
struct view {
        uint32_t magic, refs;
        struct list node;
        struct version *version;
        struct projection *projection; /* owned */
        uint32_t *columns;             /* owned, table column indexes in attribute order */
        uint32_t n_columns;
        enum replica_mode replica;
        enum drift drift;
        struct list shapes;
};

enum { VIEW_MAGIC = 0x71e30001 };

struct match {
        struct hmap topics; /* oid -> struct topic */
};

void match_init(struct match *m);
/* Every shape and view must be gone. */
void match_fini(struct match *m);

/* Takes the table. The view of these columns, new or found, with a reference for the caller. */
struct view *match_view(struct match *m, struct table *table, const uint32_t *columns, uint32_t n,
                        enum replica_mode replica);
/* The same from a record's bytes, decoded only when they are new. ERR_CORRUPT. */
int match_view_decode(struct match *m, uint32_t oid, struct slice table, const uint32_t *columns,
                      uint32_t n, enum replica_mode replica, struct view **out);
struct view *view_ref(struct view *v);
void view_unref(struct view *v);
struct slice view_table_bytes(const struct view *v);
/* The view must be of this match. */
void match_add(struct match *m, struct shape *s);
void match_remove(struct match *m, struct shape *s);
struct topic *match_topic(const struct match *m, uint32_t oid);

/* A batch describes a relation. */
void match_relation(struct match *m, const struct change_relation *relation);

/* The rows of one change for the shapes of one view. A row that the change has not is {NULL, 0}. */
struct match_rows {
        struct view *view;
        struct row old_row, new_row;
};
/* `old_in`, `new_in`: which of the rows belong to the shape (protocol §3.7). Comes view by view;
 * the shape may be removed by it, others not. */
typedef void match_callback(void *arg, const struct match_rows *rows, struct shape *s, bool old_in,
                            bool new_in);
/* Every shape that may be concerned, or `only` that one. A truncate concerns all, with neither row.
 * ERR_FORMAT: the change does not fit its relation. */
int match_change(struct match *m, const struct change *c, struct shape *only, match_callback *cb,
                 void *arg);

#endif
