/* The door to libpg_query: the text of one SQL string to libpg_query's tree. What may be in the
 * tree is judged by where_parse.c and subset_order.c. */
#ifndef SERVICES_ROUTER_SQL_PARSE_H
#define SERVICES_ROUTER_SQL_PARSE_H

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>

struct sql_parse {
        const char *sql; /* borrowed */
        PgQueryProtobufParseResult result;
        PgQuery__ParseResult *tree; /* NULL: result.error says why, or it is malformed */
        bool has_sublink;           /* there is a SELECT within an expression */
};

/* At most 128 KiB of text. Give back with sql_parse_free(). */
void sql_parse_run(struct sql_parse *p, const char *sql);
void sql_parse_free(struct sql_parse *p);

#endif
