/* The pure parts of snapshots: what a snapshot sees, where chunks end, what failures say. */
#include "services/router/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "services/router/cutter.h"
#include "services/router/snapshot_trouble.h"

static void parse(void **state)
{
        (void)state;
        struct pg_snapshot s;
        assert_int_equal(pg_snapshot_parse(SLICE_LIT("10:20:10,14,15"), &s), 0);
        assert_int_equal(s.xmin, 10);
        assert_int_equal(s.xmax, 20);
        assert_int_equal(s.n_xip, 3);
        assert_int_equal(s.xip[0], 10);
        assert_int_equal(s.xip[2], 15);
        pg_snapshot_fini(&s);
        assert_int_equal(pg_snapshot_parse(SLICE_LIT("8589934600:8589934600:"), &s), 0);
        assert_true(s.xmin == 8589934600 && s.xmax == 8589934600 && s.n_xip == 0);
        pg_snapshot_fini(&s);
}

static void parse_malformed(void **state)
{
        (void)state;
        static const char *const malformed[] = {"",
                                                ":",
                                                "::",
                                                "10",
                                                "10:20",
                                                "10:20:,",
                                                "10:20:5",
                                                "10:20:20",
                                                "20:10:",
                                                "10:20:12,11",
                                                "10:20:12,12",
                                                "10:20:12,",
                                                "10:20:1x",
                                                "10:20:-12",
                                                "x:20:",
                                                "10:20:12 ",
                                                "10::",
                                                ":20:",
                                                "10:99999999999999999999:",
                                                "10:20:12:13"};
        struct pg_snapshot s = {.xmin = 77};
        for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++) {
                assert_int_equal(pg_snapshot_parse(slice_cstr(malformed[i]), &s), ERR_FORMAT);
                assert_int_equal(s.xmin, 77);
        }
}

struct sees_case {
        const char *snapshot;
        uint32_t xid;
        bool sees;
};

static void sees(void **state)
{
        (void)state;
        static const struct sees_case cases[] = {
                {"10:20:10,14,15", 3, true},
                {"10:20:10,14,15", 9, true},
                {"10:20:10,14,15", 10, false},
                {"10:20:10,14,15", 11, true},
                {"10:20:10,14,15", 15, false},
                {"10:20:10,14,15", 19, true},
                {"10:20:10,14,15", 20, false},
                {"10:20:10,14,15", 21, false},
                /* The first epoch: a larger number is younger, unless it is older than the wrap. */
                {"10:20:", 2000000000, false},
                {"10:20:", 4294967290, true},
                /* Across the wrap: 2^32 - 6 is in progress, 2^32 + 3 ended, 2^32 + 5 is to come. */
                {"4294967290:4294967300:4294967290,4294967298", 4294967289, true},
                {"4294967290:4294967300:4294967290,4294967298", 4294967290, false},
                {"4294967290:4294967300:4294967290,4294967298", 4294967295, true},
                {"4294967290:4294967300:4294967290,4294967298", 2, false},
                {"4294967290:4294967300:4294967290,4294967298", 3, true},
                {"4294967290:4294967300:4294967290,4294967298", 4, false},
                {"4294967290:4294967300:4294967290,4294967298", 5, false},
                /* A later epoch. */
                {"12884901888:12884901898:", 4294967295, true},
                {"12884901888:12884901898:", 9, true},
                {"12884901888:12884901898:", 10, false},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct pg_snapshot s;
                assert_int_equal(pg_snapshot_parse(slice_cstr(cases[i].snapshot), &s), 0);
                assert_int_equal(pg_snapshot_sees(&s, cases[i].xid), cases[i].sees);
                pg_snapshot_fini(&s);
        }
}

/* Protocol §6.3: each row counts its size and one. */
static void cutting(void **state)
{
        (void)state;
        struct cutter c = cutter_init(100);
        assert_false(cutter_add(&c, 49)); /* 50 */
        assert_false(cutter_add(&c, 48)); /* 99 */
        assert_true(cutter_add(&c, 0));   /* 100 */
        cutter_next(&c);
        assert_int_equal(c.chunk, 1);
        assert_true(cutter_add(&c, 99));
        cutter_next(&c);
        assert_false(cutter_add(&c, 98));
        assert_true(cutter_add(&c, 5000));
        cutter_next(&c);
        assert_int_equal(c.chunk, 3);
        assert_int_equal(c.sum, 0);
}

struct trouble_case {
        const char *state;
        uint32_t status, retry_after_s;
        const char *body;
};

static void troubles(void **state)
{
        (void)state;
        static const struct trouble_case cases[] = {
                {"55P03", 503, 10,
                 "{\"message\":\"Snapshot timed out while waiting for a table lock\"}"},
                {"57014", 503, 10,
                 "{\"message\":\"Snapshot query took too long to return data (cancelled after "
                 "1234ms). "
                 "Please ensure snapshot queries are using an index to avoid taking up all "
                 "database "
                 "connections.\"}"},
                {"42501", 503, 10,
                 "{\"message\":\"Unable to create initial snapshot: the \\\"why\\\"\"}"},
                {"42P01", 409, 0, "[{\"headers\":{\"control\":\"must-refetch\"}}]"},
                {"42703", 409, 0, "[{\"headers\":{\"control\":\"must-refetch\"}}]"},
                {"08006", 503, 10, "{\"message\":\"Database connection not available\"}"},
                {"57P01", 503, 10, "{\"message\":\"Database connection not available\"}"},
                {"53300", 503, 10, "{\"message\":\"Database connection not available\"}"},
                {"55000", 503, 10, "{\"message\":\"Database connection not available\"}"},
                {"25P03", 503, 10, "{\"message\":\"Database connection not available\"}"},
                {"22012", 500, 0,
                 "{\"message\":\"Unexpected error while creating snapshot: the \\\"why\\\"\"}"},
                {"", 500, 0,
                 "{\"message\":\"Unexpected error while creating snapshot: the \\\"why\\\"\"}"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct trouble t;
                trouble_init(&t);
                trouble_sql(&t, cases[i].state, SLICE_LIT("the \"why\""), 1234);
                struct snapshot_failure f = trouble_failure(&t);
                assert_int_equal(f.status, cases[i].status);
                assert_int_equal(f.retry_after_s, cases[i].retry_after_s);
                assert_string_equal(buf_cstr(&t.body), cases[i].body);
                trouble_fini(&t);
        }
}

static void slow_start(void **state)
{
        (void)state;
        struct trouble t;
        trouble_init(&t);
        trouble_slow_start(&t);
        assert_string_equal(buf_cstr(&t.body),
                            "{\"message\":\"Snapshot query took too long to start "
                            "reading from the database\"}");
        trouble_fini(&t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(parse),    cmocka_unit_test(parse_malformed),
                cmocka_unit_test(sees),     cmocka_unit_test(cutting),
                cmocka_unit_test(troubles), cmocka_unit_test(slow_start),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
