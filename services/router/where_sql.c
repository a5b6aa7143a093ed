/* SQL from the checked tree. Every operator is in parentheses, every constant is a quoted literal
 * with its type: nothing is left to Postgres' resolution or to the client's spelling. */
#include "services/router/where_node.h"

#include "common/base/assert.h"
#include "services/router/where_moment.h"

typedef struct where_node node;

static void put(const node *n, const struct table *t, struct buf *out);

void where_put_identifier(struct slice name, struct buf *out)
{
        buf_putc(out, '"');
        for (size_t i = 0; i < name.len; i++) {
                if (name.p[i] == '"')
                        buf_putc(out, '"');
                buf_putc(out, name.p[i]);
        }
        buf_putc(out, '"');
}

/* With backslashes it is an E literal: that reads the same whatever standard_conforming_strings is.
 */
static void put_quoted(struct slice text, struct buf *out)
{
        if (text.len && memchr(text.p, '\\', text.len))
                buf_puts(out, "E");
        buf_putc(out, '\'');
        for (size_t i = 0; i < text.len; i++) {
                if (text.p[i] == '\'' || text.p[i] == '\\')
                        buf_putc(out, text.p[i]);
                buf_putc(out, text.p[i]);
        }
        buf_putc(out, '\'');
}

/* `column` has the enum, if it is one. */
static void put_type(enum where_type type, uint32_t column, const struct table *t, struct buf *out)
{
        buf_puts(out, "::");
        if (where_type_element(type) != WT_ENUM) {
                buf_put_slice(out, where_type_name(type));
                return;
        }
        buf_put_slice(out, t->columns[column].enum_name);
        buf_puts(out, where_type_is_array(type) ? "[]" : "");
}

static void put_const(enum where_type type, const struct where_value *v, uint32_t column,
                      const struct table *t, struct buf *out)
{
        if (v->null) {
                buf_puts(out, "NULL");
        } else {
                struct buf text;
                buf_init(&text, out->max);
                where_value_print(type, v, &text);
                put_quoted(buf_slice(&text), out);
                buf_fini(&text);
        }
        put_type(type, column, t, out);
}

/* args[0] word args[1] word … */
static void put_joined(const node *n, const char *word, const struct table *t, struct buf *out)
{
        buf_putc(out, '(');
        for (uint32_t i = 0; i < n->n; i++) {
                if (i)
                        buf_printf(out, " %s ", word);
                put(n->args[i], t, out);
        }
        if (n->n == 0)
                buf_puts(out, "true");
        buf_putc(out, ')');
}

static void put_test(const node *n, const char *what, const struct table *t, struct buf *out)
{
        buf_putc(out, '(');
        put(n->args[0], t, out);
        buf_printf(out, " IS %s%s)", n->negated ? "NOT " : "", what);
}

static void put_in(const node *n, const struct table *t, struct buf *out)
{
        const struct where_list *l = n->list;
        const struct where_value null = {.null = true};
        buf_putc(out, '(');
        put(n->args[0], t, out);
        buf_puts(out, n->negated ? " NOT IN (" : " IN (");
        for (uint32_t i = 0; i < l->n; i++) {
                if (i)
                        buf_puts(out, ", ");
                put_const(l->type, &l->values[i], n->args[0]->column, t, out);
        }
        for (uint32_t i = l->n; l->has_null && i < l->n + 1 + (l->n == 0); i++) {
                if (i) /* two when there is nothing else: one would be = NULL */
                        buf_puts(out, ", ");
                put_const(l->type, &null, n->args[0]->column, t, out);
        }
        buf_puts(out, "))");
}

static void put_function(const node *n, const char *name, const struct table *t, struct buf *out)
{
        buf_printf(out, "%s(", name);
        for (uint32_t i = 0; i < n->n; i++) {
                if (i)
                        buf_puts(out, ", ");
                put(n->args[i], t, out);
        }
        buf_putc(out, ')');
}

static void put_call(const node *n, const struct table *t, struct buf *out)
{
        if (n->is_function) {
                put_function(n, n->name, t, out);
                return;
        }
        if (n->n == 2) {
                put_joined(n, n->name, t, out);
                return;
        }
        buf_printf(out, "(%s ", n->name);
        put(n->args[0], t, out);
        buf_putc(out, ')');
}

static void put_any(const node *n, const char *op, const struct table *t, struct buf *out)
{
        buf_putc(out, '(');
        put(n->args[0], t, out);
        buf_printf(out, " %s %s (", op, n->negated ? "ALL" : "ANY");
        put(n->args[1], t, out);
        buf_puts(out, "))");
}

static void put_array(const node *n, const struct table *t, struct buf *out)
{
        buf_puts(out, "ARRAY[");
        for (uint32_t i = 0; i < n->n; i++) {
                if (i)
                        buf_puts(out, ", ");
                put(n->args[i], t, out);
        }
        buf_putc(out, ']');
        put_type(n->type, n->column, t, out);
}

static void put_subscript(const node *n, const struct table *t, struct buf *out)
{
        buf_putc(out, '(');
        put(n->args[0], t, out);
        buf_putc(out, ')');
        for (uint32_t i = 1; i < n->n; i++) {
                buf_putc(out, '[');
                put(n->args[i], t, out);
                buf_putc(out, ']');
        }
}

static void put_slice(const node *n, const struct table *t, struct buf *out)
{
        buf_putc(out, '(');
        put(n->args[0], t, out);
        buf_putc(out, ')');
        for (uint32_t i = 1; i < n->n; i++) {
                buf_putc(out, i % 2 ? '[' : ':');
                if (!(n->left_out >> i & 1))
                        put(n->args[i], t, out);
                if (i % 2 == 0)
                        buf_putc(out, ']');
        }
}

static void put_modified(const node *n, const struct table *t, struct buf *out)
{
        enum where_type type = where_type_element(n->type);
        buf_putc(out, '(');
        put(n->args[0], t, out);
        buf_puts(out, ")::");
        buf_put_slice(out, where_type_name(type));
        where_modifier_print(type, n->modifier, out);
        buf_puts(out, where_type_is_array(n->type) ? "[]" : "");
}

/* To a type whose input function takes more than is judged here (where_moment.h): what is not
 * becomes a text that it does not take. A bpchar keeps its blanks, which a cast to text would cut.
 */
static void put_filtered_cast(const node *n, const struct table *t, struct buf *out)
{
        bool padded = n->args[0]->type == WT_BPCHAR;
        struct buf pattern;
        buf_init(&pattern, 1 << 16);
        buf_printf(&pattern, "^(?!%s)", where_cast_filter(n->type));
        buf_printf(out, "(pg_catalog.regexp_replace(%s(",
                   padded ? "pg_catalog.textin(pg_catalog.bpcharout" : "(");
        put(n->args[0], t, out);
        buf_puts(out, padded ? "))" : ")::text)");
        buf_puts(out, " COLLATE \"C\", ");
        put_quoted(buf_slice(&pattern), out);
        buf_puts(out, ", 'not decided here: ', 'i'))::");
        buf_put_slice(out, where_type_name(n->type));
        buf_fini(&pattern);
}

static void put_cast(const node *n, const struct table *t, struct buf *out)
{
        if (where_type_is_string(n->args[0]->type) && where_cast_is_filtered(n->type)) {
                put_filtered_cast(n, t, out);
                return;
        }
        buf_putc(out, '(');
        put(n->args[0], t, out);
        buf_puts(out, ")::");
        buf_put_slice(out, where_type_name(n->type));
}

static void put(const node *n, const struct table *t, struct buf *out)
{
        static const char *const compare[] = {[CMP_EQ] = "=",  [CMP_NE] = "<>", [CMP_LT] = "<",
                                              [CMP_LE] = "<=", [CMP_GT] = ">",  [CMP_GE] = ">="};
        static const char *const truth[] = {
                [TRUTH_TRUE] = "TRUE", [TRUTH_FALSE] = "FALSE", [TRUTH_UNKNOWN] = "UNKNOWN"};
        switch (n->kind) {
        case ND_CONST:
                put_const(n->type, &n->value, n->column, t, out);
                return;
        case ND_COLUMN:
                where_put_identifier(t->columns[n->column].name, out);
                return;
        case ND_AND:
                put_joined(n, "AND", t, out);
                return;
        case ND_OR:
                put_joined(n, "OR", t, out);
                return;
        case ND_NOT:
                buf_puts(out, "(NOT ");
                put(n->args[0], t, out);
                buf_putc(out, ')');
                return;
        case ND_NULLTEST:
                put_test(n, "NULL", t, out);
                return;
        case ND_BOOLTEST:
                put_test(n, truth[n->test], t, out);
                return;
        case ND_DISTINCT:
                put_joined(n, n->negated ? "IS NOT DISTINCT FROM" : "IS DISTINCT FROM", t, out);
                return;
        case ND_COMPARE:
        case ND_SAME:
                put_joined(n, compare[n->compare], t, out);
                return;
        case ND_CAST:
                put_cast(n, t, out);
                return;
        case ND_MODIFY:
                put_modified(n, t, out);
                return;
        case ND_CALL:
                put_call(n, t, out);
                return;
        case ND_ANY:
                put_any(n, n->cmp ? compare[n->compare] : n->name, t, out);
                return;
        case ND_ARRAY:
                put_array(n, t, out);
                return;
        case ND_SUBSCRIPT:
                put_subscript(n, t, out);
                return;
        case ND_SLICE:
                put_slice(n, t, out);
                return;
        case ND_CONCAT:
                put_function(n, "concat", t, out);
                return;
        case ND_COALESCE:
        case ND_GREATEST:
        case ND_LEAST:
                put_function(n, n->name, t, out);
                return;
        case ND_IN:
                put_in(n, t, out);
                return;
        default:
                SLUICE_ASSERT(!"a kind of node");
        }
}

void where_node_sql(const struct where_node *n, const struct table *t, struct buf *out)
{
        put(n, t, out);
}
