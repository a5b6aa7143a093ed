/* Accept-Encoding: which coding an answer gets. */
#include "common/test/test.h"

#include "services/edge/coding.h"

static enum coding choose(const char *line)
{
        struct coding_wish w;
        coding_wish_init(&w);
        if (line)
                coding_wish_add(&w, slice_cstr(line));
        return coding_choose(&w);
}

static const struct {
        const char *line;
        enum coding coding;
} cases[] = {
        {NULL, CODING_IDENTITY},
        {"", CODING_IDENTITY},
        {"gzip", CODING_GZIP},
        {"x-gzip", CODING_GZIP},
        {"GZip", CODING_GZIP},
        {"br", CODING_BROTLI},
        {"zstd", CODING_ZSTD},
        {"identity", CODING_IDENTITY},
        {"deflate", CODING_IDENTITY},
        {"compress, deflate", CODING_IDENTITY},
        {"gzipped", CODING_IDENTITY},
        {"gzip, deflate", CODING_GZIP},
        {"gzip, deflate, br", CODING_BROTLI},
        {"gzip, deflate, br, zstd", CODING_ZSTD},
        {"br;q=0.5, gzip", CODING_GZIP},
        {"br;q=0.5,gzip;q=0.5", CODING_BROTLI},
        {"zstd;q=0.1, br;q=0.2, gzip;q=0.3", CODING_GZIP},
        {"gzip;q=0", CODING_IDENTITY},
        {"gzip;q=0.000", CODING_IDENTITY},
        {"gzip;q=0.001", CODING_GZIP},
        {"gzip ; q=1.000", CODING_GZIP},
        {"gzip;Q=0.5 , identity;q=0.6", CODING_IDENTITY},
        {"gzip;q=0.5, identity;q=0.5", CODING_GZIP},
        {"identity;q=0", CODING_IDENTITY},
        {"identity;q=0, gzip;q=0.1", CODING_GZIP},
        {"*", CODING_GZIP},
        {"*;q=0", CODING_IDENTITY},
        {"*;q=0, br", CODING_BROTLI},
        {"gzip;q=0, *", CODING_IDENTITY},
        {"br;q=0.5, *;q=0.8", CODING_GZIP},
        {"*, identity;q=0.5", CODING_GZIP},
        /* not well-formed: that element does not count */
        {"gzip;q=1.5", CODING_IDENTITY},
        {"gzip;q=", CODING_IDENTITY},
        {"gzip;q", CODING_IDENTITY},
        {"gzip;q=-1", CODING_IDENTITY},
        {"gzip;q=0.1234", CODING_IDENTITY},
        {"gzip;q=.5", CODING_IDENTITY},
        {"gzip;q=2, br;q=0.1", CODING_BROTLI},
        {"gzip;q=1.001", CODING_IDENTITY},
        {"gzip;level=9", CODING_GZIP},
        {",, ,gzip,;,=,", CODING_GZIP},
};

static void test_choice(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                if (choose(cases[i].line) != cases[i].coding)
                        fail_msg("%s", cases[i].line ? cases[i].line : "no header");
}

static void test_lines_add_up(void **state)
{
        (void)state;
        struct coding_wish w;
        coding_wish_init(&w);
        coding_wish_add(&w, SLICE_LIT("gzip;q=0.8"));
        assert_int_equal(coding_choose(&w), CODING_GZIP);
        coding_wish_add(&w, SLICE_LIT("br;q=0.9, identity;q=0.1"));
        assert_int_equal(coding_choose(&w), CODING_BROTLI);
}

static void test_names(void **state)
{
        (void)state;
        assert_slice_equal(coding_name(CODING_ZSTD), "zstd");
        assert_slice_equal(coding_name(CODING_BROTLI), "br");
        assert_slice_equal(coding_name(CODING_GZIP), "gzip");
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_choice),
                                           cmocka_unit_test(test_lines_add_up),
                                           cmocka_unit_test(test_names)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
