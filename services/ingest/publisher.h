/* What can be done with one table over an ordinary connection: look at it, add it to the
 * publication, give it its identity, find those who have written to it. Blocking: for ensure.c's
 * worker. The connection is made when it is needed and made again when it was lost. */
#ifndef SERVICES_INGEST_PUBLISHER_H
#define SERVICES_INGEST_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "services/ingest/publication.h"

struct publisher_options {
        const char *url, *ca_file;
        struct object_names names;
        bool manual; /* never alter anything */
};

struct publisher {
        struct publisher_options o;
        PGconn *conn;
};

/* What became of a step: go on, or refuse for a reason. *why then holds Postgres' message. */
struct outcome {
        bool refused;
        enum table_refusal reason;
};

void publisher_init(struct publisher *p, const struct publisher_options *o);
void publisher_fini(struct publisher *p);

/* *out: see publication_read_facts(); the caller's to PQclear. schema and table NULL: whatever its
 * name is. A table of another name is REFUSE_GONE. */
struct outcome publisher_inspect(struct publisher *p, uint32_t oid, const char *schema,
                                 const char *table, PGresult **out, struct buf *why);
/* Alters what must be altered and replaces *facts by what is true then. Takes locks: nobody else
 * gets at the table while one is waited for, up to `lock_timeout_ms`. */
enum { PUBLISHER_LOCK_MS = 5000 /* protocol §7.3 */ };
struct outcome publisher_order(struct publisher *p, uint32_t oid, uint32_t lock_timeout_ms,
                               PGresult **facts, struct buf *why);
static inline bool publisher_in_order(const struct table_facts *f)
{
        return f->full && f->membership.len > 0;
}
/* Array literal of the xids of those who have written to the table and not ended, NULL when there
 * are none; mem_free. */
struct outcome publisher_writers(struct publisher *p, uint32_t oid, char **xids, struct buf *why);
/* Replaces *xids by those that have not ended. */
struct outcome publisher_unfinished(struct publisher *p, char **xids, struct buf *why);
/* See pg_publication_needs_second_pass(). */
bool publisher_needs_second_pass(const struct publisher *p, const struct table_facts *f);
struct outcome publisher_touch(struct publisher *p, struct buf *why);
/* Partitions that are published without REPLICA IDENTITY FULL, oids as rows of column 0. */
struct outcome publisher_bare(struct publisher *p, PGresult **out, struct buf *why);

/* Where the WAL ends, and from where on the slot keeps it. */
struct wal_facts {
        lsn_t end, kept_from, confirmed;
};
struct outcome publisher_wal(struct publisher *p, struct wal_facts *out, struct buf *why);

#endif
