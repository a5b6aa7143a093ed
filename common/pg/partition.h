/* SQL for who is a partition of what, and since when: ingest says it with every relation of the
 * stream, the router compares it with what a shape's table was like. Both must ask alike.
 *
 * Inheritance that is not partitioning does not count, and neither does a partition that is being
 * detached concurrently: queries of the table do not see its rows any more. */
#ifndef COMMON_PG_PARTITION_H
#define COMMON_PG_PARTITION_H

/* A table expression with columns child and parent. */
#define PG_PARTITIONS                                                                              \
        "(SELECT i.inhrelid AS child, i.inhparent AS parent FROM pg_catalog.pg_inherits i"         \
        " JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"                                        \
        " WHERE c.relispartition AND NOT i.inhdetachpending)"

/* Two expressions over the row `i` of pg_inherits: the transaction that attached the partition, and
 * whether the partition was created attached (CREATE TABLE … PARTITION OF), hence empty.
 *
 * Postgres does not record the latter, but it shows: a system column's row in pg_attribute is
 * written when a table is created and never again; a column that is inherited from the moment of
 * its creation has a row from the same transaction and command (the next one, when it has a
 * default), while ATTACH PARTITION rewrites the rows of all columns later. CREATE TABLE and ATTACH
 * with nothing between them pass for the former, rightly. Columns that were altered since prove
 * nothing; when that is true of all, an empty partition may be taken for one that had rows. */
#define PG_PARTITION_FACTS                                                                         \
        "i.xmin::text, EXISTS (SELECT FROM pg_catalog.pg_attribute a"                              \
        " JOIN pg_catalog.pg_attribute s ON s.attrelid = a.attrelid AND s.attnum = -6"             \
        " WHERE a.attrelid = i.inhrelid AND a.attnum > 0 AND a.attinhcount > 0"                    \
        " AND a.xmin = i.xmin AND s.xmin = i.xmin"                                                 \
        " AND a.cmin::text::int8 <= s.cmin::text::int8 + 1)"

#endif
