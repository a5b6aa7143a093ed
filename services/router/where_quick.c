#include "services/router/where_quick.h"

#include <stdlib.h>

enum {
        NAME_MAX_BYTES = 63,
        INT_MAX_DIGITS = 9,
        PARAM_MAX_DIGITS = 4,
        TERMS_MAX = 8,
        LIST_MAX = 64
};

struct reader {
        const char *start, *p, *end;
        struct where_scratch *arena;
};

typedef struct where_parsed parsed;

/* ---- characters */

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* What no name, number or operator goes on with. */
static bool ends_value(const struct reader *r)
{
        return r->p == r->end || is_space(*r->p) || *r->p == ',' || *r->p == ')';
}

static void skip_space(struct reader *r)
{
        while (r->p < r->end && is_space(*r->p))
                r->p++;
}

static bool take(struct reader *r, char c)
{
        if (r->p == r->end || *r->p != c)
                return false;
        r->p++;
        return true;
}

/* A word in lower case that is followed by a space, a parenthesis or the end. */
static bool take_word(struct reader *r, const char *word)
{
        size_t n = strlen(word);
        if ((size_t)(r->end - r->p) < n || strncasecmp(r->p, word, n) != 0)
                return false;
        const char *after = r->p + n;
        if (after < r->end && !is_space(*after) && *after != '(' && *after != ')' && *after != ',')
                return false;
        r->p = after;
        return true;
}

static int location(const struct reader *r)
{
        return (int)(r->p - r->start);
}

static parsed *make(struct reader *r, enum where_parse_kind kind, int at, uint32_t n)
{
        parsed *p = where_alloc(r->arena, sizeof(*p));
        *p = (parsed){.kind = kind, .location = at, .n = n};
        p->args = where_alloc(r->arena, (n + 1) * sizeof(*p->args));
        return p;
}

/* ---- columns */

/* The words of the grammar that cannot stand for a column just so, or that begin something else
 * (Postgres' kwlist.h: all but the unreserved). */
static const char *const keywords[] = {"all",
                                       "analyse",
                                       "analyze",
                                       "and",
                                       "any",
                                       "array",
                                       "as",
                                       "asc",
                                       "asymmetric",
                                       "authorization",
                                       "between",
                                       "bigint",
                                       "binary",
                                       "bit",
                                       "boolean",
                                       "both",
                                       "case",
                                       "cast",
                                       "char",
                                       "character",
                                       "check",
                                       "coalesce",
                                       "collate",
                                       "collation",
                                       "column",
                                       "concurrently",
                                       "constraint",
                                       "create",
                                       "cross",
                                       "current_catalog",
                                       "current_date",
                                       "current_role",
                                       "current_schema",
                                       "current_time",
                                       "current_timestamp",
                                       "current_user",
                                       "dec",
                                       "decimal",
                                       "default",
                                       "deferrable",
                                       "desc",
                                       "distinct",
                                       "do",
                                       "else",
                                       "end",
                                       "except",
                                       "exists",
                                       "extract",
                                       "false",
                                       "fetch",
                                       "float",
                                       "for",
                                       "foreign",
                                       "freeze",
                                       "from",
                                       "full",
                                       "grant",
                                       "greatest",
                                       "group",
                                       "grouping",
                                       "having",
                                       "ilike",
                                       "in",
                                       "initially",
                                       "inner",
                                       "inout",
                                       "int",
                                       "integer",
                                       "intersect",
                                       "interval",
                                       "into",
                                       "is",
                                       "isnull",
                                       "join",
                                       "json",
                                       "json_array",
                                       "json_arrayagg",
                                       "json_exists",
                                       "json_object",
                                       "json_objectagg",
                                       "json_query",
                                       "json_scalar",
                                       "json_serialize",
                                       "json_table",
                                       "json_value",
                                       "lateral",
                                       "leading",
                                       "least",
                                       "left",
                                       "like",
                                       "limit",
                                       "localtime",
                                       "localtimestamp",
                                       "merge_action",
                                       "national",
                                       "natural",
                                       "nchar",
                                       "none",
                                       "normalize",
                                       "not",
                                       "notnull",
                                       "null",
                                       "nullif",
                                       "numeric",
                                       "offset",
                                       "on",
                                       "only",
                                       "or",
                                       "order",
                                       "out",
                                       "outer",
                                       "overlaps",
                                       "overlay",
                                       "placing",
                                       "position",
                                       "precision",
                                       "primary",
                                       "real",
                                       "references",
                                       "returning",
                                       "right",
                                       "row",
                                       "select",
                                       "session_user",
                                       "setof",
                                       "similar",
                                       "smallint",
                                       "some",
                                       "substring",
                                       "symmetric",
                                       "system_user",
                                       "table",
                                       "tablesample",
                                       "then",
                                       "time",
                                       "timestamp",
                                       "to",
                                       "trailing",
                                       "treat",
                                       "trim",
                                       "true",
                                       "union",
                                       "unique",
                                       "user",
                                       "using",
                                       "values",
                                       "varchar",
                                       "variadic",
                                       "verbose",
                                       "when",
                                       "where",
                                       "window",
                                       "with",
                                       "xmlattributes",
                                       "xmlconcat",
                                       "xmlelement",
                                       "xmlexists",
                                       "xmlforest",
                                       "xmlnamespaces",
                                       "xmlparse",
                                       "xmlpi",
                                       "xmlroot",
                                       "xmlserialize",
                                       "xmltable"};

static int by_name(const void *key, const void *word)
{
        return slice_cmp(*(const struct slice *)key, slice_cstr(*(const char *const *)word));
}

static bool is_keyword(struct slice name)
{
        return bsearch(&name, keywords, sizeof(keywords) / sizeof(keywords[0]), sizeof(keywords[0]),
                       by_name);
}

static bool read_word(struct reader *r, struct slice *out)
{
        const char *from = r->p;
        bool upper = false;
        while (r->p < r->end && (is_word_start(*r->p) || is_digit(*r->p))) {
                upper |= *r->p >= 'A' && *r->p <= 'Z';
                r->p++;
        }
        size_t n = (size_t)(r->p - from);
        *out = slice_of(from, n);
        if (n == 0 || n > NAME_MAX_BYTES)
                return false;
        if (upper) {
                char *lower = where_alloc(r->arena, n);
                for (size_t i = 0; i < n; i++)
                        lower[i] =
                                (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] | 0x20 : from[i]);
                *out = slice_of(lower, n);
        }
        return !is_keyword(*out);
}

static bool read_quoted_name(struct reader *r, struct slice *out)
{
        const char *from = ++r->p;
        while (r->p < r->end && *r->p != '"')
                r->p++;
        *out = slice_of(from, (size_t)(r->p - from));
        if (r->p == r->end || out->len == 0 || out->len > NAME_MAX_BYTES)
                return false;
        r->p++;
        return r->p == r->end || *r->p != '"';
}

static parsed *read_column(struct reader *r)
{
        struct slice name;
        int at = location(r);
        bool ok = r->p < r->end && (*r->p == '"'           ? read_quoted_name(r, &name)
                                    : is_word_start(*r->p) ? read_word(r, &name)
                                                           : false);
        if (!ok)
                return NULL;
        parsed *p = make(r, PN_COLUMN, at, 0);
        p->text = name;
        return p;
}

/* ---- values */

static struct slice read_digits(struct reader *r)
{
        const char *from = r->p;
        while (r->p < r->end && is_digit(*r->p))
                r->p++;
        return slice_of(from, (size_t)(r->p - from));
}

static parsed *read_number(struct reader *r)
{
        int at = location(r);
        struct slice digits = read_digits(r);
        if (digits.len > INT_MAX_DIGITS || (digits.len > 1 && digits.p[0] == '0') || !ends_value(r))
                return NULL;
        parsed *p = make(r, PN_INT, at, 0);
        p->text = digits;
        return p;
}

static parsed *read_string(struct reader *r)
{
        int at = location(r);
        const char *from = ++r->p;
        while (r->p < r->end && *r->p != '\'' && *r->p != '\\')
                r->p++;
        struct slice text = slice_of(from, (size_t)(r->p - from));
        if (!take(r, '\'') || !ends_value(r))
                return NULL;
        parsed *p = make(r, PN_STRING, at, 0);
        p->text = text;
        return p;
}

static parsed *read_param(struct reader *r)
{
        int at = location(r), number = 0;
        r->p++;
        struct slice digits = read_digits(r);
        if (digits.len == 0 || digits.len > PARAM_MAX_DIGITS || !ends_value(r))
                return NULL;
        for (size_t i = 0; i < digits.len; i++)
                number = number * 10 + (digits.p[i] - '0');
        parsed *p = make(r, PN_PARAM, at, 0);
        p->number = number;
        return p;
}

static parsed *read_bool(struct reader *r)
{
        int at = location(r);
        bool is_true = take_word(r, "true");
        if (!is_true && !take_word(r, "false"))
                return NULL;
        parsed *p = make(r, PN_BOOL, at, 0);
        p->number = is_true;
        return p;
}

static parsed *read_value(struct reader *r)
{
        if (r->p == r->end)
                return NULL;
        if (is_digit(*r->p))
                return read_number(r);
        if (*r->p == '\'')
                return read_string(r);
        return *r->p == '$' ? read_param(r) : read_bool(r);
}

/* ---- terms */

/* One that nothing else of an operator follows; "" when there is none. */
static const char *read_operator(struct reader *r)
{
        static const struct {
                const char *sign, *name;
        } operators[] = {{"<=", "<="}, {">=", ">="}, {"<>", "<>"}, {"!=", "<>"},
                         {"=", "="},   {"<", "<"},   {">", ">"}};
        for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
                size_t n = strlen(operators[i].sign);
                if ((size_t)(r->end - r->p) <= n || memcmp(r->p, operators[i].sign, n) != 0)
                        continue;
                r->p += n;
                return strchr("+-*/<>=~!@#%^&|`?", *r->p) ? "" : operators[i].name;
        }
        if (take_word(r, "like"))
                return "~~";
        return take_word(r, "ilike") ? "~~*" : "";
}

static parsed *read_list(struct reader *r, parsed *column, int at)
{
        parsed *items[LIST_MAX];
        uint32_t n = 0;
        skip_space(r);
        if (!take(r, '('))
                return NULL;
        do {
                skip_space(r);
                if (n == LIST_MAX || !(items[n++] = read_value(r)))
                        return NULL;
                skip_space(r);
        } while (take(r, ','));
        if (!take(r, ')'))
                return NULL;
        parsed *p = make(r, PN_IN, at, n + 1);
        p->args[0] = column;
        memcpy(p->args + 1, items, n * sizeof(parsed *));
        return p;
}

static parsed *read_null_test(struct reader *r, parsed *column, int at)
{
        skip_space(r);
        bool negated = take_word(r, "not");
        skip_space(r);
        if (!take_word(r, "null"))
                return NULL;
        parsed *p = make(r, PN_NULLTEST, at, 1);
        p->negated = negated;
        p->args[0] = column;
        return p;
}

static parsed *read_term(struct reader *r)
{
        skip_space(r);
        parsed *column = read_column(r);
        skip_space(r);
        int at = location(r);
        if (!column)
                return NULL;
        if (take_word(r, "in"))
                return read_list(r, column, at);
        if (take_word(r, "is"))
                return read_null_test(r, column, at);
        const char *name = read_operator(r);
        skip_space(r);
        parsed *value = name[0] ? read_value(r) : NULL;
        if (!value)
                return NULL;
        parsed *p = make(r, PN_OP, at, 2);
        p->text = slice_cstr(name);
        p->args[0] = column;
        p->args[1] = value;
        return p;
}

parsed *where_parse_quick(struct slice clause, struct where_scratch *arena)
{
        struct reader r = {
                .start = clause.p, .p = clause.p, .end = clause.p + clause.len, .arena = arena};
        parsed *terms[TERMS_MAX];
        uint32_t n = 0;
        int at = 0;
        for (;;) {
                if (n == TERMS_MAX || !(terms[n++] = read_term(&r)))
                        return NULL;
                const char *end = r.p;
                skip_space(&r);
                if (r.p == r.end)
                        break;
                int here = location(&r);
                if (!take_word(&r, "and") || end == r.start + here)
                        return NULL;
                at = n == 1 ? here : at;
        }
        if (n == 1)
                return terms[0];
        parsed *p = make(&r, PN_AND, at, n);
        memcpy(p->args, terms, n * sizeof(parsed *));
        return p;
}
