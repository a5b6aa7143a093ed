/* The examples of docs/where.md are what it says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "services/router/where.h"

enum { LINE_MAX_BYTES = 4096, LEAST = 10 };

static struct table *example_table(void)
{
        static const struct {
                const char *name;
                uint32_t oid;
        } columns[] = {{"id", 23},      {"title", 25},  {"done", 16}, {"score", 701},
                       {"n", 1700},     {"tags", 1009}, {"at", 1184}, {"day", 1082},
                       {"mood", 99999}, {"data", 3802}};
        enum { N = sizeof(columns) / sizeof(columns[0]) };
        struct table *t = table_new(N, 0);
        t->oid = 16400;
        t->kind = 'r';
        t->schema = slice_dup(SLICE_LIT("public"));
        t->name = slice_dup(SLICE_LIT("examples"));
        for (uint32_t i = 0; i < N; i++) {
                struct table_column *c = &t->columns[i];
                c->name = slice_dup(slice_cstr(columns[i].name));
                c->type_name = slice_dup(slice_cstr(columns[i].name));
                c->type_oid = columns[i].oid;
                c->enum_oid = columns[i].oid == 99999 ? 99999 : 0;
                if (c->enum_oid)
                        c->enum_name = slice_dup(SLICE_LIT("\"public\".\"mood\""));
        }
        return t;
}

/* What stands between the next two backticks; *at moves behind it. */
static bool next_code(const char **at, struct slice *out)
{
        const char *begin = strchr(*at, '`');
        const char *end = begin ? strchr(begin + 1, '`') : NULL;
        if (!end)
                return false;
        *out = slice_of(begin + 1, (size_t)(end - begin - 1));
        *at = end + 1;
        return true;
}

static void check(const struct table *t, struct slice clause, struct slice refusal)
{
        struct slice param = SLICE_LIT("5");
        struct where *w = NULL;
        struct buf why;
        buf_init(&why, 1 << 16);
        int rc = where_compile(clause, t, NULL, &param, 1, &w, &why);
        if (rc != (refusal.len ? ERR_INVAL : 0) || !slice_eq(buf_slice(&why), refusal))
                fail_msg("%.*s: %s", SLICE_FMT(clause), buf_cstr(&why));
        where_free(w);
        buf_fini(&why);
}

static void test_examples(void **state)
{
        (void)state;
        char line[LINE_MAX_BYTES];
        int accepted = 0, refused = 0;
        bool examples = false, refuses = false;
        struct table *t = example_table();
        FILE *f = fopen("docs/where.md", "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                const char *at = line;
                struct slice clause = SLICE_EMPTY, refusal = SLICE_EMPTY;
                examples |= strcmp(line, "## Examples\n") == 0;
                refuses |= strcmp(line, "| clause | refused with |\n") == 0;
                if (!examples || strncmp(line, "| `", 3) != 0)
                        continue;
                assert_true(next_code(&at, &clause));
                if (refuses)
                        assert_true(next_code(&at, &refusal));
                check(t, clause, refusal);
                accepted += !refuses;
                refused += refuses;
        }
        fclose(f);
        table_free(t);
        assert_true(accepted >= LEAST && refused >= LEAST);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
