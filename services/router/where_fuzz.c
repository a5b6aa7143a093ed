/* libFuzzer: a clause and, after zero bytes, a parameter and the texts of a row. Whatever they are:
 * an answer or an error, and the rebuilt SQL compiles to the same SQL. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where.h"
#include "services/router/where_quick.h"
#include "services/router/where_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
        const char *name;
        uint32_t oid;
} columns[] = {{"i", 23},    {"b", 20},    {"f", 701},  {"n", 1700}, {"t", 25},    {"v", 1043},
               {"c", 1042},  {"p", 16},    {"u", 2950}, {"d", 1082}, {"ts", 1114}, {"tz", 1184},
               {"tm", 1083}, {"iv", 1186}, {"nm", 19},  {"r", 700},  {"s", 21},    {"a", 1007},
               {"ta", 1009}, {"o", 600},   {"by", 17},  {"j", 3802}, {"la", 1016}, {"na", 1231},
               {"e", 99999}, {"ea", 99998}};
enum { N_COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static struct table *make_table(void)
{
        struct table *t = table_new(N_COLUMNS, 0);
        t->oid = 1;
        t->kind = 'r';
        t->schema = slice_dup(SLICE_LIT("public"));
        t->name = slice_dup(SLICE_LIT("w"));
        for (uint32_t i = 0; i < N_COLUMNS; i++) {
                t->columns[i].name = slice_dup(slice_cstr(columns[i].name));
                t->columns[i].type_name = slice_dup(SLICE_LIT("x"));
                t->columns[i].type_oid = columns[i].oid;
                if (columns[i].oid != 99998 && columns[i].oid != 99999)
                        continue;
                t->columns[i].enum_oid = 99999;
                t->columns[i].enum_name = slice_dup(SLICE_LIT("\"public\".\"x\""));
                t->columns[i].dims = columns[i].oid == 99998;
        }
        return t;
}

/* What comes before the next zero byte. */
static struct slice next(struct slice *rest)
{
        const char *end = rest->len ? memchr(rest->p, '\0', rest->len) : NULL;
        struct slice part = slice_of(rest->p, end ? (size_t)(end - rest->p) : rest->len);
        *rest = end ? slice_of(end + 1, rest->len - part.len - 1) : SLICE_EMPTY;
        return part;
}

/* What is read the quick way is what libpg_query makes of it. */
static void check_quick(struct slice clause)
{
        struct where_scratch arena;
        struct where_parsed *whole = NULL;
        struct buf why;
        buf_init(&why, 1 << 20);
        where_scratch_init(&arena);
        struct where_parsed *quick = where_parse_quick(clause, &arena);
        if (quick) {
                int rc = where_parse_whole(clause, &arena, &whole, &why);
                SLUICE_ASSERT(rc == 0 && where_parsed_eq(quick, whole));
        }
        where_scratch_fini(&arena);
        buf_fini(&why);
}

static void check_sql(const struct where *w, const struct table *t)
{
        struct buf sql, again, why;
        struct where *other = NULL;
        buf_init(&sql, SIZE_MAX / 2);
        buf_init(&again, SIZE_MAX / 2);
        buf_init(&why, 1 << 20);
        where_sql(w, &sql);
        /* Parentheses and casts make it longer and deeper: it may exceed the limits. */
        if (where_compile(buf_slice(&sql), t, NULL, NULL, 0, &other, &why) == 0) {
                where_sql(other, &again);
                SLUICE_ASSERT(slice_eq(buf_slice(&sql), buf_slice(&again)));
                where_free(other);
        }
        buf_fini(&sql);
        buf_fini(&again);
        buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct table *t;
        struct change_value values[N_COLUMNS];
        struct slice rest = slice_of((const char *)data, size);
        struct slice clause = next(&rest), param = next(&rest);
        struct where *w = NULL;
        struct buf why;
        if (!t)
                t = make_table();
        for (size_t i = 0; i < N_COLUMNS; i++) {
                bool null = rest.len == 0;
                values[i].text = next(&rest);
                values[i].kind = null ? VALUE_NULL : VALUE_TEXT;
        }
        buf_init(&why, 1 << 20);
        int rc = where_compile(clause, t, NULL, &param, 1, &w, &why);
        SLUICE_ASSERT(rc == 0 || rc == ERR_NOTFOUND || (rc == ERR_INVAL && why.len > 0));
        if (rc == 0 || (rc == ERR_INVAL && where_text_is_valid(clause)))
                check_quick(clause);
        if (rc == 0) {
                (void)where_eval(w, (struct row){.values = values, .n = N_COLUMNS});
                check_sql(w, t);
                where_free(w);
        }
        buf_fini(&why);
        return 0;
}
