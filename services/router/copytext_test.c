#include "services/router/copytext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/err.h"

enum { MAX_FIELDS = 4, LINE_BYTES = 128 };

static const uint32_t reversed[MAX_FIELDS] = {3, 2, 1, 0};

struct parsed {
        char line[LINE_BYTES];
        struct change_value values[MAX_FIELDS];
};

static int parse(struct parsed *p, const char *line, uint32_t n)
{
        size_t len = strlen(line);
        memcpy(p->line, line, len);
        return copytext_parse(p->line, len, reversed + MAX_FIELDS - n, n, p->values);
}

static void expect(const struct change_value *v, const char *text)
{
        assert_int_equal(v->kind, text ? VALUE_TEXT : VALUE_NULL);
        if (!text)
                return;
        assert_int_equal(v->text.len, strlen(text));
        assert_memory_equal(v->text.p, text, v->text.len);
}

static void plain(void **state)
{
        struct parsed p;
        (void)state;
        assert_int_equal(parse(&p, "1\tname\t\tlast one\n", 4), 0);
        expect(&p.values[3], "1");
        expect(&p.values[2], "name");
        expect(&p.values[1], "");
        expect(&p.values[0], "last one");
        assert_int_equal(parse(&p, "\n", 1), 0);
        expect(&p.values[0], "");
        assert_int_equal(parse(&p, "\n", 0), 0);
}

static void nulls_and_escapes(void **state)
{
        struct parsed p;
        (void)state;
        assert_int_equal(parse(&p, "\\N\t\\\\N\t\\b\\f\\n\\r\\t\\v\\\\\tN\n", 4), 0);
        expect(&p.values[3], NULL);
        expect(&p.values[2], "\\N");
        expect(&p.values[1], "\b\f\n\r\t\v\\");
        expect(&p.values[0], "N");
        assert_int_equal(parse(&p, "a\\tb\\\\\\\\c\t\\\\.\n", 2), 0);
        expect(&p.values[1], "a\tb\\\\c");
        expect(&p.values[0], "\\.");
}

static void malformed(void **state)
{
        static const struct {
                const char *line;
                uint32_t n;
        } cases[] = {{"", 1},          {"1", 1},   {"1\t2\n", 1}, {"1\n", 2},     {"1\t2\n", 3},
                     {"1\t2\t3\n", 2}, {"x\n", 0}, {"\\\n", 1},   {"\\\t1\n", 2}, {"a\\\\\\\n", 1}};
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct parsed p;
                assert_int_equal(parse(&p, cases[i].line, cases[i].n), ERR_FORMAT);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain),
                cmocka_unit_test(nulls_and_escapes),
                cmocka_unit_test(malformed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
