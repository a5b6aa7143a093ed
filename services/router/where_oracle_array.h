/* Arrays in random clauses. */
#ifndef SERVICES_ROUTER_WHERE_ORACLE_ARRAY_H
#define SERVICES_ROUTER_WHERE_ORACLE_ARRAY_H

#include "services/router/where_oracle_clause.h"

static const struct gen_array_kind {
        const char *kind, *type, *elements;
} gen_array_kinds[] = {{"ints", "int4", "number"},  {"texts", "text", "string"},
                       {"longs", "int8", "number"}, {"nums", "numeric", "number"},
                       {"moods", "mood", "mood"},   {"names", "name", "string"}};
enum { GEN_ARRAY_KINDS = sizeof(gen_array_kinds) / sizeof(gen_array_kinds[0]) };

static inline const struct gen_array_kind *gen_array_kind_of(const char *kind)
{
        int i = 0;
        while (strcmp(gen_array_kinds[i].kind, kind) != 0)
                i++;
        return &gen_array_kinds[i];
}

static inline void gen_index(struct gen *g, struct buf *out)
{
        static const char *const indexes[] = {"0",  "1",  "1",    "2",   "2", "3",
                                              "-1", "a4", "NULL", "'1'", "a8"};
        buf_puts(out, indexes[gen_below(g, gen_chance(g, 80) ? 7 : 11)]);
}

static inline void gen_slice(struct gen *g, struct buf *out)
{
        uint32_t n = 1 + gen_below(g, 3);
        for (uint32_t i = 0; i < n; i++) {
                bool is_slice = i == 0 || gen_chance(g, 80);
                buf_putc(out, '[');
                if (!is_slice || gen_chance(g, 70))
                        gen_index(g, out);
                if (is_slice) {
                        buf_putc(out, ':');
                        if (gen_chance(g, 70))
                                gen_index(g, out);
                }
                buf_putc(out, ']');
        }
}

static inline void gen_constructor(struct gen *g, const struct gen_array_kind *k, struct buf *out)
{
        uint32_t n = gen_below(g, 4);
        bool nested = gen_chance(g, 30);
        buf_puts(out, "ARRAY[");
        for (uint32_t i = 0; i < n; i++) {
                if (i)
                        buf_puts(out, ", ");
                if (nested)
                        gen_array(g, k->kind, out);
                else
                        gen_of_kind(g, k->elements, out);
        }
        buf_putc(out, ']');
        if (n == 0 || gen_chance(g, 60))
                buf_printf(out, "::%s%s[]", k->type,
                           strcmp(k->type, "numeric") == 0 && gen_chance(g, 50) ? "(6,1)" : "");
}

static inline void gen_joined(struct gen *g, const struct gen_array_kind *k, struct buf *out)
{
        static const char *const starts[] = {"(", "array_cat(", "array_append(", "array_prepend("};
        uint32_t form = gen_below(g, 4), element = gen_below(g, 3);
        element = form == 2 ? 1 : form == 3 ? 0 : element;
        buf_puts(out, starts[form]);
        for (uint32_t i = 0; i < 2; i++) {
                if (i)
                        buf_puts(out, form ? ", " : " || ");
                if (i == element && form != 1)
                        gen_of_kind(g, k->elements, out);
                else
                        gen_array(g, gen_chance(g, 85) ? k->kind : "longs", out);
        }
        buf_putc(out, ')');
}

static inline void gen_array(struct gen *g, const char *kind, struct buf *out)
{
        const struct gen_array_kind *k = gen_array_kind_of(kind);
        if (g->depth >= GEN_MAX_DEPTH || gen_chance(g, 50)) {
                gen_of_kind(g, k->kind, out);
                return;
        }
        g->depth++;
        if (gen_chance(g, 30)) {
                buf_putc(out, '(');
                gen_array(g, k->kind, out);
                buf_putc(out, ')');
                gen_slice(g, out);
        } else if (gen_chance(g, 50)) {
                gen_joined(g, k, out);
        } else {
                gen_constructor(g, k, out);
        }
        g->depth--;
}

static inline void gen_array_test(struct gen *g, struct buf *out)
{
        static const char *const array_ops[] = {"@>", "<@", "&&", "=", "<>", "<"};
        static const char *const ops[] = {"=", "<>", "<", ">=", "~~", "~~*"};
        const struct gen_array_kind *k = &gen_array_kinds[gen_below(g, GEN_ARRAY_KINDS)];
        switch (gen_below(g, 5)) {
        case 0:
        case 1:
                gen_array(g, k->kind, out);
                buf_printf(out, " %s ", array_ops[gen_below(g, 6)]);
                gen_array(g, k->kind, out);
                return;
        case 2:
                gen_of_kind(g, k->elements, out);
                buf_printf(out, " %s %s (", ops[gen_below(g, 6)],
                           gen_chance(g, 50) ? "ANY" : "ALL");
                gen_array(g, k->kind, out);
                buf_putc(out, ')');
                return;
        case 3:
                buf_puts(out, "array_ndims(");
                gen_array(g, k->kind, out);
                buf_printf(out, ") = %u", gen_below(g, 4));
                return;
        default:
                buf_putc(out, '(');
                gen_array(g, k->kind, out);
                buf_puts(out, ")[");
                gen_index(g, out);
                buf_puts(out, gen_chance(g, 20) ? "][1] = " : "] = ");
                gen_of_kind(g, k->elements, out);
        }
}

#endif
