/* Statements that a session keeps. What Sluice asks of the catalogs takes Postgres ten times as
 * long to plan as to run; a statement with parameters is prepared the first time a session runs it.
 * Not behind a pooler, where the next transaction may have another session. For pg.c and for
 * whoever sends statements without blocking; a connection and what is kept for it belong to one
 * thread. */
#ifndef COMMON_PG_KEPT_H
#define COMMON_PG_KEPT_H

#include <libpq-fe.h>
#include <stdbool.h>

enum { PG_KEPT_NAME_BYTES = 24 };

/* The session is ours alone; until PQfinish(). */
void pg_kept_begin(PGconn *conn);
/* The name under which the session has the statement, or is to have it: then *is_new. False: it is
 * sent as it is, because the session is not ours or has enough already. */
bool pg_kept_find(const PGconn *conn, const char *sql, char name[PG_KEPT_NAME_BYTES], bool *is_new);
/* The statement has been prepared. */
void pg_kept_add(PGconn *conn, const char *sql);

#endif
