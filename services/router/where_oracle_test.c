/* Postgres is the oracle: random clauses over random rows must get from where_eval(), from the
 * clause as it was written, and from its rebuilt SQL, the same three-valued answer. An error that
 * only the clause as it was written has is none: constants that depend on the session's settings
 * are settled here and, with the SQL, by Postgres, so that they may hide it in both. Where a text
 * is cast that is not judged here (where_moment.h), the SQL must have an error as we have.
 *
 * TEST_DATABASE_URL names a database (C.UTF-8); without it the test is skipped. CHECKS (default
 * 3000; 1m is a million) is the number of verdicts, SEED the first clause's seed. A failure prints
 * the seed, which repeats the clause, and the row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/power_check.h"
#include "services/router/test_db.h"
#include "services/router/where.h"
#include "services/router/where_oracle_clause.h"

enum { ROWS = 12, WHY_MAX = 4096, SQL_MAX = 1 << 22 };

struct oracle {
        PGconn *conn;
        struct table *table;
        struct change_value values[ROWS][GEN_MAX_COLUMNS];
        char *texts[ROWS][GEN_MAX_COLUMNS];
        unsigned long checks, refused, needless, errors, undecided, clauses;
};

static unsigned long env_number(const char *name, unsigned long otherwise)
{
        const char *text = getenv(name);
        char *end;
        unsigned long n = text ? strtoul(text, &end, 10) : otherwise;
        if (!text || !*end)
                return n;
        if (end == text || strcmp(end, "m") != 0)
                fail_msg("%s=%s is no number", name, text);
        return n * 1000000;
}

static void run_sql(PGconn *conn, const char *sql)
{
        PGresult *res = PQexec(conn, sql);
        if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
                fail_msg("%s: %s", sql, PQerrorMessage(conn));
        PQclear(res);
}

static void free_rows(struct oracle *o)
{
        for (int r = 0; r < ROWS; r++)
                for (int c = 0; c < GEN_MAX_COLUMNS; c++) {
                        free(o->texts[r][c]);
                        o->texts[r][c] = NULL;
                }
}

/* A new set of rows, read back as Postgres prints them. */
static void fill(struct oracle *o, struct gen *g)
{
        struct buf sql;
        buf_init(&sql, SQL_MAX);
        run_sql(o->conn, "TRUNCATE w");
        buf_puts(&sql, "INSERT INTO w VALUES ");
        for (int r = 0; r < ROWS; r++) {
                buf_printf(&sql, "%s(%d", r ? ", " : "", r);
                for (uint32_t c = 1; c < gen_n_columns(); c++) {
                        buf_puts(&sql, ", ");
                        gen_value(g, c, &sql);
                }
                buf_putc(&sql, ')');
        }
        run_sql(o->conn, buf_cstr(&sql));
        buf_fini(&sql);
        PGresult *res = PQexec(o->conn, "SELECT * FROM w ORDER BY id");
        assert_int_equal(PQntuples(res), ROWS);
        free_rows(o);
        for (int r = 0; r < ROWS; r++)
                for (int c = 0; c < PQnfields(res); c++) {
                        struct change_value *v = &o->values[r][c];
                        *v = (struct change_value){.kind = VALUE_NULL};
                        if (PQgetisnull(res, r, c))
                                continue;
                        o->texts[r][c] = strdup(PQgetvalue(res, r, c));
                        v->kind = VALUE_TEXT;
                        v->text = slice_cstr(o->texts[r][c]);
                }
        PQclear(res);
}

static const char *verdict_name(enum where_verdict v)
{
        static const char *const names[] = {[WHERE_FALSE] = "f",
                                            [WHERE_TRUE] = "t",
                                            [WHERE_NULL] = "null",
                                            [WHERE_ERROR] = "error"};
        return names[v];
}

static enum where_verdict verdict_of(const PGresult *res, int row)
{
        if (PQgetisnull(res, row, 0))
                return WHERE_NULL;
        return PQgetvalue(res, row, 0)[0] == 't' ? WHERE_TRUE : WHERE_FALSE;
}

/* Of the row with this id; all rows: -1. NULL: an error. */
static PGresult *ask(struct oracle *o, const char *clause, int id)
{
        struct buf sql;
        buf_init(&sql, SQL_MAX);
        buf_printf(&sql, "SELECT (%s) FROM w", clause);
        if (id >= 0)
                buf_printf(&sql, " WHERE id = %d", id);
        buf_puts(&sql, " ORDER BY id");
        PGresult *res = PQexec(o->conn, buf_cstr(&sql));
        buf_fini(&sql);
        if (PQresultStatus(res) == PGRES_TUPLES_OK)
                return res;
        PQclear(res);
        return NULL;
}

static void ask_all(struct oracle *o, const char *clause, enum where_verdict *out)
{
        PGresult *all = ask(o, clause, -1);
        for (int r = 0; r < ROWS; r++) {
                PGresult *one = all ? all : ask(o, clause, r);
                out[r] = one ? verdict_of(one, all ? r : 0) : WHERE_ERROR;
                if (!all)
                        PQclear(one);
        }
        PQclear(all);
}

static void compare(struct oracle *o, const struct gen *g, const char *clause, const char *what,
                    const enum where_verdict *theirs, const enum where_verdict *ours)
{
        for (int r = 0; r < ROWS; r++) {
                if (theirs[r] == ours[r])
                        continue;
                for (uint32_t c = 0; c < gen_n_columns(); c++)
                        print_message("  %s = %s\n", gen_column_name(c),
                                      o->texts[r][c] ? o->texts[r][c] : "NULL");
                print_message("%.900s\n%s", what, PQerrorMessage(o->conn));
                fail_msg("SEED=%lu\nPostgres says %s, we say %s of: %s", g->seed,
                         verdict_name(theirs[r]), verdict_name(ours[r]), clause);
        }
}

/* Refusing is always allowed; how often Postgres would have had an answer is worth knowing. */
static void note_refusal(struct oracle *o, const char *clause, const char *why)
{
        PGresult *res = ask(o, clause, ROWS);
        o->refused++;
        o->needless += res != NULL;
        if (res && getenv("SHOW_REFUSED"))
                print_message("%s -- %s\n", clause, why);
        PQclear(res);
}

static void check_clause(struct oracle *o, const struct gen *g, const char *clause)
{
        struct where *w = NULL;
        struct buf why, sql;
        enum where_verdict ours[ROWS], theirs[ROWS], rebuilt[ROWS];
        buf_init(&why, WHY_MAX);
        buf_init(&sql, SQL_MAX);
        o->clauses++;
        if (where_compile(slice_cstr(clause), o->table, NULL, NULL, 0, &w, &why) != 0) {
                note_refusal(o, clause, buf_cstr(&why));
                buf_fini(&why);
                return;
        }
        where_assume_power(w, power_rules_of(o->conn));
        ask_all(o, clause, theirs);
        for (int r = 0; r < ROWS; r++) {
                ours[r] = where_eval(w, (struct row){.values = o->values[r], .n = gen_n_columns()});
                o->errors += theirs[r] == WHERE_ERROR;
        }
        where_sql(w, &sql);
        ask_all(o, buf_cstr(&sql), rebuilt);
        compare(o, g, clause, buf_cstr(&sql), rebuilt, ours);
        bool filters = strstr(buf_cstr(&sql), "not decided here") != NULL;
        for (int r = 0; r < ROWS; r++) {
                bool undecided = filters && ours[r] == WHERE_ERROR && theirs[r] != WHERE_ERROR;
                o->undecided += undecided;
                if (theirs[r] == WHERE_ERROR || undecided)
                        theirs[r] = ours[r];
        }
        compare(o, g, clause, "where_eval", theirs, ours);
        o->checks += ROWS;
        where_free(w);
        buf_fini(&sql);
        buf_fini(&why);
}

static void test_oracle(void **state)
{
        enum { CLAUSES_PER_ROWS = 50 };
        struct oracle *o = *state;
        if (!o)
                skip();
        unsigned long wanted = env_number("CHECKS", 3000);
        struct gen g;
        gen_init(&g, env_number("SEED", 1));
        for (int i = 0; o->checks < wanted; i++) {
                struct buf clause;
                buf_init(&clause, SQL_MAX);
                gen_start(&g);
                gen_clause(&g, &clause);
                if (i % CLAUSES_PER_ROWS == 0)
                        fill(o, &g);
                check_clause(o, &g, buf_cstr(&clause));
                buf_fini(&clause);
        }
        print_message("%lu verdicts of %lu clauses, %lu refused (%lu needlessly), %lu errors, "
                      "%lu undecided\n",
                      o->checks, o->clauses, o->refused, o->needless, o->errors, o->undecided);
}

/* What random clauses would seldom meet. All are accepted. */
static const char *const edges[] = {
        /* rounded to the first moment behind the range, which Postgres has but does not read */
        "greatest(ts, '294276-12-31 23:59:59.999999')::timestamp(0) > '294276-12-31 23:59:59'",
        "greatest(ts, '294276-12-31 23:59:59.999999')::timestamp(3) = tz",
        "greatest(ts, '294276-12-31 23:59:59.999999')::timestamp(3)::timestamptz = tz",
        "greatest(tz, '294276-12-31 23:59:59.999999+00')::timestamptz(5)::timestamp = ts",
        "greatest(ts, '294276-12-31 23:59:59.999999')::timestamp(1) = "
        "greatest(tz, '294276-12-31 23:59:59.999999+00')::timestamptz(1)",
        "greatest(ts, '294276-12-31 23:59:59.999999')::timestamp(0) = greatest(d, '294277-01-01')",
        "greatest(ts, '294276-12-31 23:59:59.999999')::timestamp(0)::text = '294277-01-01 "
        "00:00:00'",
        /* all digits of powers count */
        "(greatest(n2 * 0, 2.5) ^ 3.0)::text = '15.6250000000000000'",
        "(greatest(n2 * 0, 2) ^ 0.5)::text = '1.4142135623730950'",
        "(n2 ^ n)::text > '1'",
        "greatest(n2 * 0, 0.001) ^ 20.0 > 0",
        "(n ^ -2.5) BETWEEN 0 AND 10",
        "(greatest(n2 * 0, 1.000001) ^ 1000000.0)::text = '2.7182804693193769'",
        "NULL ^ 2.0 IS NULL",
};

static void test_edges(void **state)
{
        struct oracle *o = *state;
        if (!o)
                skip();
        struct gen g;
        gen_init(&g, 1);
        gen_start(&g);
        fill(o, &g);
        o->refused = 0;
        for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
                check_clause(o, &g, edges[i]);
                if (o->refused)
                        fail_msg("refused: %s", edges[i]);
        }
}

/* The catalog's answer, as far as the where language asks. */
static struct table *read_table(PGconn *conn)
{
        PGresult *res =
                PQexec(conn, "SELECT attname, atttypid, coalesce(e.typname, t.typname), attndims,"
                             " en.oid, format('\"where_oracle\".\"%s\"', en.typname),"
                             " (SELECT array_agg(enumlabel) FROM pg_enum WHERE enumtypid = en.oid)"
                             " FROM pg_attribute JOIN pg_type t ON t.oid = atttypid"
                             " LEFT JOIN pg_type e ON e.typarray = t.oid"
                             " LEFT JOIN pg_type en ON en.typtype = 'e'"
                             " AND en.oid = coalesce(e.oid, t.oid)"
                             " WHERE attrelid = 'w'::regclass AND attnum > 0 ORDER BY attnum");
        uint32_t n = (uint32_t)PQntuples(res);
        struct table *t = table_new(n, 0);
        t->oid = 16400;
        t->kind = 'r';
        t->schema = slice_dup(SLICE_LIT("where_oracle"));
        t->name = slice_dup(SLICE_LIT("w"));
        for (uint32_t i = 0; i < n; i++) {
                t->columns[i].name = slice_dup(slice_cstr(PQgetvalue(res, (int)i, 0)));
                t->columns[i].type_oid = (uint32_t)strtoul(PQgetvalue(res, (int)i, 1), NULL, 10);
                t->columns[i].type_name = slice_dup(slice_cstr(PQgetvalue(res, (int)i, 2)));
                t->columns[i].enum_oid = (uint32_t)strtoul(PQgetvalue(res, (int)i, 4), NULL, 10);
                t->columns[i].enum_name = slice_dup(slice_cstr(PQgetvalue(res, (int)i, 5)));
                t->columns[i].labels = slice_dup(slice_cstr(PQgetvalue(res, (int)i, 6)));
                t->columns[i].dims = (int32_t)strtol(PQgetvalue(res, (int)i, 3), NULL, 10);
        }
        PQclear(res);
        return t;
}

static int setup(void **state)
{
        void *conn;
        if (test_db_setup(&conn, "where_oracle") != 0)
                return -1;
        *state = NULL;
        if (!conn)
                return 0;
        struct oracle *o = mem_new(struct oracle);
        struct buf sql;
        buf_init(&sql, SQL_MAX);
        o->conn = conn;
        run_sql(conn, "SET timezone = 'UTC'; SET bytea_output = 'hex'; SET extra_float_digits = 1;"
                      " SET datestyle = 'ISO, DMY'; SET intervalstyle = 'iso_8601'");
        buf_puts(&sql, "CREATE TYPE mood AS ENUM ('a', 'ok', 'Ä');"
                       " CREATE TYPE \"Mood 2\" AS ENUM ('Ä', 'a', 'ok'); CREATE TABLE w (id int4");
        for (uint32_t c = 1; c < gen_n_columns(); c++)
                buf_printf(&sql, ", %s %s", gen_column_name(c), gen_column_type(c));
        buf_putc(&sql, ')');
        run_sql(conn, buf_cstr(&sql));
        buf_fini(&sql);
        o->table = read_table(conn);
        *state = o;
        return 0;
}

static int teardown(void **state)
{
        struct oracle *o = *state;
        if (!o)
                return 0;
        free_rows(o);
        table_free(o->table);
        PQfinish(o->conn);
        mem_free(o);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_edges, setup, teardown),
                cmocka_unit_test_setup_teardown(test_oracle, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
