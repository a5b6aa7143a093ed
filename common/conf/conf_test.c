#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/base/err.h"
#include "common/conf/conf.h"

struct sample {
        const char *name, *url;
        uint64_t port, wait_ms, bytes;
        bool insecure;
};

static const struct knob knobs[] = {
        {"SLUICE_NAME", "ELECTRIC_NAME", KNOB_STR, "default", 0, 0, offsetof(struct sample, name),
         "a | name"},
        {"SLUICE_HTTP_PORT", "ELECTRIC_PORT ELECTRIC_OLD_PORT", KNOB_U64, "3000", 1, 65535,
         offsetof(struct sample, port), "the port"},
        {"SLUICE_WAIT", NULL, KNOB_DURATION, "20s", 0, 600000, offsetof(struct sample, wait_ms),
         "how long"},
        {"SLUICE_BYTES", NULL, KNOB_BYTES, "64m", 1, 0, offsetof(struct sample, bytes), "how much"},
        {"SLUICE_INSECURE", NULL, KNOB_BOOL, "false", 0, 0, offsetof(struct sample, insecure),
         "trust"},
        {"DATABASE_URL", NULL, KNOB_URL, NULL, 0, 0, offsetof(struct sample, url), "the database"},
};

enum { KNOBS = sizeof(knobs) / sizeof(knobs[0]), MAX_ARGS = 8 };

static int load(const char *const *args, const char *const *env, struct sample *out,
                struct buf *why)
{
        const char *argv[MAX_ARGS + 1] = {"prog"};
        const char *environ_[MAX_ARGS + 1] = {NULL};
        int argc = 1;
        for (; args && args[argc - 1]; argc++)
                argv[argc] = args[argc - 1];
        for (size_t i = 0; env && env[i]; i++)
                environ_[i] = env[i];
        buf_init(why, 64 * 1024);
        *out = (struct sample){0};
        return conf_load(knobs, KNOBS, argc, (char **)(uintptr_t)argv, (char **)environ_, out, why);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define URL       "DATABASE_URL=postgres://u:sesame@h/db"

static void test_defaults(void **state)
{
        (void)state;
        struct sample s;
        struct buf why;
        assert_int_equal(load(NULL, LIST(URL), &s, &why), 0);
        assert_string_equal(s.name, "default");
        assert_string_equal(s.url, "postgres://u:sesame@h/db");
        assert_int_equal(s.port, 3000);
        assert_int_equal(s.wait_ms, 20000);
        assert_int_equal(s.bytes, 64 * 1024 * 1024);
        assert_false(s.insecure);
        assert_int_equal(why.len, 0);
        buf_fini(&why);
}

static void test_precedence(void **state)
{
        (void)state;
        struct sample s;
        struct buf why;
        assert_int_equal(load(NULL, LIST(URL, "ELECTRIC_PORT=1"), &s, &why), 0);
        assert_int_equal(s.port, 1);
        buf_fini(&why);
        assert_int_equal(load(NULL, LIST("ELECTRIC_PORT=1", "SLUICE_HTTP_PORT=2", URL), &s, &why),
                         0);
        assert_int_equal(s.port, 2);
        buf_fini(&why);
        assert_int_equal(load(LIST("--http-port=3"), LIST("SLUICE_HTTP_PORT=2", URL), &s, &why), 0);
        assert_int_equal(s.port, 3);
        buf_fini(&why);
        assert_int_equal(load(NULL, LIST("ELECTRIC_OLD_PORT=5", URL), &s, &why), 0);
        assert_int_equal(s.port, 5);
        buf_fini(&why);
        assert_int_equal(load(NULL, LIST("ELECTRIC_OLD_PORT=5", "ELECTRIC_PORT=6", URL), &s, &why),
                         0);
        assert_int_equal(s.port, 6);
        buf_fini(&why);
        assert_int_equal(load(NULL, LIST("ELECTRIC_OLD_PORT=x", URL), &s, &why), ERR_CONF);
        assert_non_null(strstr(buf_cstr(&why), "ELECTRIC_OLD_PORT"));
        buf_fini(&why);
        /* A value that is overruled is not judged. */
        assert_int_equal(load(LIST("--http-port", "4"), LIST("SLUICE_HTTP_PORT=x", URL), &s, &why),
                         0);
        assert_int_equal(s.port, 4);
        buf_fini(&why);
}

static void test_flags(void **state)
{
        (void)state;
        struct sample s;
        struct buf why;
        assert_int_equal(load(LIST("--database-url=x=y", "--insecure", "--name=", "--wait", "5s"),
                              NULL, &s, &why),
                         0);
        assert_string_equal(s.url, "x=y");
        assert_true(s.insecure);
        assert_string_equal(s.name, "");
        assert_int_equal(s.wait_ms, 5000);
        buf_fini(&why);
}

static void test_empty_variable_is_unset(void **state)
{
        (void)state;
        struct sample s;
        struct buf why;
        assert_int_equal(load(NULL, LIST(URL, "SLUICE_HTTP_PORT=", "SLUICE_NAME="), &s, &why), 0);
        assert_int_equal(s.port, 3000);
        assert_string_equal(s.name, "default");
        buf_fini(&why);
        assert_int_equal(load(NULL, LIST("DATABASE_URL="), &s, &why), ERR_CONF);
        buf_fini(&why);
        assert_int_equal(load(NULL, LIST("DATABASE_URLS=x"), &s, &why), ERR_CONF);
        buf_fini(&why);
}

struct value_case {
        const char *env;
        int err;
        uint64_t value;
};

static void check_value(const struct value_case *c, size_t at)
{
        struct sample s;
        struct buf why;
        uint64_t value;
        int err = load(NULL, LIST(URL, c->env), &s, &why);
        if (err != c->err)
                fail_msg("%s: %s", c->env, err_text(err));
        memcpy(&value, (char *)&s + at, sizeof(value));
        if (!err)
                assert_int_equal(value, c->value);
        else
                assert_true(why.len > 0 && why.p[why.len - 1] == '\n');
        buf_fini(&why);
}

static void test_values(void **state)
{
        (void)state;
        static const struct value_case durations[] = {
                {"SLUICE_WAIT=0", 0, 0},          {"SLUICE_WAIT=1500", 0, 1500},
                {"SLUICE_WAIT=500ms", 0, 500},    {"SLUICE_WAIT=7msec", 0, 7},
                {"SLUICE_WAIT=2s", 0, 2000},      {"SLUICE_WAIT=3sec", 0, 3000},
                {"SLUICE_WAIT=1m", 0, 60000},     {"SLUICE_WAIT=10min", 0, 600000},
                {"SLUICE_WAIT=11m", ERR_CONF, 0}, {"SLUICE_WAIT=-1", ERR_CONF, 0},
                {"SLUICE_WAIT=s", ERR_CONF, 0},   {"SLUICE_WAIT=1h", ERR_CONF, 0},
                {"SLUICE_WAIT=1 s", ERR_CONF, 0}, {"SLUICE_WAIT=99999999999999999999", ERR_CONF, 0},
        };
        static const struct value_case sizes[] = {
                {"SLUICE_BYTES=1", 0, 1},
                {"SLUICE_BYTES=4k", 0, 4096},
                {"SLUICE_BYTES=4K", 0, 4096},
                {"SLUICE_BYTES=2m", 0, 2 << 20},
                {"SLUICE_BYTES=64g", 0, 64ULL << 30},
                {"SLUICE_BYTES=0", ERR_CONF, 0},
                {"SLUICE_BYTES=1t", ERR_CONF, 0},
                {"SLUICE_BYTES=99999999999g", ERR_CONF, 0},
        };
        static const struct value_case ports[] = {
                {"SLUICE_HTTP_PORT=65535", 0, 65535},  {"SLUICE_HTTP_PORT=65536", ERR_CONF, 0},
                {"SLUICE_HTTP_PORT=0", ERR_CONF, 0},   {"SLUICE_HTTP_PORT=0x10", ERR_CONF, 0},
                {"SLUICE_HTTP_PORT=80 ", ERR_CONF, 0},
        };
        for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
                check_value(&durations[i], offsetof(struct sample, wait_ms));
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                check_value(&sizes[i], offsetof(struct sample, bytes));
        for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
                check_value(&ports[i], offsetof(struct sample, port));
}

static void test_bools(void **state)
{
        (void)state;
        static const struct {
                const char *env;
                int err;
                bool value;
        } cases[] = {
                {"SLUICE_INSECURE=true", 0, true}, {"SLUICE_INSECURE=1", 0, true},
                {"SLUICE_INSECURE=TRUE", 0, true}, {"SLUICE_INSECURE=false", 0, false},
                {"SLUICE_INSECURE=0", 0, false},   {"SLUICE_INSECURE=yes", ERR_CONF, false},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct sample s;
                struct buf why;
                assert_int_equal(load(NULL, LIST(URL, cases[i].env), &s, &why), cases[i].err);
                assert_int_equal(s.insecure, cases[i].value);
                buf_fini(&why);
        }
}

static size_t count_lines(struct buf *b)
{
        size_t n = 0;
        for (size_t i = 0; i < b->len; i++)
                n += b->p[i] == '\n';
        return n;
}

static void test_all_mistakes_at_once_and_no_secrets(void **state)
{
        (void)state;
        struct sample s;
        struct buf why;
        int err = load(LIST("--passwd=sesame", "sesame", "--http-port=x", "--bytes"),
                       LIST("SLUICE_WAIT=soon", "SLUICE_INSECURE=maybe"), &s, &why);
        assert_int_equal(err, ERR_CONF);
        assert_int_equal(count_lines(&why), 7);
        assert_non_null(strstr(buf_cstr(&why), "--passwd"));
        assert_non_null(strstr(buf_cstr(&why), "--bytes needs a value"));
        assert_non_null(strstr(buf_cstr(&why), "DATABASE_URL is not set"));
        assert_non_null(strstr(buf_cstr(&why), "SLUICE_WAIT: \"soon\""));
        assert_null(strstr(buf_cstr(&why), "sesame"));
        buf_fini(&why);
}

static void test_help_and_doc(void **state)
{
        (void)state;
        struct sample s;
        struct buf why;
        assert_int_equal(load(LIST("--nonsense", "--help"), LIST(URL), &s, &why), ERR_CANCELLED);
        for (size_t i = 0; i < KNOBS; i++) {
                assert_non_null(strstr(buf_cstr(&why), knobs[i].env));
                assert_non_null(strstr(buf_cstr(&why), knobs[i].what));
        }
        assert_non_null(strstr(buf_cstr(&why), "--http-port"));
        assert_null(strstr(buf_cstr(&why), "nonsense"));
        assert_null(strstr(buf_cstr(&why), "sesame"));
        buf_reset(&why);
        conf_doc(knobs, KNOBS, &why);
        assert_int_equal(count_lines(&why), KNOBS + 2);
        assert_non_null(strstr(buf_cstr(&why),
                               "| `SLUICE_HTTP_PORT`<br>`ELECTRIC_PORT`<br>`ELECTRIC_OLD_PORT` | "
                               "`--http-port` | number | `3000` | the port |\n"));
        assert_non_null(strstr(buf_cstr(&why), "a \\| name"));
        assert_non_null(strstr(buf_cstr(&why), "| required |"));
        buf_fini(&why);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_precedence),
                cmocka_unit_test(test_flags),
                cmocka_unit_test(test_empty_variable_is_unset),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_bools),
                cmocka_unit_test(test_all_mistakes_at_once_and_no_secrets),
                cmocka_unit_test(test_help_and_doc),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
