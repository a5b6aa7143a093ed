/* Judging a definition against its table (protocol §4.2, in the order and words of the reference).
 * Pure. */
#include "services/router/catalog.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/catalog_verdict.h"
#include "services/router/clause.h"
#include "services/router/zone.h"

/* ---- verdicts */

void catalog_answer_init(struct catalog_answer *a)
{
        *a = (struct catalog_answer){0};
        buf_init(&a->body, CATALOG_BODY_MAX_BYTES);
}

void catalog_answer_fini(struct catalog_answer *a)
{
        buf_fini(&a->body);
        table_free(a->table);
        where_free(a->where);
        mem_free(a->columns);
        *a = (struct catalog_answer){0};
}

/* `text` is the fault's message, not yet JSON. */
static void refuse(struct catalog_answer *a, const char *field, const struct buf *text)
{
        a->status = 400;
        a->n_columns = 0;
        buf_reset(&a->body);
        buf_puts(&a->body, "{\"message\":\"Invalid request\",\"errors\":{");
        buf_put_json_string(&a->body, slice_cstr(field));
        buf_puts(&a->body, ":[");
        buf_put_json_string(&a->body, buf_slice(text));
        buf_puts(&a->body, "]}}");
}

/* As the reference prints a string: its quotes and backslashes with a backslash. */
static void put_inspected(struct buf *out, struct slice name)
{
        buf_putc(out, '"');
        for (size_t i = 0; i < name.len; i++) {
                if (name.p[i] == '"' || name.p[i] == '\\')
                        buf_putc(out, '\\');
                buf_putc(out, name.p[i]);
        }
        buf_putc(out, '"');
}

void catalog_refuse_table(struct catalog_answer *a, const struct definition *d)
{
        struct buf text;
        buf_init(&text, CATALOG_BODY_MAX_BYTES);
        buf_puts(&text, "Table ");
        put_inspected(&text, d->schema);
        buf_putc(&text, '.');
        put_inspected(&text, d->table);
        buf_puts(&text, " does not exist. If the table name contains capitals or special "
                        "characters you must quote it.");
        refuse(a, "table", &text);
        buf_fini(&text);
}

void catalog_refuse_zone(struct catalog_answer *a, const struct zone *zone)
{
        struct buf text;
        buf_init(&text, CATALOG_BODY_MAX_BYTES);
        if (zone->power)
                buf_puts(&text, "operator numeric ^ numeric has other digits in this version of "
                                "Postgres");
        else
                buf_printf(&text,
                           "the time zone database (tzdata) of the database's host has other rules "
                           "for \"%.*s\" than that of the router's host",
                           SLICE_FMT(zone->name));
        refuse(a, "where", &text);
        buf_fini(&text);
}

void catalog_refuse_definition(struct catalog_answer *a)
{
        a->status = 400;
        buf_reset(&a->body);
        buf_puts(&a->body, "{\"message\":\"Invalid request\"}");
}

void catalog_unreachable(struct catalog_answer *a)
{
        a->status = 503;
        a->retry_after_s = 1;
        buf_reset(&a->body);
        buf_puts(&a->body, "{\"message\":\"Cannot connect to the database to verify the shape. "
                           "Please try again later.\"}");
}

/* ---- lists of columns */

/* A list that a client gave: `columns` or `queryable_columns`, with its texts. */
struct list_rule {
        const char *field;
        const char *missing, *unknown, *empty;
        bool no_generated;
};

static const struct list_rule columns_rule = {
        .field = "columns",
        .missing = "The list of columns must include all primary key columns, missing: ",
        .unknown = "The following columns are not found on the table: ",
        .empty = "The list of columns must not be empty",
        .no_generated = true};

static const struct list_rule queryable_rule = {
        .field = "queryable_columns",
        .missing = "The list of queryable columns must include all primary key columns, missing: ",
        .unknown = "The following queryable columns are not found on the table: ",
        .empty = "The list of queryable columns must not be empty"};

struct names {
        const struct slice *names;
        uint32_t n;
};

/* Joins names with commas behind the first text. */
struct joined {
        struct buf text;
        uint32_t n;
};

static void joined_init(struct joined *j, const char *prefix)
{
        buf_init(&j->text, CATALOG_BODY_MAX_BYTES);
        buf_puts(&j->text, prefix);
        j->n = 0;
}

static void joined_add(struct joined *j, struct slice name)
{
        if (j->n++ > 0)
                buf_puts(&j->text, ", ");
        buf_put_slice(&j->text, name);
}

/* True when anything was joined: then the definition is refused with it. */
static bool joined_refuse(struct joined *j, const char *field, const char *suffix,
                          struct catalog_answer *out)
{
        bool refused = j->n > 0;
        if (refused) {
                buf_puts(&j->text, suffix);
                refuse(out, field, &j->text);
        }
        buf_fini(&j->text);
        return refused;
}

/* Which of a table's columns a list names, by column index. A list can be far longer than any table
 * is wide, so names are compared with the table's columns, never with one another. Names that are
 * unknown, not in `allowed` (NULL: all are), or said again (§13.1.2) go to
 * `unknown`. */
static bool *pick(struct names list, const struct table *t, const bool *allowed,
                  struct joined *unknown)
{
        bool *set = mem_zalloc(t->n_columns);
        for (uint32_t i = 0; i < list.n; i++) {
                int column = table_find_column(t, list.names[i]);
                if (column < 0 || set[column] || (allowed && !allowed[column]))
                        joined_add(unknown, list.names[i]);
                else
                        set[column] = true;
        }
        return set;
}

/* Without a primary key every column is part of the key. */
static void find_missing_key(const struct table *t, const bool *set, struct joined *missing)
{
        uint32_t n = t->n_pk > 0 ? t->n_pk : t->n_columns;
        for (uint32_t i = 0; i < n; i++) {
                uint32_t column = t->n_pk > 0 ? t->pk[i] : i;
                if (!set[column])
                        joined_add(missing, t->columns[column].name);
        }
}

/* `set`: NULL for all columns. */
static bool has_generated(const struct table *t, const bool *set, const char *suffix,
                          struct catalog_answer *out)
{
        struct joined generated;
        joined_init(&generated, "The following columns are generated and cannot be included in the "
                                "shape: ");
        for (uint32_t i = 0; i < t->n_columns; i++)
                if (t->columns[i].generated && (!set || set[i]))
                        joined_add(&generated, t->columns[i].name);
        return joined_refuse(&generated, columns_rule.field, suffix, out);
}

static bool is_empty(const struct list_rule *rule, struct names list, struct catalog_answer *out)
{
        if (list.n > 0)
                return false;
        struct buf text;
        buf_init(&text, CATALOG_BODY_MAX_BYTES);
        buf_puts(&text, rule->empty);
        refuse(out, rule->field, &text);
        buf_fini(&text);
        return true;
}

/* The columns of a list; NULL when it is refused. */
static bool *judge_list(const struct list_rule *rule, struct names list, const struct table *t,
                        const bool *allowed, struct catalog_answer *out)
{
        struct joined unknown, missing;
        joined_init(&unknown, rule->unknown);
        joined_init(&missing, rule->missing);
        bool *set = pick(list, t, allowed, &unknown);
        find_missing_key(t, set, &missing);
        bool refused = joined_refuse(&missing, rule->field, "", out);
        if (refused)
                buf_fini(&unknown.text);
        else
                refused = joined_refuse(&unknown, rule->field, "", out) ||
                          (rule->no_generated && has_generated(t, set, "", out)) ||
                          is_empty(rule, list, out);
        if (!refused)
                return set;
        mem_free(set);
        return NULL;
}

/* ---- the judgement */

static void select_columns(const struct table *t, const bool *set, struct catalog_answer *out)
{
        out->status = 0;
        out->columns = mem_array(t->n_columns, sizeof(*out->columns));
        for (uint32_t i = 0; i < t->n_columns; i++)
                if (!set || set[i])
                        out->columns[out->n_columns++] = i;
}

/* Everything, or everything that may be queried. */
static void judge_default(const struct table *t, const bool *queryable, struct catalog_answer *out)
{
        static const char hint[] =
                ". You can exclude them from the shape by explicitly listing which columns to "
                "fetch in the 'columns' query param";
        if (!has_generated(t, queryable, queryable ? "" : hint, out))
                select_columns(t, queryable, out);
}

static void judge_columns(const struct definition *d, const struct table *t, const bool *queryable,
                          struct catalog_answer *out)
{
        struct names columns = {d->columns, d->n_columns};
        bool *set = judge_list(&columns_rule, columns, t, queryable, out);
        if (set)
                select_columns(t, set, out);
        mem_free(set);
}

/* ---- the clause */

static const struct {
        enum collation needs;
        const char *text;
} collation_rules[] = {
        {COLLATION_EQUAL_BYTES, "columns with a nondeterministic collation are not supported in "
                                "this context"},
        {COLLATION_BYTEWISE, "comparing the order of strings is only supported with the "
                             "collations C, POSIX and C.UTF-8"},
        {COLLATION_UTF8_CASE, "lower, upper and ILIKE are only supported with the libc locales of "
                              "UTF-8 that have the common rules of upper and lower case"},
};

/* What all columns that the clause reads have; without any, what all of the table's have. */
static unsigned collation_of(const struct where *w, const struct table *t)
{
        unsigned used = COLLATION_ALL, all = COLLATION_ALL;
        bool uses_any = false;
        for (uint32_t i = 0; i < t->n_columns; i++) {
                all &= t->columns[i].collation;
                if (!where_uses(w, i))
                        continue;
                used &= t->columns[i].collation;
                uses_any = true;
        }
        return uses_any ? used : all;
}

/* Of what the evaluator cannot do as this database does it, the text; NULL: nothing. */
static const char *judge_collation(const struct where *w, const struct table *t)
{
        unsigned needs = COLLATION_EQUAL_BYTES, has = collation_of(w, t);
        if (where_needs_bytewise_collation(w))
                needs |= COLLATION_BYTEWISE;
        if (where_needs_utf8_ctype(w))
                needs |= COLLATION_UTF8_CASE;
        for (size_t i = 0; i < sizeof(collation_rules) / sizeof(*collation_rules); i++)
                if (collation_rules[i].needs & needs & ~has)
                        return collation_rules[i].text;
        return NULL;
}

static void judge_where(const struct definition *d, const struct table *t,
                        struct catalog_answer *out)
{
        struct buf why;
        buf_init(&why, CATALOG_BODY_MAX_BYTES);
        int err = clause_compile(d, t, &out->where, &why);
        if (err) {
                refuse(out, "where", &why);
        } else if (out->where) {
                const char *fault = judge_collation(out->where, t);
                if (fault) {
                        buf_puts(&why, fault);
                        refuse(out, "where", &why);
                }
        }
        buf_fini(&why);
}

void catalog_judge(const struct definition *d, const struct table *t, struct catalog_answer *out)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        SLUICE_ASSERT(out->columns == NULL);
        struct names names = {d->queryable, d->n_queryable};
        bool *queryable = NULL;
        if (d->has_queryable) {
                queryable = judge_list(&queryable_rule, names, t, NULL, out);
                if (!queryable)
                        return;
        }
        if (d->has_columns)
                judge_columns(d, t, queryable, out);
        else
                judge_default(t, queryable, out);
        mem_free(queryable);
        if (out->status == 0)
                judge_where(d, t, out);
}
