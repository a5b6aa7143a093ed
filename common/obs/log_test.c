#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/obs/log.h"

/* What a call writes to stderr. */
static size_t capture(void (*call)(void), char *out, size_t room)
{
        int ends[2], saved = dup(STDERR_FILENO);
        assert_int_equal(pipe(ends), 0);
        dup2(ends[1], STDERR_FILENO);
        call();
        dup2(saved, STDERR_FILENO);
        close(saved);
        close(ends[1]);
        ssize_t n = read(ends[0], out, room - 1);
        close(ends[0]);
        assert_true(n >= 0);
        out[n] = '\0';
        return (size_t)n;
}

static void log_hostile(void)
{
        log_warning("odd_event", "a \"b\" \\ c\nlevel=error\x01 %d", 7);
}

static void log_quiet(void)
{
        log_debug("quiet", "not shown");
}

static void log_long(void)
{
        char text[20000];
        memset(text, '\n', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        log_info("long_event", "%s", text);
}

static void test_line(void **state)
{
        (void)state;
        char out[65536];
        log_init("tester", LOG_INFO);
        size_t n = capture(log_hostile, out, sizeof(out));
        assert_int_equal(memcmp(out, "ts=20", 5), 0);
        assert_non_null(strstr(out, "Z level=warning svc=tester event=odd_event "
                                    "msg=\"a \\\"b\\\" \\\\ c\\nlevel=error\\x01 7\"\n"));
        assert_ptr_equal(strchr(out, '\n'), out + n - 1);
        assert_int_equal(capture(log_quiet, out, sizeof(out)), 0);
        n = capture(log_long, out, sizeof(out));
        assert_true(n < 10000);
        assert_ptr_equal(strchr(out, '\n'), out + n - 1);
}

static void test_levels(void **state)
{
        (void)state;
        assert_int_equal(log_level_parse("error"), LOG_ERROR);
        assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
        assert_int_equal(log_level_parse("loud"), -1);
        assert_int_equal(log_level_parse(""), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_line),
                                           cmocka_unit_test(test_levels)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
