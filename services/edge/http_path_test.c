/* The library calls our normalisation, not its own: that one can print secrets. */
#include "common/test/test.h"

#include <dlfcn.h>
#include <h2o.h>

#include "services/edge/http.h"

static void test_ours_is_called(void **state)
{
        (void)state;
        Dl_info ours, opener;
        void *symbol = dlsym(RTLD_DEFAULT, "h2o_url_normalize_path");
        assert_non_null(symbol);
        assert_int_not_equal(dladdr(symbol, &ours), 0);
        assert_int_not_equal(dladdr((void *)(uintptr_t)http_head_add, &opener), 0);
        assert_string_equal(ours.dli_fname, opener.dli_fname);
}

static const struct {
        const char *target, *path;
        size_t query_at;
} cases[] = {{"/v1/shape?secret=x", "/v1/shape", 9},
             {"/v1/shape", "/v1/shape", SIZE_MAX},
             {"/../%zz?secret=x", "/../%zz", 7},
             {"*", "/", SIZE_MAX},
             {"", "/", SIZE_MAX},
             {"?secret=x", "/", 0},
             {"http://host/v1?secret=x", "/", 14}};

static void test_what_it_says(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                size_t query_at = 7, *indexes = &query_at;
                h2o_iovec_t path = h2o_url_normalize_path(
                        NULL, cases[i].target, strlen(cases[i].target), &query_at, &indexes);
                assert_int_equal(path.len, strlen(cases[i].path));
                assert_memory_equal(path.base, cases[i].path, path.len);
                assert_int_equal(query_at, cases[i].query_at);
                assert_null(indexes);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_ours_is_called),
                                           cmocka_unit_test(test_what_it_says)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
