/* For tests that need a real Postgres: TEST_DATABASE_URL names one that may be written to; without
 * it the tests are skipped. Each test has a schema of its own, which is also its search path. */
#ifndef SERVICES_ROUTER_TEST_DB_H
#define SERVICES_ROUTER_TEST_DB_H

#include <stdio.h>
#include <stdlib.h>

#include "common/test/test.h"
#include "common/pg/pg.h"

static inline const char *test_db_url(void)
{
        return getenv("TEST_DATABASE_URL");
}

/* The statement must succeed. Skips the test when there is no database: so it comes first in each.
 */
static inline void test_db_sql(void *conn, const char *sql)
{
        if (!conn)
                skip();
        PGresult *res = PQexec(conn, sql);
        ExecStatusType status = PQresultStatus(res);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
                fail_msg("%s: %s", sql, PQresultErrorMessage(res));
        PQclear(res);
}

/* The first value of the result, as a number. */
static inline long test_db_number(void *conn, const char *sql)
{
        PGresult *res = PQexec(conn, sql);
        if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) == 0)
                fail_msg("%s: %s", sql, PQresultErrorMessage(res));
        long number = strtol(PQgetvalue(res, 0, 0), NULL, 10);
        PQclear(res);
        return number;
}

/* *state becomes a connection. */
static inline int test_db_setup(void **state, const char *schema)
{
        char sql[256];
        *state = NULL;
        if (!test_db_url()) {
                print_message("TEST_DATABASE_URL is not set\n");
                return 0;
        }
        PGconn *conn = PQconnectdb(test_db_url());
        if (PQstatus(conn) != CONNECTION_OK)
                fail_msg("TEST_DATABASE_URL: %s", PQerrorMessage(conn));
        *state = conn;
        test_db_sql(conn, "SET client_min_messages = warning");
        snprintf(sql, sizeof(sql),
                 "DROP SCHEMA IF EXISTS %s CASCADE; CREATE SCHEMA %s; SET search_path = %s", schema,
                 schema, schema);
        test_db_sql(conn, sql);
        return 0;
}

static inline int test_db_teardown(void **state)
{
        PQfinish(*state);
        return 0;
}

#endif
