/* Against a real Postgres: TEST_DATABASE_URL names one that may be written to; skipped without. */
#include "services/ingest/lineage.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/pg/pg.h"
#include "common/test/test.h"

struct fixture {
        PGconn *conn;
        struct loop *loop;
        struct lineage *lineage;
        struct loop_timer *timer;
        struct lineage_answer got; /* without what it borrows */
        struct change_ancestor ancestors[4];
        bool committed; /* when the answer came */
        bool open;      /* a transaction that the timer commits */
};

static void sql(struct fixture *f, const char *text)
{
        PGresult *res = PQexec(f->conn, text);
        ExecStatusType status = PQresultStatus(res);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
                fail_msg("%s: %s", text, PQresultErrorMessage(res));
        PQclear(res);
}

static uint32_t number(struct fixture *f, const char *text)
{
        PGresult *res = PQexec(f->conn, text);
        assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
        uint32_t n = (uint32_t)strtoul(PQgetvalue(res, 0, 0), NULL, 10);
        PQclear(res);
        return n;
}

static void on_answer(void *arg, const struct lineage_answer *answer)
{
        struct fixture *f = arg;
        f->got = *answer;
        f->committed = !f->open;
        assert_in_range(answer->n_ancestors, 0, 4);
        for (uint32_t i = 0; i < answer->n_ancestors; i++)
                f->ancestors[i] = answer->ancestors[i];
        loop_stop(f->loop);
}

static void commit_now(void *arg)
{
        struct fixture *f = arg;
        sql(f, "COMMIT");
        f->open = false;
}

static int setup(void **state)
{
        static struct fixture f;
        const char *url = getenv("TEST_DATABASE_URL");
        f = (struct fixture){0};
        *state = &f;
        if (!url)
                return 0;
        f.conn = PQconnectdb(url);
        assert_int_equal(PQstatus(f.conn), CONNECTION_OK);
        f.loop = loop_new();
        f.lineage = lineage_new(f.loop, url, "", on_answer, &f);
        f.timer = loop_timer_new(f.loop, commit_now, &f);
        sql(&f, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS lineage_test CASCADE;"
                "CREATE SCHEMA lineage_test; SET search_path = lineage_test;"
                "CREATE TABLE root (n int) PARTITION BY RANGE (n)");
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        if (!f->conn)
                return 0;
        lineage_free(f->lineage);
        loop_timer_free(f->timer);
        loop_free(f->loop);
        PQfinish(f->conn);
        return 0;
}

static void ask(struct fixture *f, const char *table, uint32_t xid, uint64_t ticket)
{
        char text[128];
        snprintf(text, sizeof(text), "SELECT '%s'::regclass::oid", table);
        lineage_ask(f->lineage, number(f, text), xid, ticket);
        loop_run(f->loop);
        assert_int_equal(f->got.ticket, ticket);
        assert_int_equal(f->got.err, 0);
}

static void nearest_first(void **state)
{
        struct fixture *f = *state;
        if (!f->conn)
                skip();
        sql(f, "CREATE TABLE middle (n int) PARTITION BY RANGE (n)");
        sql(f, "CREATE TABLE leaf PARTITION OF middle FOR VALUES FROM (0) TO (10)");
        sql(f, "ALTER TABLE root ATTACH PARTITION middle FOR VALUES FROM (0) TO (10)");
        ask(f, "leaf", number(f, "SELECT pg_current_xact_id()"), 1);
        assert_int_equal(f->got.n_ancestors, 2);
        assert_int_equal(f->ancestors[0].oid, number(f, "SELECT 'middle'::regclass::oid"));
        assert_int_equal(f->ancestors[1].oid, number(f, "SELECT 'root'::regclass::oid"));
        assert_true(f->ancestors[0].born && !f->ancestors[1].born);
        sql(f, "ALTER TABLE root DETACH PARTITION middle");
        ask(f, "leaf", number(f, "SELECT pg_current_xact_id()"), 2);
        assert_int_equal(f->got.n_ancestors, 1);
}

static void not_before_it_is_visible(void **state)
{
        struct fixture *f = *state;
        if (!f->conn)
                skip();
        sql(f, "BEGIN");
        sql(f, "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10)");
        f->open = true;
        loop_timer_set(f->timer, 50);
        ask(f, "leaf", number(f, "SELECT pg_current_xact_id()"), 7);
        assert_true(f->committed);
        assert_int_equal(f->got.n_ancestors, 1);
        assert_int_equal(f->ancestors[0].oid, number(f, "SELECT 'root'::regclass::oid"));
        assert_true(f->ancestors[0].born);
}

/* It has not touched what the relation is part of: its end is not waited for. */
static void open_writer(void **state)
{
        struct fixture *f = *state;
        if (!f->conn)
                skip();
        sql(f, "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10)");
        sql(f, "BEGIN");
        sql(f, "INSERT INTO root VALUES (1)");
        f->open = true;
        ask(f, "leaf", number(f, "SELECT pg_current_xact_id()"), 9);
        assert_false(f->committed);
        assert_int_equal(f->got.n_ancestors, 1);
        sql(f, "COMMIT");
}

static void no_partition(void **state)
{
        struct fixture *f = *state;
        if (!f->conn)
                skip();
        ask(f, "root", number(f, "SELECT pg_current_xact_id()"), 8);
        assert_int_equal(f->got.n_ancestors, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(nearest_first, setup, teardown),
                cmocka_unit_test_setup_teardown(not_before_it_is_visible, setup, teardown),
                cmocka_unit_test_setup_teardown(open_writer, setup, teardown),
                cmocka_unit_test_setup_teardown(no_partition, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
