/* Files of time zones, made here byte by byte, and rules. That the zones of the host are what
 * Postgres makes of them is zone_test.c's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "services/router/tzif.h"
#include "services/router/tzrule.h"

/* ---- a file */

struct change {
        int64_t at;
        uint8_t type;
};

static void put(struct buf *b, uint64_t v, int bytes)
{
        while (bytes-- > 0)
                buf_putc(b, (char)(v >> 8 * bytes));
}

static void put_head(struct buf *b, char version, uint32_t times, uint32_t types, uint32_t leap)
{
        buf_puts(b, "TZif");
        buf_putc(b, version);
        put(b, 0, 8);
        put(b, 0, 8);
        put(b, 0, 7); /* 15 unused, no indicators */
        put(b, leap, 4);
        put(b, times, 4);
        put(b, types, 4);
        put(b, 4, 4);
}

static void put_block(struct buf *b, int width, const struct change *c, uint32_t n,
                      const int32_t *easts, uint32_t types)
{
        for (uint32_t i = 0; i < n; i++)
                put(b, (uint64_t)c[i].at, width);
        for (uint32_t i = 0; i < n; i++)
                put(b, c[i].type, 1);
        for (uint32_t i = 0; i < types; i++) {
                put(b, (uint32_t)easts[i], 4);
                put(b, 0, 2);
        }
        put(b, 0, 4);
}

static const int32_t easts[] = {3208, 3600, 7200};
static const struct change changes[] = {{-2422054408, 1}, {1000, 2}, {2000, 1}, {3000, 1}};

/* Version 2, with an empty first block. */
static void make(struct buf *b, const struct change *c, uint32_t n, const char *footer)
{
        buf_init(b, 1 << 20);
        put_head(b, '2', 0, 1, 0);
        put_block(b, 4, NULL, 0, easts, 1);
        put_head(b, '2', n, 3, 0);
        put_block(b, 8, c, n, easts, 3);
        buf_puts(b, footer);
}

static int read_made(const struct change *c, uint32_t n, const char *footer, struct tzif *z)
{
        struct buf b;
        make(&b, c, n, footer);
        int err = tzif_read(buf_slice(&b), z);
        buf_fini(&b);
        return err;
}

static void test_offsets(void **state)
{
        struct tzif z;
        (void)state;
        assert_int_equal(read_made(changes, 4, "\nCET-1\n", &z), 0);
        assert_int_equal(z.n, 3); /* the last changes nothing */
        assert_int_equal(tzif_east_at(&z, -2422054409), 3208);
        assert_int_equal(tzif_east_at(&z, -2422054408), 3600);
        assert_int_equal(tzif_east_at(&z, 999), 3600);
        assert_int_equal(tzif_east_at(&z, 1000), 7200);
        assert_int_equal(tzif_east_at(&z, 2000), 3600);
        assert_int_equal(tzif_east_at(&z, INT64_C(9300000000000)), 3600);
        tzif_fini(&z);
}

/* From 3600 s east to 7200 and back, a day and an hour apart from anything else. */
static void test_local(void **state)
{
        const struct change apart[] = {{0, 1}, {1000000, 2}, {2000000, 1}};
        struct tzif z;
        (void)state;
        assert_int_equal(read_made(apart, 3, "\nCET-1\n", &z), 0);
        assert_int_equal(tzif_east_of_local(&z, 1000000 + 3599), 3600);
        assert_int_equal(tzif_east_of_local(&z, 1000000 + 3600), 3600); /* skipped: as before */
        assert_int_equal(tzif_east_of_local(&z, 1000000 + 7199), 3600);
        assert_int_equal(tzif_east_of_local(&z, 1000000 + 7200), 7200);
        assert_int_equal(tzif_east_of_local(&z, 2000000 + 3599), 7200);
        assert_int_equal(tzif_east_of_local(&z, 2000000 + 3600), 3600); /* twice: the later */
        assert_int_equal(tzif_east_of_local(&z, 2000000 + 7199), 3600);
        assert_int_equal(tzif_east_of_local(&z, 2000000 + 7200), 3600);
        tzif_fini(&z);
}

/* 2024-03-31 01:00 UTC, and 400 × 700 years later. */
static void test_rule_goes_on(void **state)
{
        const int64_t spring = 1711846800, cycles = INT64_C(700) * 146097 * 86400;
        struct tzif z;
        (void)state;
        assert_int_equal(read_made(changes, 4, "\nCET-1CEST,M3.5.0,M10.5.0/3\n", &z), 0);
        assert_true(z.repeats);
        for (int i = 0; i < 2; i++) {
                int64_t at = spring + i * cycles;
                assert_int_equal(tzif_east_at(&z, at - 1), 3600);
                assert_int_equal(tzif_east_at(&z, at), 7200);
                assert_int_equal(tzif_east_of_local(&z, at + 3600), 3600);
                assert_int_equal(tzif_east_of_local(&z, at + 7200), 7200);
        }
        tzif_fini(&z);
}

/* Where summer ends, at the end of a year, it begins. */
static void test_summer_for_ever(void **state)
{
        struct tzif z;
        (void)state;
        assert_int_equal(read_made(changes, 4, "\nEST5EDT4,0/0,J365/25\n", &z), 0);
        for (int64_t at = 1700000000; at < INT64_C(20000000000); at += 1234567)
                assert_int_equal(tzif_east_at(&z, at), -4 * 3600);
        tzif_fini(&z);
}

static void test_bad_files(void **state)
{
        static const char *const footers[] = {"\n",
                                              "CET-1\n",
                                              "\nCET-1",
                                              "\nCE-1\n",
                                              "\nCET-1 \n",
                                              "\nCET-1CEST\n",
                                              "\nCET-25\n",
                                              "\nCET-1\n\n",
                                              "\nCET-1CEST,M3.5.0\n",
                                              "\nCET-1CEST,M13.5.0,M1.1.1\n"};
        const struct change disordered[] = {{2000, 1}, {1000, 2}}, twice[] = {{7, 1}, {7, 2}},
                            untyped[] = {{0, 3}}, absurd[] = {{INT64_MAX, 1}};
        struct tzif z;
        struct buf b;
        (void)state;
        for (size_t i = 0; i < sizeof(footers) / sizeof(footers[0]); i++)
                if (read_made(changes, 4, footers[i], &z) != ERR_FORMAT)
                        fail_msg("accepted: %s", footers[i]);
        assert_int_equal(read_made(disordered, 2, "\n\n", &z), ERR_FORMAT);
        assert_int_equal(read_made(twice, 2, "\n\n", &z), ERR_FORMAT);
        assert_int_equal(read_made(untyped, 1, "\n\n", &z), ERR_FORMAT);
        assert_int_equal(read_made(absurd, 1, "\n\n", &z), ERR_FORMAT);
        make(&b, changes, 4, "");
        for (size_t n = 0; n < b.len; n++)
                if (tzif_read(slice_of(b.p, n), &z) != ERR_FORMAT)
                        fail_msg("accepted: %zu bytes of %zu", n, b.len);
        assert_int_equal(tzif_read(buf_slice(&b), &z), 0);
        tzif_fini(&z);
        buf_fini(&b);
}

/* Version 1: seconds of 32 bits, no footer. Leap seconds are of no database's zones. */
static void test_old_and_leap(void **state)
{
        struct tzif z;
        struct buf b;
        (void)state;
        buf_init(&b, 4096);
        put_head(&b, '\0', 2, 3, 0);
        put_block(&b, 4, changes + 1, 2, easts, 3);
        assert_int_equal(tzif_read(buf_slice(&b), &z), 0);
        assert_int_equal(tzif_east_at(&z, 0), 3208);
        assert_int_equal(tzif_east_at(&z, 1500), 7200);
        tzif_fini(&z);
        buf_reset(&b);
        put_head(&b, '\0', 0, 1, 1);
        put_block(&b, 4, NULL, 0, easts, 1);
        put(&b, 0, 8);
        assert_int_equal(tzif_read(buf_slice(&b), &z), ERR_FORMAT);
        buf_fini(&b);
}

static void expect_year(const char *text, int64_t year, int64_t first, int32_t east, int64_t second)
{
        struct tzrule r;
        struct tzrule_change c[2];
        assert_int_equal(tzrule_read(slice_cstr(text), &r), 0);
        assert_true(r.changes);
        assert_int_equal(tzrule_year(&r, year, c), 2);
        assert_int_equal(c[0].at, first);
        assert_int_equal(c[0].east, east);
        assert_int_equal(c[1].at, second);
}

static void test_rules(void **state)
{
        struct tzrule r;
        struct tzrule_change c[2];
        (void)state;
        expect_year("EST5EDT,M3.2.0,M11.1.0", 2024, 1710054000, -14400, 1730613600);
        /* the southern half: the year begins with summer */
        expect_year("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 2024, 1712415600, 37800, 1728142200);
        expect_year("IST-1GMT0,M10.5.0,M3.5.0/1", 2024, 1711846800, 3600, 1729990800);
        /* day 60 of every year is 1 March for J, 29 February or 2 March without */
        expect_year("AAA0BBB,J60/0,J61/0", 2024, 1709251200, 3600, 1709334000);
        expect_year("AAA0BBB,59/0,60/0", 2024, 1709164800, 3600, 1709247600);
        expect_year("AAA0BBB,59/0,60/0", 2023, 1677628800, 3600, 1677711600);
        assert_int_equal(tzrule_read(SLICE_LIT("XXX3EDT4,0/0,J365/23"), &r), 0);
        assert_int_equal(tzrule_year(&r, 2023, c), 0); /* always summer, here in winter time */
        assert_int_equal(tzrule_read(SLICE_LIT("XXX3EDT4,0/0,J364/23"), &r), 0);
        assert_int_equal(tzrule_year(&r, 2023, c), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_offsets),      cmocka_unit_test(test_local),
                cmocka_unit_test(test_rule_goes_on), cmocka_unit_test(test_summer_for_ever),
                cmocka_unit_test(test_bad_files),    cmocka_unit_test(test_old_and_leap),
                cmocka_unit_test(test_rules),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
