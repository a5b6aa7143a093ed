#include "services/router/where_doc.h"

#include "services/router/where.h"
#include "services/router/where_check.h"
#include "services/router/where_moment.h"

/* ---- types */

static bool is_listed(enum where_type t)
{
        return t != WT_UNKNOWN && t != WT_TIMETZ && t != WT_OTHER;
}

static bool has_operator(enum where_type t, const char *name)
{
        for (uint32_t i = 0; i < where_n_operators; i++) {
                const struct where_operator *o = &where_operators[i];
                if (o->left == t && o->right == t && strcmp(o->name, name) == 0)
                        return o->is_compare || o->fn;
        }
        return false;
}

/* Varchar has the operators of text. */
static const char *comparisons_of(enum where_type t)
{
        if (t == WT_VARCHAR || has_operator(t, "<"))
                return "all";
        return has_operator(t, "=") ? "`=` `<>`" : "none";
}

static bool is_offered(enum where_type from, enum where_type to, bool implicit)
{
        enum where_cast_kind kind = where_cast_kind(from, to);
        if (from == to || !is_listed(to) || kind == CAST_NONE)
                return false;
        return implicit == (kind == CAST_IMPLICIT);
}

static void put_casts(enum where_type from, bool implicit, struct buf *out)
{
        uint32_t n = 0;
        for (int to = 0; to < WT_COUNT; to++) {
                if (!is_offered(from, (enum where_type)to, implicit))
                        continue;
                bool filtered =
                        where_type_is_string(from) && where_cast_is_filtered((enum where_type)to);
                buf_printf(out, "%s%.*s%s", n++ ? ", " : "",
                           SLICE_FMT(where_type_name((enum where_type)to)), filtered ? "¹" : "");
        }
}

static void put_types(struct buf *out)
{
        buf_puts(out,
                 "### Where types\n\n| type | compared by | becomes by itself | with a cast |\n"
                 "|---|---|---|---|\n");
        for (int t = 0; t < WT_COUNT; t++) {
                if (!is_listed((enum where_type)t))
                        continue;
                buf_printf(out, "| `%.*s` | %s | ", SLICE_FMT(where_type_name((enum where_type)t)),
                           comparisons_of((enum where_type)t));
                put_casts((enum where_type)t, true, out);
                buf_puts(out, " | ");
                put_casts((enum where_type)t, false, out);
                buf_puts(out, " |\n");
        }
}

/* ---- operators and functions */

static void put_name(const char *name, struct buf *out)
{
        buf_putc(out, '`');
        for (; *name; name++) /* a bar ends a cell, between backticks as well */
                buf_puts(out, *name == '|' ? "\\|" : (char[]){*name, '\0'});
        buf_putc(out, '`');
}

static void put_signature(const struct where_operator *o, bool is_function, struct buf *out)
{
        if (o->left != WT_COUNT && (is_function || o->left != o->right)) {
                buf_put_slice(out, where_type_name(o->left));
                buf_puts(out, is_function ? ", " : " · ");
        }
        buf_put_slice(out, where_type_name(o->right));
}

static bool same_row(const struct where_operator *a, const struct where_operator *b)
{
        return strcmp(a->name, b->name) == 0 && (a->left == WT_COUNT) == (b->left == WT_COUNT);
}

static bool is_first(const struct where_operator *table, uint32_t at)
{
        for (uint32_t i = 0; i < at; i++)
                if (same_row(&table[i], &table[at]))
                        return false;
        return true;
}

/* One row for each name: what it takes here, and what Postgres would take besides. */
static void put_signatures(const struct where_operator *table, uint32_t n, uint32_t at, bool ours,
                           bool is_function, struct buf *out)
{
        uint32_t found = 0;
        for (uint32_t i = at; i < n; i++) {
                const struct where_operator *o = &table[i];
                bool is_ours = o->is_compare || o->fn;
                if (!same_row(o, &table[at]) || is_ours != ours || o->right == WT_TIMETZ ||
                    o->left == WT_TIMETZ)
                        continue;
                buf_puts(out, found++ ? "; " : "");
                put_signature(o, is_function, out);
        }
}

/* All comparisons have the pairs of one, but for types without an order: those are said of each
 * type. */
static bool is_told(const struct where_operator *o)
{
        return o->is_compare && o->compare != CMP_LT;
}

static void put_row(const struct where_operator *table, uint32_t n, uint32_t at, bool is_function,
                    struct buf *out)
{
        buf_puts(out, "| ");
        if (table[at].is_compare)
                buf_puts(out, "`=` `<>` `<` `<=` `>` `>=`");
        else
                put_name(table[at].name, out);
        buf_puts(out, table[at].left == WT_COUNT && !is_function ? " (prefix) | " : " | ");
        put_signatures(table, n, at, true, is_function, out);
        buf_puts(out, " | ");
        put_signatures(table, n, at, false, is_function, out);
        buf_puts(out, " |\n");
}

static void put_array_row(bool is_function, struct buf *out)
{
        const char *name;
        buf_puts(out, "| ");
        for (uint32_t i = 0; (name = ck_array_name(is_function, i)); i++) {
                buf_puts(out, i ? " " : "");
                put_name(name, out);
        }
        buf_puts(out, " | arrays | |\n");
}

static void put_table(const char *heading, const struct where_operator *table, uint32_t n,
                      bool is_function, struct buf *out)
{
        buf_printf(out, "\n### %s\n\n| | takes | Postgres alone |\n|---|---|---|\n", heading);
        for (uint32_t at = 0; at < n; at++)
                if (is_first(table, at) && !is_told(&table[at]))
                        put_row(table, n, at, is_function, out);
        put_array_row(is_function, out);
}

static void put_limits(struct buf *out)
{
        static const struct {
                const char *what;
                uint64_t limit;
        } limits[] = {
                {"bytes of a clause", WHERE_MAX_BYTES},
                {"levels of nesting", WHERE_MAX_DEPTH},
                {"operators and operands, counted as often as they are evaluated",
                 WHERE_MAX_WEIGHT},
                {"steps of one evaluation that cost more than their input is long (a pattern with "
                 "many `%`, products of long numbers)",
                 WHERE_MAX_WORK},
                {"bytes of a text that is made", WHERE_TEXT_MAX},
        };
        buf_puts(out, "\n### Where limits\n\n| what | at most |\n|---|---|\n");
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
                buf_printf(out, "| %s | %llu |\n", limits[i].what,
                           (unsigned long long)limits[i].limit);
}

void where_doc(struct buf *out)
{
        put_types(out);
        put_table("Where operators", where_operators, where_n_operators, false, out);
        put_table("Where functions", where_functions, where_n_functions, true, out);
        put_limits(out);
}
