/* A shape's where clause as the writer keeps it, and the index that finds shapes by a row's values
 * (design §5).
 *
 * Of the equalities that must hold for a clause to hold, `column = constant` or `column IN
 * (constants)`, one is chosen: the shape stands in its view's index under each of the constants. A
 * change looks up the values of its old and of its new row; the clauses of the shapes found there,
 * and of all shapes without such an equality, decide. So any number of shapes on other values cost
 * a change nothing.
 *
 * A clause that is one equality and nothing else is decided by the column's text alone: then no
 * compiled form is kept, for there may be a hundred thousand of them. The writer thread's. */
#ifndef SERVICES_ROUTER_CLAUSE_H
#define SERVICES_ROUTER_CLAUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/hmap.h"
#include "common/base/list.h"
#include "common/wire/definition.h"
#include "services/router/render.h"
#include "services/router/where.h"

struct shape;
struct zone_set;

/* A shape under one constant. */
struct posting {
        struct posting *prev, *next;
        struct shape *shape;
};

struct clause {
        struct where *where;    /* owned; NULL: in is who has the text texts[0] in `column` */
        bool indexed;           /* by `column` */
        uint32_t column;        /* of the table */
        struct slice text;      /* owned, when there is no `where` */
        struct slice *texts;    /* &text, or the compiled clause's */
        uint32_t n_texts;       /* 0: no row can be in */
        struct posting one;     /* the usual case */
        struct posting *many;   /* owned; n_texts > 1 */
        uint64_t turn;          /* of the index, when last found */
        struct zone_set *zones; /* owned, NULL: none; of the clause as it was written */
};

/* Compiles the definition's clause: 0 with *out NULL when there is none, ERR_INVAL with the message
 * for the client in *why. Any thread. */
int clause_compile(const struct definition *d, const struct table *t, struct where **out,
                   struct buf *why);
/* What names the shape, whatever the client's spelling: the definition with the rebuilt clause in
 * place of text and parameters, and the columns that it selects in place of the ones it may
 * mention (protocol §13.1.24). `where` NULL: no clause. Any thread. */
void clause_identity(const struct definition *d, const struct where *where, struct buf *out);

/* Takes the compiled clause. */
struct clause *clause_new(struct where *where, const struct table *t);
/* NULL is allowed; it must not be in an index. */
void clause_free(struct clause *c);
/* `c` NULL: every row is in. A row that is not there ({NULL, 0}) is not. */
bool clause_has(const struct clause *c, struct row row);

/* ---- the index of one view's shapes */

struct clause_column;

struct clause_index {
        struct clause_column *columns; /* owned */
        uint32_t n_columns;
        struct list rest; /* shapes without an equality, by their in_rest */
        uint64_t turn;
};

void clause_index_init(struct clause_index *x);
/* Every shape must have left. */
void clause_index_fini(struct clause_index *x);
void clause_index_add(struct clause_index *x, struct shape *s);
void clause_index_remove(struct clause_index *x, struct shape *s);

typedef void clause_index_callback(void *arg, struct shape *s);
/* Every shape that may have one of the rows, once. The callback may remove its shape, not others.
 */
void clause_index_find(struct clause_index *x, struct row old_row, struct row new_row,
                       clause_index_callback *cb, void *arg);

#endif
