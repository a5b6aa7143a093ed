#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/obs/metric.h"

static void test_render(void **state)
{
        (void)state;
        static struct metric metrics[] = {
                {"sluice_x_rows_total", METRIC_COUNTER, "rows \\ seen\nso far", 0},
                {"sluice_x_queue_bytes", METRIC_GAUGE, "bytes waiting", 0},
        };
        struct buf out;
        buf_init(&out, 4096);
        metric_add(&metrics[0], 5);
        metric_add(&metrics[0], 1);
        metric_set(&metrics[1], -3);
        assert_int_equal(metric_get(&metrics[0]), 6);
        metric_render(metrics, 2, &out);
        assert_string_equal(buf_cstr(&out), "# HELP sluice_x_rows_total rows \\\\ seen\\nso far\n"
                                            "# TYPE sluice_x_rows_total counter\n"
                                            "sluice_x_rows_total 6\n"
                                            "# HELP sluice_x_queue_bytes bytes waiting\n"
                                            "# TYPE sluice_x_queue_bytes gauge\n"
                                            "sluice_x_queue_bytes -3\n");
        buf_reset(&out);
        metric_doc(metrics + 1, 1, &out);
        assert_string_equal(buf_cstr(&out), "| metric | type | meaning |\n|---|---|---|\n"
                                            "| `sluice_x_queue_bytes` | gauge | bytes waiting |\n");
        buf_fini(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_render)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
