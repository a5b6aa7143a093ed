/* Texts that are cast to dates, times and intervals. The values are Postgres' own, of 14 to 18;
 * where there is a database it is asked again, and whether the filter lets the text pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "services/router/test_db.h"
#include "services/router/where_moment.h"

enum { WHY_MAX = 1 << 16 };

/* NULL: an error. */
static const struct {
        enum where_type type;
        const char *text, *value;
} cases[] = {
        {WT_DATE, "1/2/2024", "2024-02-01"},
        {WT_DATE, " Feb-7-1997 15:23:27", "1997-02-07"},
        {WT_DATE, "Fri Feb-7-1997", NULL},
        {WT_DATE, "Friday, Feb 7 1997", "1997-02-07"},
        {WT_TIMESTAMPTZ, "saturday feb 8 1997 z", "1997-02-08 00:00:00+00"},
        {WT_TIMESTAMPTZ, "sat feb 8 1997", NULL},
        {WT_DATE, "7-FEB-97", "1997-02-07"},
        {WT_DATE, "February 7, 69", "2069-02-07"},
        {WT_DATE, "1997.038", "1997-02-07"},
        {WT_DATE, "19970207", "1997-02-07"},
        {WT_DATE, "J2451187", "1999-01-08"},
        {WT_DATE, "julian 2451187.5", "1999-01-08"},
        {WT_DATE, "15 mar 44 BC", "0044-03-15 BC"},
        {WT_DATE, "44-03-15 BC", NULL}, /* no day 44 */
        {WT_DATE, "4714-11-24 BC", "4714-11-24 BC"},
        {WT_DATE, "4714-11-23 BC", NULL},
        {WT_DATE, "5874897-12-31", "5874897-12-31"},
        {WT_DATE, "5874898-01-01", NULL},
        {WT_DATE, "0000-01-01", NULL},
        {WT_DATE, "2023-02-29", NULL},
        {WT_DATE, "42949672970101", "0001-01-01"}, /* its year wraps around */
        {WT_DATE, "- infinity", "-infinity"},
        {WT_DATE, "Epoch", "1970-01-01"},
        {WT_DATE, "today", NULL},
        {WT_DATE, "infinity BC", NULL},
        {WT_DATE, "1997-02-07 fri-7", NULL}, /* a time zone of its own */
        {WT_DATE, "2002-02-11-jan-13:14:48", NULL},
        {WT_DATE, "y2001m02d03", NULL},
        {WT_DATE, "2001-02-03 \xc3\xa4", NULL},
        {WT_DATE, "", NULL},
        {WT_TIME, "2:30 pm", "14:30:00"},
        {WT_TIME, "T040506.789", NULL},
        {WT_TIME, "040506.789-08", "04:05:06.789"},
        {WT_TIME, "12::5", "12:00:05"},
        {WT_TIME, "30:15.5", "00:30:15.5"},
        {WT_TIME, "23:59:60", "24:00:00"},
        {WT_TIME, "23:59:60.5", NULL},
        {WT_TIME, "24:00:00.1", NULL},
        {WT_TIME, "13:00 am", NULL},
        {WT_TIME, "allballs", "00:00:00"},
        {WT_TIME, "2001-02-03 04:05:06 +02", "04:05:06"},
        {WT_TIME, "1450--00", "14:50:00"},
        {WT_TIMESTAMP, "20010203T040506.789-08", "2001-02-03 04:05:06.789"},
        {WT_TIMESTAMP, "294276-12-31 23:59:59.9999999", NULL},
        {WT_TIMESTAMP, "2001-02-03 04:05:06.0000005", "2001-02-03 04:05:06"},
        {WT_TIMESTAMPTZ, "20010203T040506.789-08", "2001-02-03 12:05:06.789+00"},
        {WT_TIMESTAMPTZ, "J2451187-08", "1999-01-08 08:00:00+00"},
        {WT_TIMESTAMPTZ, "Feb 3 04:05:06 2001 +5:7:9 AD", "2001-02-02 22:57:57+00"},
        {WT_TIMESTAMPTZ, "2001-02-03 04:05 zulu", "2001-02-03 04:05:00+00"},
        {WT_TIMESTAMPTZ, "2001-02-03 04:05 +16", NULL},
        {WT_TIMESTAMPTZ, "2001-02-03 04:05 PST", NULL},
        {WT_TIMESTAMPTZ, "2001-02-03 04:05 utc+3", NULL},
        {WT_INTERVAL, "@ 1 year 2 mons -3 days 04:05:06.7 ago", "P-1Y-2M3DT-4H-5M-6.7S"},
        {WT_INTERVAL, "1.5 weeks", "P10DT12H"},
        {WT_INTERVAL, "P16.2M", "P1Y4M5DT24H"}, /* as its floating point numbers have it */
        {WT_INTERVAL, "16.2 months", "P1Y4M6D"},
        {WT_INTERVAL, "1-2 3 4:05:06", "P1Y2M3DT4H5M6S"},
        {WT_INTERVAL, "1-12", NULL},
        {WT_INTERVAL, "P0001-02-03T04:05:06", "P1Y2M3DT4H5M6S"},
        {WT_INTERVAL, "1 day 1 day", NULL},
        {WT_INTERVAL, "1.5 years", NULL},
        {WT_INTERVAL, "5", "PT5S"},
        {WT_INTERVAL, "5 ago", NULL},
        {WT_INTERVAL, "1 -02:03", "P1DT-2H-3M"},
        {WT_INTERVAL, "12:60", NULL},
        {WT_INTERVAL, "infinity", NULL},
        {WT_INTERVAL, "p1d", NULL},
};
enum { N_CASES = sizeof(cases) / sizeof(cases[0]) };

static void test_values(void **state)
{
        (void)state;
        for (size_t i = 0; i < N_CASES; i++) {
                struct where_value v;
                struct buf out;
                buf_init(&out, WHY_MAX);
                int err = where_cast_read(cases[i].type, slice_cstr(cases[i].text), &v);
                if (!err)
                        where_value_print(cases[i].type, &v, &out);
                if ((err != 0) != (cases[i].value == NULL) ||
                    (!err && strcmp(buf_cstr(&out), cases[i].value) != 0))
                        fail_msg("%s is %s", cases[i].text, err ? "an error" : buf_cstr(&out));
                buf_fini(&out);
        }
}

static int setup(void **state)
{
        return test_db_setup(state, "where_moment");
}

static int teardown(void **state)
{
        PQfinish(*state);
        return 0;
}

static void check_case(PGconn *conn, size_t i)
{
        struct buf sql;
        buf_init(&sql, WHY_MAX);
        buf_printf(&sql,
                   "SELECT (pg_catalog.regexp_replace($1 COLLATE \"C\", $2, 'no ', 'i'))::%.*s",
                   SLICE_FMT(where_type_name(cases[i].type)));
        struct buf pattern;
        buf_init(&pattern, WHY_MAX);
        buf_printf(&pattern, "^(?!%s)", where_cast_filter(cases[i].type));
        const char *params[] = {cases[i].text, buf_cstr(&pattern)};
        PGresult *res = PQexecParams(conn, buf_cstr(&sql), 2, NULL, params, NULL, NULL, 0);
        bool ok = PQresultStatus(res) == PGRES_TUPLES_OK;
        if (ok != (cases[i].value != NULL) || (ok && strcmp(PQgetvalue(res, 0, 0), cases[i].value)))
                fail_msg("%s is %s", cases[i].text,
                         ok ? PQgetvalue(res, 0, 0) : PQerrorMessage(conn));
        PQclear(res);
        buf_fini(&pattern);
        buf_fini(&sql);
}

static void test_database(void **state)
{
        static const char *const sets[] = {"Default", "Australia", "India"};
        test_db_sql(*state, "SET timezone = 'UTC'; SET datestyle = 'ISO, DMY';"
                            " SET intervalstyle = 'iso_8601'");
        for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
                char sql[64];
                snprintf(sql, sizeof(sql), "SET timezone_abbreviations = '%s'", sets[s]);
                test_db_sql(*state, sql);
                for (size_t i = 0; i < N_CASES; i++)
                        check_case(*state, i);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test_setup_teardown(test_database, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
