#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "supervisor/envlist.h"

static void sets_and_replaces(void **state)
{
        (void)state;
        char *inherited[] = {"PORT=1", "PORTAL=x", "EMPTY=", NULL};
        struct envlist e;
        envlist_init(&e, inherited);
        envlist_set(&e, "PORT", "%d", 42);
        envlist_set(&e, "NEW", "a=%s", "b");
        assert_int_equal(e.n, 4);
        assert_null(e.vars[4]);
        assert_string_equal(e.vars[0], "PORT=42");
        assert_string_equal(envlist_get(&e, "PORTAL"), "x");
        assert_string_equal(envlist_get(&e, "EMPTY"), "");
        assert_string_equal(envlist_get(&e, "NEW"), "a=b");
        assert_null(envlist_get(&e, "POR"));
        assert_string_equal(inherited[0], "PORT=1");
        envlist_fini(&e);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(sets_and_replaces)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
