#include "common/pg/membership.h"

#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"

/* "electric_publication_" and the id must fit into a name of 63 bytes. */
enum { STREAM_ID_MAX = 42 };

int pg_check_stream_id(const char *stream_id, struct buf *why)
{
        size_t len = strlen(stream_id);
        bool legal = strspn(stream_id, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
        if (legal && len > 0 && len <= STREAM_ID_MAX)
                return 0;
        buf_printf(why,
                   "SLUICE_STREAM_ID must be 1 to %d lower-case letters, digits and underscores: "
                   "it becomes part of a replication slot's name",
                   STREAM_ID_MAX);
        return ERR_INVAL;
}

void pg_publication_name(const char *stream_id, char out[PG_PUBLICATION_NAME_BYTES])
{
        int n = snprintf(out, PG_PUBLICATION_NAME_BYTES, "electric_publication_%s", stream_id);
        SLUICE_ASSERT(n > 0 && n < PG_PUBLICATION_NAME_BYTES);
}

bool pg_publication_needs_second_pass(int server_version)
{
        static const int fixed[] = {140018, 150013, 160009, 170005};
        for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
                if (server_version / 10000 == fixed[i] / 10000)
                        return server_version < fixed[i];
        return server_version < 180000;
}

static void put_roots(struct buf *out, const char *oid)
{
        buf_printf(out,
                   "(SELECT (%s)::pg_catalog.oid UNION"
                   " SELECT a.relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors(%s) a)",
                   oid, oid);
}

/* An oid and the transaction that made the row: neither comes back. Columns that a release does not
 * have are absent from the row's JSON. */
void pg_put_membership(struct buf *out, const char *oid, int server_version)
{
        buf_puts(out, "concat_ws(' ', CASE WHEN pub.puballtables THEN 'all' END,"
                      " (SELECT string_agg(r.oid::text || '.' || r.xmin::text, ' ' ORDER BY r.oid)"
                      " FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = pub.oid"
                      " AND pg_catalog.to_jsonb(r)->>'prqual' IS NULL"
                      " AND pg_catalog.to_jsonb(r)->>'prattrs' IS NULL AND r.prrelid IN ");
        put_roots(out, oid);
        if (server_version >= 150000) {
                buf_puts(out, "), (SELECT string_agg('schema' || s.oid::text || '.' ||"
                              " s.xmin::text, ' ' ORDER BY s.oid)"
                              " FROM pg_catalog.pg_publication_namespace s"
                              " JOIN pg_catalog.pg_class k ON k.relnamespace = s.pnnspid"
                              " WHERE s.pnpubid = pub.oid AND k.oid IN ");
                put_roots(out, oid);
        }
        buf_puts(out, "))");
}

void pg_put_full_membership(struct buf *out, const char *oid, const char *publication,
                            int server_version)
{
        bool altered = !pg_publication_needs_second_pass(server_version);
        buf_puts(out, "(SELECT m.text || '@' || m.pub FROM (SELECT ");
        pg_put_membership(out, oid, server_version);
        buf_printf(out,
                   " AS text, pub.oid::text%s AS pub FROM pg_catalog.pg_publication pub"
                   " WHERE pub.pubname = %s AND pub.pubinsert AND pub.pubupdate AND pub.pubdelete"
                   " AND pub.pubtruncate) m WHERE m.text <> '')",
                   altered ? " || '.' || pub.xmin::text" : "", publication);
}
