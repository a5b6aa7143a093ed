/* What the router knows of a table: the catalog's answer, immutable once made. A shape keeps it in
 * its record, so that a restart needs no database. */
#ifndef SERVICES_ROUTER_TABLE_H
#define SERVICES_ROUTER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "services/router/tree.h"

/* How a value's text becomes the one form that Sluice has for it, in snapshots and in the log
 * alike. */
enum render_as {
        RENDER_TEXT, /* as Postgres prints it */
        RENDER_BOOL, /* t, f -> true, false (bool and domains over it) */
        RENDER_INET /* with its prefix length: /32 or /128 added when missing (inet and domains over
                       it) */
};

/* What can be relied on when strings of a column are compared (of a column without a collation:
 * when it is cast to text, with the database's). Bits. */
enum collation {
        COLLATION_EQUAL_BYTES = 1, /* equal strings have equal bytes */
        COLLATION_BYTEWISE = 2,    /* their order is that of their bytes */
        COLLATION_UTF8_CASE = 4,   /* upper and lower case are libc's for UTF-8 */
        COLLATION_ALL = 7
};

struct table_column {
        struct slice name;
        uint32_t type_oid;
        struct slice type_name; /* pg_type.typname; of the element for arrays */
        int32_t type_mod;
        int32_t dims;     /* attndims; at least 1 for arrays, 0 for everything else */
        int32_t pk_index; /* 0-based position in the primary key, -1: not part of it */
        bool not_null;
        uint32_t enum_oid;      /* the enum that its values, or their elements, are of; 0: none */
        struct slice enum_name; /* owned: "schema"."name" of that, as SQL wants it */
        bool generated;         /* and this server does not publish it: no shape can have it */
        enum render_as render;
        uint8_t collation; /* enum collation */
        /* Owned: of an enum, its labels as the text of an array; empty: not known. Only in what the
         * catalog has just said, and not encoded: labels come and go. */
        struct slice labels;
};

struct table {
        uint32_t magic;
        uint32_t oid;
        struct slice schema, name;
        char kind;                    /* pg_class.relkind: 'r' or 'p' */
        struct table_column *columns; /* in attribute order */
        uint32_t n_columns;
        uint32_t *pk; /* column indexes in key order */
        uint32_t n_pk;
        struct tree tree;
        struct tree_link *links; /* owned: all below; only in what the catalog has just said, and
                                    not encoded */
        size_t n_links;
        /* likewise only in what the catalog has just said (catalog_glance.h) */
        uint64_t member; /* 0: not published, or not asked for */
        bool hidden;
        uint64_t asked_ms; /* clock_mono_ms() before the catalog was asked; 0: it is as of now */
};

enum { TABLE_MAGIC = 0x7ab1e001 };

/* Zeroed, with room for the columns and the key; names are to be filled with heap copies. */
struct table *table_new(uint32_t n_columns, uint32_t n_pk);
struct table *table_dup(const struct table *t);
/* NULL is allowed. */
void table_free(struct table *t);
/* For a table that is kept: whoever judges a literal later leaves it to Postgres. */
void table_forget_labels(struct table *t);
/* Column index or -1. */
int table_find_column(const struct table *t, struct slice name);
/* "schema"."name" */
void table_put_name(const struct table *t, struct buf *out);
/* As FROM and LOCK TABLE want it: a table has its own rows, those of tables that inherit from it
 * are theirs; a partitioned table has those of its partitions. */
void table_put_sql(const struct table *t, struct buf *out);
/* For the shape record. Decode: ERR_FORMAT, ERR_VERSION; *out is the caller's. */
void table_encode(const struct table *t, struct buf *out);
int table_decode(struct slice bytes, struct table **out);

#endif
