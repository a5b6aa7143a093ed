/* How a table's changes get into the publication, as text that identifies it: as long as the text
 * stays the same, the table was published all the time. Ingest asks before it lets a snapshot
 * begin, the router when it takes the snapshot and every now and then afterwards: a table that was
 * taken out and put back may have lost changes between. Both must ask alike.
 *
 * A partition is published through any of its ancestors. A membership with a row filter or a column
 * list is none: its changes are incomplete. */
#ifndef COMMON_PG_MEMBERSHIP_H
#define COMMON_PG_MEMBERSHIP_H

#include <stdbool.h>

#include "common/base/buf.h"

/* Postgres object names are made from it, so it is limited to what a slot's name may hold:
 * ERR_INVAL and a line in *why. */
int pg_check_stream_id(const char *stream_id, struct buf *why);
enum { PG_PUBLICATION_NAME_BYTES = 64 };
/* `stream_id` has passed pg_check_stream_id(). */
void pg_publication_name(const char *stream_id, char out[PG_PUBLICATION_NAME_BYTES]);

/* Releases before these forget to invalidate what pgoutput had cached for a transaction that was
 * running when the publication was altered (fixed in 14.18, 15.13, 16.9, 17.5): such a server may
 * go on ignoring a table, until the publication is altered again. */
bool pg_publication_needs_second_pass(int server_version);

/* Appends an SQL expression: the membership of the table whose oid the expression `oid` gives, ''
 * when it has none. A row of pg_publication must be in scope as `pub`. */
void pg_put_membership(struct buf *out, const char *oid, int server_version);
/* The same as a subquery that finds the publication itself and asks that it publishes everything;
 * NULL when there is none. `publication`: an SQL expression. Of the publication, too, it says when
 * it was altered, unless a second pass alters it. */
void pg_put_full_membership(struct buf *out, const char *oid, const char *publication,
                            int server_version);

#endif
