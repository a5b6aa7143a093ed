#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/pg/kept.h"
#include "common/pg/pg.h"

static PGconn *connect_test(bool pooled)
{
        const char *url = getenv("TEST_DATABASE_URL");
        struct pg_options o = {
                .url = url, .application_name = "kept", .connect_timeout_s = 10, .pooled = pooled};
        PGconn *conn;
        struct buf why;
        if (!url)
                skip();
        buf_init(&why, 1024);
        if (pg_connect(&o, &conn, NULL, &why))
                fail_msg("%s", buf_cstr(&why));
        buf_fini(&why);
        return conn;
}

static long ask(PGconn *conn, const char *sql, const char *param)
{
        struct buf why;
        PGresult *res;
        buf_init(&why, 1024);
        if (pg_exec(conn, sql, param ? 1 : 0, &param, &res, NULL, &why))
                fail_msg("%s", buf_cstr(&why));
        long value = strtol(PQgetvalue(res, 0, 0), NULL, 10);
        PQclear(res);
        buf_fini(&why);
        return value;
}

static long prepared(PGconn *conn)
{
        return ask(conn, "SELECT count(*) FROM pg_prepared_statements", NULL);
}

static void test_a_session_keeps_statements(void **state)
{
        (void)state;
        PGconn *conn = connect_test(false);
        assert_int_equal(ask(conn, "SELECT $1::int + 1", "1"), 2);
        assert_int_equal(ask(conn, "SELECT $1::int + 1", "5"), 6);
        assert_int_equal(prepared(conn), 1);
        PQfinish(conn);
}

/* What varies is not kept for ever. */
static void test_a_session_keeps_few(void **state)
{
        (void)state;
        PGconn *conn = connect_test(false);
        for (int i = 0; i < 50; i++) {
                char sql[64];
                snprintf(sql, sizeof(sql), "SELECT $1::int + %d", i);
                assert_int_equal(ask(conn, sql, "1"), 1 + i);
        }
        assert_in_range(prepared(conn), 1, 16);
        PQfinish(conn);
}

static void test_not_behind_a_pooler(void **state)
{
        (void)state;
        PGconn *conn = connect_test(true);
        assert_int_equal(ask(conn, "SELECT $1::int + 1", "1"), 2);
        assert_int_equal(prepared(conn), 0);
        PQfinish(conn);
}

/* One that Postgres refuses is told of each time, and leaves nothing behind. */
static void test_a_refused_statement(void **state)
{
        (void)state;
        PGconn *conn = connect_test(false);
        const char *param = "1";
        for (int i = 0; i < 2; i++) {
                char sqlstate[6] = "";
                struct buf why;
                buf_init(&why, 1024);
                assert_int_equal(pg_exec(conn, "SELECT $1 FROM nowhere_at_all", 1, &param, NULL,
                                         sqlstate, &why),
                                 ERR_DB);
                assert_string_equal(sqlstate, "42P01");
                buf_fini(&why);
        }
        assert_int_equal(prepared(conn), 0);
        PQfinish(conn);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_session_keeps_statements),
                cmocka_unit_test(test_a_session_keeps_few),
                cmocka_unit_test(test_not_behind_a_pooler),
                cmocka_unit_test(test_a_refused_statement),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
