/* From a change to the shapes it concerns (design §5), and from a received row to the columns that
 * those shapes know.
 *
 *   relation oid ──▶ feed: a table, or a partition and the tables it is part of
 *                      └──▶ table oid
 *
 *   table oid ──▶ topic ──▶ version: one description of the table, as a shape's record keeps it
 *                              └──▶ view: columns, replica mode and what else clauses read:
 *                                   one rendering, one verdict when the relation changes
 *                                      └──▶ shapes, by the values their clauses ask for (clause.h)
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
#include "services/router/clause.h"
#include "services/router/feed.h"
#include "services/router/render.h"
#include "services/router/shape.h"

struct match;

struct topic {
        struct match *match;
        uint32_t oid;
        struct list versions;
        uint32_t n_shapes;
        uint64_t member; /* of all its shapes, or MEMBER_MIXED; 0: there is none */
};
#define MEMBER_MIXED UINT64_MAX
static inline void match_note_member(struct topic *t, uint64_t member)
{
        t->member = t->member == 0 || t->member == member ? member : MEMBER_MIXED;
}

struct version {
        struct list node;
        struct topic *topic;
        struct table *table;  /* owned */
        struct slice encoded; /* owned: table_encode() */
        struct list views;
        struct hmap placements;                 /* relation oid -> struct placement */
        struct change_value *old_row, *new_row; /* rows being matched, table order */
};

/* What shapes of a view have in common. */
struct view_spec {
        const uint32_t *columns; /* selected, table column indexes in attribute order */
        uint32_t n_columns;
        enum replica_mode replica;
        bool all_columns;          /* now and later: a new column is one that it lacks */
        const struct where *where; /* NULL: every row; here only which columns it uses counts */
};

/* Shapes and snapshot jobs hold references. */
struct view {
        uint32_t magic, refs;
        struct list node;
        struct version *version;
        struct projection *projection; /* owned */
        uint32_t *columns;             /* owned */
        uint32_t n_columns;
        enum replica_mode replica;
        bool all_columns;
        bool *uses; /* owned; by table column index: the clauses read it */
        /* The relation that `placed` is about is not what its shapes are made of: they must go. */
        bool lost;
        const struct placement *placed;
        struct list shapes;
        struct clause_index index; /* of the same shapes */
};

enum { VIEW_MAGIC = 0x71e30001 };

struct match {
        struct hmap topics; /* oid -> struct topic */
        struct hmap feeds;  /* oid -> struct feed; of relations that a topic is or was about */
};

void match_init(struct match *m);
/* Every shape and view must be gone. */
void match_fini(struct match *m);

/* Takes the table. The view as specified, new or found, with a reference for the caller. */
struct view *match_view(struct match *m, struct table *table, const struct view_spec *spec);
/* The same from a record's bytes, decoded only when they are new. ERR_CORRUPT. */
int match_view_decode(struct match *m, uint32_t oid, struct slice table,
                      const struct view_spec *spec, struct view **out);
struct view *view_ref(struct view *v);
void view_unref(struct view *v);
struct slice view_table_bytes(const struct view *v);
/* Whether rows for its shapes need the column: for rendering or for a clause. */
bool view_needs(const struct view *v, uint32_t column);
/* The view must be of this match. */
void match_add(struct match *m, struct shape *s);
void match_remove(struct match *m, struct shape *s);
struct topic *match_topic(const struct match *m, uint32_t oid);

/* A batch describes a relation. True when it concerns shapes and is described for the first time or
 * anew: then the catalog may say more of its tables than the stream does. */
bool match_relation(struct match *m, const struct change_relation *relation);

/* The rows of one change for the shapes of one view. A row that the change has not is {NULL, 0}. */
struct match_rows {
        struct view *view;
        struct row old_row, new_row;
};
/* `old_in`, `new_in`: which of the rows belong to the shape (protocol §3.7). Comes view by view;
 * the shape may be removed by it, others not. */
typedef void match_callback(void *arg, const struct match_rows *rows, struct shape *s, bool old_in,
                            bool new_in);
/* Every shape that one of the rows belongs to, or `only` that one. Every shape of a view without
 * exception when the change cannot be judged: a truncate, a row that is missing, a relation that is
 * another. ERR_FORMAT: the change does not fit its relation. */
int match_change(struct match *m, const struct change *c, struct shape *only, match_callback *cb,
                 void *arg);

#endif
