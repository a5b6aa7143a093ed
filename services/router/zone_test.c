/* Time zones against Postgres, which has its rules from the files of the same host. The sets are of
 * every value at which something may happen: without TEST_DATABASE_URL the tests are skipped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/test_db.h"
#include "services/router/where_time.h"
#include "services/router/where_time_fn.h"
#include "services/router/zone.h"
#include "services/router/power_check.h"
#include "services/router/zone_check.h"

enum { DEADLINE_MS = 60000, VALUES_MAX = 100000, TEXT_MAX = 1 << 24 };

static const char *const names[] = {
        "Europe/Berlin",       "America/New_York",
        "Australia/Lord_Howe", /* summer time of half an hour */
        "Africa/Casablanca",   /* winter time */
        "Asia/Kathmandu",      "America/Sao_Paulo",
        "Antarctica/Troll", /* two hours */
        "Pacific/Apia",     /* a day left out */
        "Pacific/Kiritimati",  "Europe/Dublin",
        "Europe/Moscow",       "Africa/Monrovia", /* seconds until 1972 */
        "America/Caracas",     "Asia/Gaza",
        "America/Nuuk",        "Etc/GMT+5",
        "Asia/Tehran",         "Singapore",
        "Atlantic/Azores",     "America/St_Johns"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

static const struct zone *find(const char *name)
{
        const struct zone *z = NULL;
        assert_int_equal(zone_find(slice_cstr(name), &z), 0);
        return z;
}

/* ---- the values */

struct values {
        int64_t *v;
        size_t n;
};

static void add(struct values *values, int64_t usecs)
{
        if (!time_timestamp_is_valid(usecs))
                return;
        assert_true(values->n < VALUES_MAX);
        values->v[values->n++] = usecs;
}

static int64_t usecs_of(int64_t unix_seconds)
{
        return (unix_seconds - TIME_DAYS_1970_TO_2000 * INT64_C(86400)) * USECS_PER_SEC;
}

static void add_steps(struct values *values, int64_t usecs, int64_t minutes, int n)
{
        for (int i = -n; i <= n; i++) {
                int64_t at = usecs + i * minutes * 60 * USECS_PER_SEC;
                add(values, at - 1);
                add(values, at);
        }
}

/* All around a moment, for it may be local as well. */
static void add_around(struct values *values, int64_t usecs)
{
        add(values, usecs + 1);
        add(values, usecs + USECS_PER_SEC);
        add_steps(values, usecs, 15, 10);
        add_steps(values, usecs, 60, 26);
}

static void fill(struct values *values, const struct zone *z)
{
        enum { FILE_CHANGES = 250, RULE_STEP = 37 };
        values->n = 0;
        for (uint32_t i = 0; i < z->rules.n; i += i < FILE_CHANGES ? 1 : RULE_STEP)
                if (z->rules.at[i] > INT64_C(-200000000000))
                        add_around(values, usecs_of(z->rules.at[i]));
        for (int64_t t = time_days_of(1880, 1, 1); t < time_days_of(2120, 1, 1); t += 5)
                add(values, t * USECS_PER_DAY + (t & 1023) * INT64_C(83123457));
        for (int64_t t = -146097 * 16; t < 146097 * INT64_C(700); t += 9973)
                add(values, t * USECS_PER_DAY + (t & 1023) * INT64_C(83123457));
}

static void put_array(const struct values *values, bool with_zone, struct buf *out)
{
        buf_putc(out, '{');
        for (size_t i = 0; i < values->n; i++) {
                buf_puts(out, i ? ",\"" : "\"");
                time_print_timestamp(values->v[i], with_zone, out);
                buf_putc(out, '"');
        }
        buf_putc(out, '}');
        assert_int_equal(buf_status(out), 0);
}

static bool convert(const struct zone *z, bool to_zone, int64_t v, int64_t *out)
{
        struct where_ctx c = {.zone = z};
        struct where_value args[2] = {{.s = z->name}, {.i = v}}, result = {0};
        bool ok = to_zone ? where_to_zone(&c, args, &result) : where_from_zone(&c, args, &result);
        *out = result.i;
        return ok;
}

static void check_value(const struct zone *z, bool to_zone, int64_t v, const char *theirs)
{
        struct buf text;
        int64_t ours;
        buf_init(&text, 256);
        if (!convert(z, to_zone, v, &ours))
                buf_puts(&text, "error");
        else
                time_print_timestamp(ours, !to_zone, &text);
        if (strcmp(buf_cstr(&text), theirs) != 0)
                fail_msg("%.*s, %s, %lld: Postgres says %s, we say %s", SLICE_FMT(z->name),
                         to_zone ? "to" : "from", (long long)v, theirs, buf_cstr(&text));
        buf_fini(&text);
}

static void compare(PGconn *conn, const struct zone *z, bool to_zone, const struct values *values)
{
        struct buf array, sql;
        buf_init(&array, TEXT_MAX);
        buf_init(&sql, 1024);
        put_array(values, to_zone, &array);
        buf_printf(&sql,
                   "SELECT timezone('%.*s', v) FROM unnest($1::%s[]) WITH ORDINALITY AS q(v, i)"
                   " ORDER BY i",
                   SLICE_FMT(z->name), to_zone ? "timestamptz" : "timestamp");
        const char *param = buf_cstr(&array);
        PGresult *res = PQexecParams(conn, buf_cstr(&sql), 1, NULL, &param, NULL, NULL, 0);
        if (PQresultStatus(res) != PGRES_TUPLES_OK)
                fail_msg("%s: %s", buf_cstr(&sql), PQerrorMessage(conn));
        assert_int_equal(PQntuples(res), values->n);
        for (size_t i = 0; i < values->n; i++)
                check_value(z, to_zone, values->v[i], PQgetvalue(res, (int)i, 0));
        PQclear(res);
        buf_fini(&sql);
        buf_fini(&array);
}

static void test_dense(void **state)
{
        struct values values = {.v = mem_array(VALUES_MAX, sizeof(int64_t))};
        test_db_sql(*state, "SET timezone = 'UTC'; SET datestyle = 'ISO, DMY'");
        for (int i = 0; i < N_NAMES; i++) {
                const struct zone *z = find(names[i]);
                fill(&values, z);
                assert_true(values.n > 10000);
                compare(*state, z, true, &values);
                compare(*state, z, false, &values);
        }
        mem_free(values.v);
}

/* One by one: some are errors. */
static void check_extreme(PGconn *conn, const struct zone *z, bool to_zone, int64_t v)
{
        struct buf sql;
        buf_init(&sql, 1024);
        buf_printf(&sql, "SELECT timezone('%.*s', '", SLICE_FMT(z->name));
        time_print_timestamp(v, to_zone, &sql);
        buf_printf(&sql, "'::%s)", to_zone ? "timestamptz" : "timestamp");
        PGresult *res = PQexec(conn, buf_cstr(&sql));
        bool ok = PQresultStatus(res) == PGRES_TUPLES_OK;
        check_value(z, to_zone, v, ok ? PQgetvalue(res, 0, 0) : "error");
        PQclear(res);
        buf_fini(&sql);
}

static void test_extremes(void **state)
{
        const int64_t least = INT64_C(-211813488000000000), end = INT64_C(9223371331200000000);
        test_db_sql(*state, "SET timezone = 'UTC'; SET datestyle = 'ISO, DMY'");
        for (int i = 0; i < N_NAMES; i++) {
                const struct zone *z = find(names[i]);
                for (int to_zone = 0; to_zone < 2; to_zone++) {
                        check_extreme(*state, z, to_zone, TIME_INFINITY);
                        check_extreme(*state, z, to_zone, TIME_NINFINITY);
                        for (int64_t h = 0; h < 60; h++) {
                                int64_t far = h * INT64_C(1800000000);
                                check_extreme(*state, z, to_zone, least + far);
                                check_extreme(*state, z, to_zone, end - 1 - far);
                        }
                }
        }
}

/* ---- do they agree? */

static bool ask(PGconn *conn, const struct zone *z)
{
        struct pgwait w = {.deadline_ms = clock_mono_ms() + DEADLINE_MS, .wake_fd = PGWAIT_NO_FD};
        struct buf why;
        char state[6] = "";
        bool agrees = false;
        buf_init(&why, 4096);
        if (zone_check(conn, &w, z, &agrees, state, &why) != 0)
                fail_msg("%.*s: %s %s", SLICE_FMT(z->name), state, buf_cstr(&why));
        buf_fini(&why);
        return agrees;
}

static void test_agrees(void **state)
{
        test_db_sql(*state, "SET timezone = 'UTC'");
        assert_int_equal(pgwait_adopt(*state), 0);
        for (int i = 0; i < N_NAMES; i++)
                if (!ask(*state, find(names[i])))
                        fail_msg("%s: the database has other rules", names[i]);
}

/* Powers of numerics: one of the rules is the server's. */
static void test_power(void **state)
{
        test_db_sql(*state, "SET timezone = 'UTC'");
        assert_int_equal(pgwait_adopt(*state), 0);
        enum where_power_rules rules = power_rules_of(*state);
        assert_true(ask(*state, zone_of_power(rules)));
        assert_false(ask(
                *state, zone_of_power(rules == POWER_BY_SCALE ? POWER_BY_WEIGHT : POWER_BY_SCALE)));
}

/* A set has the rules that it is told, and another print with others. */
static void test_power_in_sets(void **state)
{
        struct zone_set s = {0};
        (void)state;
        assert_int_equal(zone_set_power(&s), POWER_UNKNOWN);
        assert_true(zone_set_add(&s, find(names[0])));
        assert_true(zone_set_add(&s, zone_of_power(POWER_BY_WEIGHT)));
        assert_int_equal(zone_set_power(&s), POWER_BY_WEIGHT);
        uint64_t print = zone_set_print(&s);
        zone_set_power_to(&s, POWER_BY_SCALE);
        assert_int_equal(zone_set_power(&s), POWER_BY_SCALE);
        assert_true(zone_set_print(&s) != print);
        zone_set_power_to(&s, POWER_BY_WEIGHT);
        assert_true(zone_set_print(&s) == print);
        assert_true(zone_set_has(&s, find(names[0])));
}

/* ---- other rules, in a directory of our own */

static size_t read_whole(const char *path, char *out, size_t max)
{
        int fd = open(path, O_RDONLY);
        assert_true(fd >= 0);
        ssize_t n = read(fd, out, max);
        assert_true(n > 0 && (size_t)n < max);
        close(fd);
        return (size_t)n;
}

static void write_whole(const char *path, const char *bytes, size_t n)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), n);
        close(fd);
}

struct doctored {
        char dir[64];
};

static void begin_doctored(struct doctored *d)
{
        char path[128];
        snprintf(d->dir, sizeof(d->dir), "/tmp/sluice-zones-XXXXXX");
        assert_non_null(mkdtemp(d->dir));
        snprintf(path, sizeof(path), "%s/Europe", d->dir);
        assert_int_equal(mkdir(path, 0700), 0);
        setenv("TZDIR", d->dir, 1);
}

static void end_doctored(struct doctored *d, const char *const *files)
{
        char path[128];
        unsetenv("TZDIR");
        for (; *files; files++) {
                snprintf(path, sizeof(path), "%s/%s", d->dir, *files);
                assert_int_equal(unlink(path), 0);
        }
        snprintf(path, sizeof(path), "%s/Europe", d->dir);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rmdir(d->dir), 0);
}

/* The last bytes of the file are its rule: a week later in spring. */
static void test_differs(void **state)
{
        static const char *const files[] = {"Europe/Rome", "Europe/Nowhere", NULL};
        char bytes[8192], path[128];
        struct doctored d;
        test_db_sql(*state, "SET timezone = 'UTC'");
        assert_int_equal(pgwait_adopt(*state), 0);
        size_t n = read_whole("/usr/share/zoneinfo/Europe/Rome", bytes, sizeof(bytes));
        begin_doctored(&d);
        snprintf(path, sizeof(path), "%s/Europe/Nowhere", d.dir);
        write_whole(path, bytes, n);
        char *rule = memmem(bytes, n, "M3.5.0", 6);
        assert_non_null(rule);
        rule[3] = '4';
        snprintf(path, sizeof(path), "%s/Europe/Rome", d.dir);
        write_whole(path, bytes, n);
        assert_false(ask(*state, find("Europe/Rome")));
        assert_false(ask(*state, find("Europe/Nowhere"))); /* the database has no such zone */
        end_doctored(&d, files);
}

static void test_names(void **state)
{
        static const char *const bad[] = {"",
                                          "/etc/localtime",
                                          "../zoneinfo/Europe/Berlin",
                                          "Europe/../Europe/Berlin",
                                          "Europe//Berlin",
                                          "Europe/Berlin/",
                                          "Europe",
                                          "europe/berlin",
                                          "EUROPE/BERLIN",
                                          "Europe/Berlin ",
                                          "Europe/Ber\nlin",
                                          "tzdata.zi",
                                          "Nowhere/Land"};
        const struct zone *z = NULL;
        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                if (zone_find(slice_cstr(bad[i]), &z) != ERR_NOTFOUND)
                        fail_msg("%s was found", bad[i]);
        assert_int_equal(zone_find(slice_of("Europe/Berlin\0x", 15), &z), ERR_NOTFOUND);
        assert_int_equal(zone_find(slice_cstr("right/Europe/Berlin"), &z), ERR_FORMAT);
        assert_ptr_equal(find("Europe/Berlin"), find("Europe/Berlin"));
}

static void test_sets(void **state)
{
        const struct zone *a = find("Europe/Berlin"), *b = find("Asia/Kathmandu"), *used[ZONE_MAX];
        struct zone_set one = {0}, other = {0};
        (void)state;
        assert_int_equal(zone_set_print(NULL), 0);
        assert_int_equal(zone_set_print(&one), 0);
        assert_true(zone_set_add(&one, a) && zone_set_add(&one, b) && zone_set_add(&one, a));
        assert_true(zone_set_add(&other, b) && zone_set_add(&other, a));
        assert_int_equal(one.n, 2);
        assert_int_equal(zone_set_print(&one), zone_set_print(&other));
        assert_true(zone_set_has(&one, a) && !zone_set_has(NULL, a));
        zone_set_use(&one);
        zone_set_use(&other);
        zone_set_unuse(&one);
        assert_int_equal(zone_list_used(used), 2);
        zone_set_unuse(&other);
        assert_int_equal(zone_list_used(used), 0);
        for (int i = 2; i < ZONE_SET_MAX; i++)
                assert_true(zone_set_add(&one, find(names[i + 5])));
        assert_false(zone_set_add(&one, find("Europe/Paris")));
}

static int setup(void **state)
{
        return test_db_setup(state, "zones");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_sets),
                cmocka_unit_test_setup_teardown(test_dense, setup, test_db_teardown),
                cmocka_unit_test_setup_teardown(test_extremes, setup, test_db_teardown),
                cmocka_unit_test_setup_teardown(test_power, setup, test_db_teardown),
                cmocka_unit_test(test_power_in_sets),
                cmocka_unit_test_setup_teardown(test_agrees, setup, test_db_teardown),
                cmocka_unit_test_setup_teardown(test_differs, setup, test_db_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
