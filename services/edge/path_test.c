#include "common/test/test.h"

#include "common/base/buf.h"
#include "services/edge/path.h"

static struct arena arena;

static enum route route(const char *target)
{
        struct path p;
        arena_reset(&arena);
        path_resolve(&arena, slice_cstr(target), &p);
        return p.route;
}

static int set_up(void **state)
{
        (void)state;
        arena_init(&arena);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        arena_fini(&arena);
        return 0;
}

/* Checklist A.5: other spellings of the route are the route. */
static void test_routes(void **state)
{
        (void)state;
        static const struct {
                const char *target;
                enum route route;
        } rows[] = {
                {"/", ROUTE_ROOT},
                {"//", ROUTE_ROOT},
                {"/?a=b", ROUTE_ROOT},
                {"/v1/shape", ROUTE_SHAPE},
                {"/v1/shape/", ROUTE_SHAPE},
                {"/v1//shape?table=x", ROUTE_SHAPE},
                {"/v1/%73hape", ROUTE_SHAPE},
                {"http://host:80/v1/shape?x", ROUTE_SHAPE},
                {"http://host", ROUTE_ROOT},
                {"/v1/health", ROUTE_HEALTH},
                {"/v1/health/x", ROUTE_NONE},
                {"/v1/shape%2f", ROUTE_NONE},
                {"/v1%2fshape", ROUTE_NONE},
                {"/V1/shape", ROUTE_NONE},
                {"/v1/shape/..", ROUTE_NONE},
                {"/v1/%zz", ROUTE_NONE},
                {"/demo", ROUTE_DEMO},
                {"/demo/a/b.js", ROUTE_DEMO},
                {"/demos", ROUTE_NONE},
                {"*", ROUTE_NONE},
                {"", ROUTE_NONE},
                {"x:", ROUTE_NONE},
                {"http:", ROUTE_NONE},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                if (route(rows[i].target) != rows[i].route)
                        fail_msg("%s is route %d", rows[i].target, route(rows[i].target));
}

static void test_parts(void **state)
{
        (void)state;
        struct path p;
        path_resolve(&arena, SLICE_LIT("/demo/%2e%2e/a%2fb/?q=1?2"), &p);
        assert_int_equal(p.route, ROUTE_DEMO);
        assert_int_equal(p.n_segments, 3);
        assert_true(slice_eq(p.segments[1], SLICE_LIT("..")));
        assert_true(slice_eq(p.segments[2], SLICE_LIT("a/b")));
        assert_true(p.trailing_slash);
        assert_true(slice_eq(p.query, SLICE_LIT("q=1?2")));
        path_resolve(&arena, SLICE_LIT("/demo/a"), &p);
        assert_false(p.trailing_slash);
        assert_int_equal(p.query.len, 0);
}

static void test_too_many_segments(void **state)
{
        (void)state;
        struct buf b;
        buf_init(&b, 4096);
        for (int i = 0; i < 100; i++)
                buf_puts(&b, "/demo");
        assert_int_equal(route(buf_cstr(&b)), ROUTE_NONE);
        buf_fini(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_routes),
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_too_many_segments),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
