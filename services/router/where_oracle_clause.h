/* The grammar of random clauses. */
#ifndef SERVICES_ROUTER_WHERE_ORACLE_CLAUSE_H
#define SERVICES_ROUTER_WHERE_ORACLE_CLAUSE_H

#include <stdio.h>

#include "services/router/where_oracle_moment.h"
#include "services/router/where_oracle_zone.h"

enum { GEN_MAX_DEPTH = 4 };

static inline void gen_bool(struct gen *g, struct buf *out);

static inline uint32_t gen_any_column(struct gen *g)
{
        return 1 + gen_below(g, gen_n_columns() - 1);
}

static inline uint32_t gen_column_like(struct gen *g, uint32_t column)
{
        for (;;) {
                uint32_t c = gen_any_column(g);
                if (strcmp(gen_columns[c].kind, gen_columns[column].kind) == 0)
                        return c;
        }
}

static inline const char *gen_base_type(uint32_t column)
{
        static char name[32];
        snprintf(name, sizeof(name), "%s", gen_columns[column].type);
        name[strcspn(name, "(")] = '\0';
        return strcmp(name, "char") == 0 ? "bpchar" : name;
}

static inline void gen_number(struct gen *g, struct buf *out)
{
        static const char *const numbers[] = {"0",
                                              "1",
                                              "-1",
                                              "2",
                                              "3",
                                              "1.5",
                                              "-0.5",
                                              "1.10",
                                              "2.500",
                                              "0.1",
                                              "1e2",
                                              "32768",
                                              "3000000000",
                                              "-2147483648",
                                              "9007199254740993",
                                              "9223372036854775808",
                                              "12345678901234567890.123456789"};
        buf_puts(out, numbers[gen_below(g, sizeof(numbers) / sizeof(numbers[0]))]);
}

static inline bool gen_is_kind(uint32_t column, const char *kind)
{
        return strcmp(gen_columns[column].kind, kind) == 0;
}

static inline void gen_operand(struct gen *g, uint32_t column, struct buf *out);
/* where_oracle_array.h */
static inline void gen_array_test(struct gen *g, struct buf *out);
static inline void gen_array(struct gen *g, const char *kind, struct buf *out);

static inline void gen_arithmetic(struct gen *g, uint32_t column, struct buf *out)
{
        static const char *const binary[] = {"+", "-", "*", "/", "+", "-",
                                             "*", "/", "^", "&", "|", "#"};
        static const char *const unary[] = {"-", "+", "@", "~", "|/"};
        buf_putc(out, '(');
        if (gen_chance(g, 25)) {
                buf_printf(out, "%s ", unary[gen_below(g, 5)]);
        } else {
                gen_operand(g, column, out);
                buf_printf(out, " %s ", binary[gen_below(g, 12)]);
        }
        gen_operand(g, column, out);
        buf_putc(out, ')');
}

/* Half of them digit by digit. */
static inline void gen_power(struct gen *g, struct buf *out)
{
        static const char *const some[] = {
                "n",      "n2",   "0.5",  "2.0",    "-1.5", "3.0",   "n",  "10.0",
                "0.3333", "17.0", "-2.0", "1.0001", "0.0",  "-0.25", "n2", "'NaN'::numeric",
                "100.00", "7.25"};
        enum { N = sizeof(some) / sizeof(some[0]) };
        buf_printf(out, "(%s ^ %s)%s", some[gen_below(g, N)], some[gen_below(g, N)],
                   gen_chance(g, 50) ? "::text" : "");
}

static inline void gen_string_function(struct gen *g, uint32_t column, struct buf *out)
{
        static const char *const names[] = {"lower(",    "upper(",    "concat(",
                                            "coalesce(", "greatest(", "least("};
        uint32_t name = gen_below(g, 7), n = name < 2 ? 1 : 1 + gen_below(g, 3);
        if (name == 6) {
                buf_putc(out, '(');
                gen_operand(g, gen_chance(g, 70) ? column : gen_any_column(g), out);
                buf_puts(out, " || ");
                n = 1;
                if (gen_chance(g, 20))
                        column = gen_any_column(g);
        } else {
                buf_puts(out, names[name]);
        }
        for (uint32_t i = 0; i < n; i++) {
                if (i)
                        buf_puts(out, ", ");
                gen_operand(g, name == 2 ? gen_any_column(g) : column, out);
        }
        buf_putc(out, ')');
}

static inline void gen_common(struct gen *g, uint32_t column, struct buf *out)
{
        static const char *const names[] = {"coalesce(", "greatest(", "least("};
        buf_puts(out, names[gen_below(g, 3)]);
        gen_operand(g, column, out);
        buf_puts(out, ", ");
        gen_operand(g, column, out);
        buf_putc(out, ')');
}

/* One of the columns of a kind, or a typed sample. */
static inline void gen_of_kind(struct gen *g, const char *kind, struct buf *out)
{
        uint32_t c = gen_any_column(g);
        while (!gen_is_kind(c, kind))
                c = gen_any_column(g);
        if (gen_chance(g, 40))
                buf_puts(out, gen_columns[c].name);
        else if (gen_chance(g, 40))
                buf_puts(out, gen_sample(g, c));
        else
                buf_printf(out, "%s::%s", gen_sample(g, c), gen_base_type(c));
}

static inline void gen_time_sum(struct gen *g, uint32_t column, struct buf *out)
{
        static const char *const kinds[] = {"time", "clock", "interval", "interval", "number"};
        const char *mine = gen_columns[column].kind;
        const char *other = kinds[gen_below(g, 5)];
        bool swap = gen_chance(g, 30);
        buf_putc(out, '(');
        gen_of_kind(g, swap ? other : mine, out);
        buf_printf(out, " %c ", gen_chance(g, 15) ? '*' : gen_chance(g, 50) ? '+' : '-');
        gen_of_kind(g, swap ? mine : other, out);
        buf_putc(out, ')');
}

static inline void gen_time_function(struct gen *g, uint32_t column, struct buf *out)
{
        static const char *const names[] = {"justify_days(", "justify_hours(", "justify_interval("};
        if (gen_is_kind(column, "interval")) {
                buf_puts(out, gen_chance(g, 20) ? "(- " : names[gen_below(g, 3)]);
                gen_operand(g, column, out);
                buf_putc(out, ')');
                return;
        }
        buf_putc(out, '(');
        if (gen_is_kind(column, "time") && gen_chance(g, 60)) {
                const struct gen_zone *z = gen_zone(g);
                gen_zone_operand(g, z, out);
                if (gen_chance(g, 5))
                        buf_puts(out, " AT TIME ZONE NULL)");
                else
                        buf_printf(out, " AT TIME ZONE '%s')", z->name);
                return;
        }
        gen_operand(g, column, out);
        static const char *const zones[] = {"'UTC'",
                                            "'gmt'",
                                            "'+05:30'",
                                            "'-3'",
                                            "'UTC+12'",
                                            "'GMT-00:00:01'",
                                            "'utc-9:30'",
                                            "INTERVAL '05:30'",
                                            "INTERVAL '-00:00:01.5'",
                                            "iv",
                                            "'Europe/Berlin'"};
        buf_printf(out, " AT TIME ZONE %s)", zones[gen_below(g, 11)]);
}

static inline bool gen_is_temporal(uint32_t column)
{
        return gen_is_kind(column, "time") || gen_is_kind(column, "clock") ||
               gen_is_kind(column, "interval");
}

/* A cast with a modifier to a type of the kind. */
static inline void gen_modified(struct gen *g, uint32_t column, struct buf *out)
{
        static const struct {
                const char *kind, *type;
        } types[] = {
                {"number", "numeric(5,2)"}, {"number", "numeric(3)"}, {"number", "numeric(40,10)"},
                {"number", "numeric(4,4)"}, {"string", "varchar(2)"}, {"string", "char(3)"},
                {"string", "char"},         {"string", "bpchar(5)"},  {"string", "varchar(1)"},
                {"time", "timestamp(0)"},   {"time", "timestamp(3)"}, {"time", "timestamptz(1)"},
                {"clock", "time(0)"},       {"clock", "time(2)"},     {"interval", "interval(0)"},
                {"interval", "interval(3)"}};
        uint32_t n = sizeof(types) / sizeof(types[0]), i = gen_below(g, n);
        for (uint32_t tried = 0; tried < n && !gen_is_kind(column, types[i].kind); tried++)
                i = (i + 1) % n;
        buf_putc(out, '(');
        gen_operand(g, gen_chance(g, 80) ? column : gen_any_column(g), out);
        buf_printf(out, ")::%s", types[i].type);
}

static inline void gen_compound(struct gen *g, uint32_t column, struct buf *out)
{
        g->depth++;
        if (gen_chance(g, 12)) {
                gen_modified(g, column, out);
                g->depth--;
                return;
        }
        if (gen_is_kind(column, "number") && gen_chance(g, 10))
                gen_power(g, out);
        else if (gen_is_kind(column, "number") && gen_chance(g, 75))
                gen_arithmetic(g, column, out);
        else if (gen_is_kind(column, "string"))
                gen_string_function(g, column, out);
        else if (gen_is_temporal(column) && gen_chance(g, 60))
                gen_time_sum(g, column, out);
        else if (gen_is_temporal(column) && gen_chance(g, 60))
                gen_time_function(g, column, out);
        else
                gen_common(g, column, out);
        g->depth--;
}

/* Something of the column's kind. */
static inline void gen_operand(struct gen *g, uint32_t column, struct buf *out)
{
        static const char *const casts[] = {
                "int4",      "int8",        "int2",     "numeric", "float8", "float4", "text",
                "bool",      "varchar",     "bpchar",   "name",    "uuid",   "date",   "time",
                "timestamp", "timestamptz", "interval", "bytea",   "jsonb"};
        uint32_t other = gen_column_like(g, column);
        if (gen_columns[column].type[strlen(gen_columns[column].type) - 1] == ']' &&
            gen_chance(g, 50)) {
                gen_array(g, gen_columns[column].kind, out);
                return;
        }
        if (g->depth < GEN_MAX_DEPTH && gen_chance(g, 25)) {
                gen_compound(g, column, out);
                return;
        }
        if (gen_is_temporal(column) && gen_chance(g, 15)) {
                gen_text_cast(g, gen_columns[column].kind, out);
                return;
        }
        if (gen_is_kind(column, "string") && gen_chance(g, 8)) {
                buf_puts(out, gen_chance(g, 70) ? "en::text" : "en::varchar");
                return;
        }
        switch (gen_below(g, 12)) {
        case 0:
        case 1:
        case 2:
        case 3:
                buf_puts(out, gen_columns[other].name);
                return;
        case 4:
        case 5:
        case 6:
                buf_puts(out, gen_sample(g, column));
                return;
        case 7:
                buf_printf(out, "%s::%s", gen_sample(g, other), gen_base_type(other));
                return;
        case 8:
        case 9:
                if (strcmp(gen_columns[column].kind, "number") == 0)
                        gen_number(g, out);
                else
                        buf_puts(out, gen_sample(g, other));
                return;
        case 10:
                buf_puts(out, gen_chance(g, 50) ? "NULL" : gen_columns[other].name);
                return;
        default:
                buf_printf(out, "%s::%s", gen_columns[gen_any_column(g)].name,
                           casts[gen_below(g, sizeof(casts) / sizeof(casts[0]))]);
                return;
        }
}

static inline void gen_comparison(struct gen *g, struct buf *out)
{
        static const char *const ops[] = {"=", "=", "<>", "<", "<=", ">", ">=", "!="};
        uint32_t c = gen_any_column(g);
        gen_operand(g, c, out);
        buf_printf(out, " %s ", ops[gen_below(g, 8)]);
        gen_operand(g, c, out);
}

static inline void gen_like(struct gen *g, struct buf *out)
{
        static const char *const ops[] = {"LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", "ILIKE"};
        static const char *const parts[] = {"%",  "_",    "a",     "b",     "A", "B", "ä", "Ä",
                                            "日", "\\\\", "\\\\%", "\\\\_", " ", "%", "😀", "ß"};
        uint32_t c = gen_any_column(g), n = gen_below(g, 5);
        while (!gen_is_kind(c, "string"))
                c = gen_any_column(g);
        bool call = gen_chance(g, 10);
        if (call)
                buf_puts(out, gen_chance(g, 50) ? "like(" : "notlike(");
        gen_operand(g, c, out);
        buf_printf(out, " %s ", call ? "," : ops[gen_below(g, 5)]);
        if (gen_chance(g, 15)) {
                gen_operand(g, c, out);
        } else {
                buf_puts(out, "E'");
                for (uint32_t i = 0; i < n; i++)
                        buf_puts(out, parts[gen_below(g, 16)]);
                buf_putc(out, '\'');
        }
        static const char *const escapes[] = {"'a'",     "'%'",  "''",   "'ab'",
                                              "E'\\\\'", "'日'", "NULL", "v"};
        if (call)
                buf_putc(out, ')');
        else if (gen_chance(g, 20))
                buf_printf(out, " ESCAPE %s", escapes[gen_below(g, 8)]);
}

static inline void gen_list(struct gen *g, struct buf *out)
{
        uint32_t c = gen_any_column(g), n = 1 + gen_below(g, 5);
        gen_operand(g, c, out);
        buf_puts(out, gen_chance(g, 40) ? " NOT IN (" : " IN (");
        for (uint32_t i = 0; i < n; i++) {
                if (i)
                        buf_puts(out, ", ");
                gen_operand(g, c, out);
        }
        buf_putc(out, ')');
}

static inline void gen_between(struct gen *g, struct buf *out)
{
        uint32_t c = gen_any_column(g);
        gen_operand(g, c, out);
        buf_printf(out, " %sBETWEEN %s", gen_chance(g, 40) ? "NOT " : "",
                   gen_chance(g, 30) ? "SYMMETRIC " : "");
        gen_operand(g, c, out);
        buf_puts(out, " AND ");
        gen_operand(g, c, out);
}

static inline void gen_test(struct gen *g, struct buf *out)
{
        static const char *const tests[] = {"IS TRUE",      "IS NOT TRUE", "IS FALSE",
                                            "IS NOT FALSE", "IS UNKNOWN",  "IS NOT UNKNOWN"};
        uint32_t c = gen_any_column(g);
        switch (gen_below(g, 5)) {
        case 0:
                buf_printf(out, "%s IS %sNULL", gen_columns[c].name,
                           gen_chance(g, 50) ? "NOT " : "");
                return;
        case 1:
                gen_operand(g, c, out);
                buf_printf(out, " IS %sDISTINCT FROM ", gen_chance(g, 50) ? "NOT " : "");
                gen_operand(g, c, out);
                return;
        case 2:
                buf_printf(out, "(%s, %s) IS %sNULL", gen_columns[c].name,
                           gen_columns[gen_any_column(g)].name, gen_chance(g, 50) ? "NOT " : "");
                return;
        default:
                buf_putc(out, '(');
                gen_bool(g, out);
                buf_printf(out, ") %s", tests[gen_below(g, 6)]);
                return;
        }
}

static inline void gen_logic(struct gen *g, struct buf *out)
{
        uint32_t n = 2 + gen_below(g, 2);
        const char *word = gen_chance(g, 50) ? "AND" : "OR";
        for (uint32_t i = 0; i < n; i++) {
                if (i)
                        buf_printf(out, " %s ", word);
                if (gen_chance(g, 20))
                        buf_puts(out, "NOT ");
                buf_putc(out, '(');
                gen_bool(g, out);
                buf_putc(out, ')');
        }
}

static inline void gen_bool(struct gen *g, struct buf *out)
{
        uint32_t kind = gen_below(g, 10);
        if (g->depth >= GEN_MAX_DEPTH && kind >= 7)
                kind = 0;
        g->depth++;
        if (kind < 2)
                gen_comparison(g, out);
        else if (kind == 2 && gen_chance(g, 50))
                gen_like(g, out);
        else if (kind == 2)
                gen_array_test(g, out);
        else if (kind == 3)
                gen_list(g, out);
        else if (kind == 4 && gen_chance(g, 40))
                gen_zone_test(g, out);
        else if (kind == 4)
                gen_between(g, out);
        else if (kind == 5)
                gen_test(g, out);
        else if (kind == 6)
                buf_puts(out, gen_chance(g, 50) ? "p" : "q");
        else
                gen_logic(g, out);
        g->depth--;
}

static inline void gen_clause(struct gen *g, struct buf *out)
{
        gen_bool(g, out);
}

/* The two halves of one grammar. */
#include "services/router/where_oracle_array.h"

#endif
