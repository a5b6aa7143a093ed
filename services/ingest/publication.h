/* The publication and its tables: names, SQL, and what Postgres' answers mean in the words of
 * protocol §4.7. No state, no threads: setup.c makes the publication, ensure.c adds tables to it.
 */
#ifndef SERVICES_INGEST_PUBLICATION_H
#define SERVICES_INGEST_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/pg/membership.h"
#include "common/pg/pg.h"

enum { PG_NAME_BYTES = PG_PUBLICATION_NAME_BYTES };

struct object_names {
        char publication[PG_NAME_BYTES];
        char slot[PG_NAME_BYTES];
};
/* `stream_id` has passed pg_check_stream_id(). */
void publication_names(const char *stream_id, struct object_names *out);

/* ---- SQL. Everything named in it is quoted; server_version as in PQserverVersion(). */

void publication_sql_create(struct buf *out, const char *publication, int server_version);
/* What the stream needs to be published. */
void publication_sql_repair(struct buf *out, const char *publication);
/* One row about a table and the tree of partitions below it; $1 oid, $2 publication.
 * No row: the table or the publication does not exist. See table_facts. */
void publication_sql_inspect(struct buf *out, int server_version);
/* Column 0: oids of the tables and partitions that are published ($1) without REPLICA IDENTITY
 * FULL. */
extern const char publication_sql_bare[];
/* Column 0: xids of the transactions that hold a lock for writing on the tree below $1, prepared
 * ones included. */
extern const char publication_sql_writers[];
/* Column 0: those of the xids in the array $1 that have not ended. */
extern const char publication_sql_unfinished[];

struct table_facts {
        struct slice schema, table;
        struct slice membership; /* identifies how the table got into the publication; empty: it is
                                    not in it */
        bool full;               /* REPLICA IDENTITY FULL on the table and all below it */
        bool may_alter;          /* the publication is ours to alter */
        bool partly;             /* it is in it, but with a row filter or a column list */
};
/* Borrows from `res`, the answer of publication_sql_inspect(). */
void publication_read_facts(const PGresult *res, struct table_facts *out);
/* Column of that answer: what to run to give the tree its identity, NULL when nothing. */
enum { FACTS_IDENTITY_SQL = 5 };

/* ---- refusals: HTTP status and the message for the client */

enum table_refusal {
        REFUSE_MISSING_MANUAL,
        REFUSE_MISSING_UNPRIVILEGED,
        REFUSE_PARTLY,
        REFUSE_IDENTITY,
        REFUSE_GONE,
        REFUSE_DISCONNECTED,
        REFUSE_LOCK_TIMEOUT,
        REFUSE_WRITERS,
        REFUSE_PRIVILEGE, /* `detail`: Postgres' message */
        REFUSE_UNEXPECTED /* `detail`: Postgres' message */
};
enum { REFUSAL_RETRY_AFTER_S = 10 };

/* Appends the message; returns the HTTP status. */
uint64_t publication_refuse(struct buf *out, enum table_refusal why, struct slice schema,
                            struct slice table, const char *publication, struct slice detail);
/* What an error of Postgres while a table was being published is to the client. */
enum table_refusal publication_judge(const char *sqlstate);

#endif
