/* Reads a table of knobs. Every source of values goes through set_value(), so a default, a variable
 * and a flag are checked by the same rule. All mistakes are collected: a person fixes them in one
 * go.
 *
 * An empty environment variable counts as unset: compose files and manifests make them by accident.
 * A flag that is given empty (`--x=`) means what it says.
 *
 * Values are echoed only for numbers: strings and URLs may be secrets, and an argument that stands
 * where none is expected may be one too. */
#include "common/conf/conf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/slice.h"

struct unit {
        const char *suffix;
        uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {
        {"", 1},       {"ms", 1},        {"msec", 1},        {"s", 1000},
        {"sec", 1000}, {"m", 60 * 1000}, {"min", 60 * 1000}, {NULL, 0},
};
static const struct unit byte_units[] = {
        {"", 1}, {"k", 1024}, {"m", 1024 * 1024}, {"g", 1024 * 1024 * 1024}, {NULL, 0},
};

static const char *const type_words[] = {
        [KNOB_STR] = "text",
        [KNOB_U64] = "a whole number",
        [KNOB_BOOL] = "true or false",
        [KNOB_DURATION] = "a duration such as 500ms, 20s or 2m",
        [KNOB_BYTES] = "a number of bytes such as 4096, 64k, 16m or 2g",
        [KNOB_URL] = "a URL",
};

/* ---- values */

static int parse_number(const char *text, const struct unit *units, uint64_t *out)
{
        size_t digits = strspn(text, "0123456789");
        uint64_t value;
        int err = slice_parse_u64(slice_of(text, digits), &value);
        if (err)
                return err;
        for (const struct unit *u = units; u->suffix; u++)
                if (strcasecmp(text + digits, u->suffix) == 0)
                        return __builtin_mul_overflow(value, u->factor, out) ? ERR_RANGE : 0;
        return ERR_FORMAT;
}

static int parse_bool(const char *text, bool *out)
{
        if (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0)
                *out = true;
        else if (strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0)
                *out = false;
        else
                return ERR_FORMAT;
        return 0;
}

static const struct unit *units_of(enum knob_type type)
{
        switch (type) {
        case KNOB_DURATION:
                return duration_units;
        case KNOB_BYTES:
                return byte_units;
        case KNOB_U64:
                return no_units;
        case KNOB_STR:
        case KNOB_BOOL:
        case KNOB_URL:
                break;
        }
        return NULL;
}

/* A maximum of 0 is none. */
static bool in_range(const struct knob *k, uint64_t value)
{
        return value >= k->min && (k->max == 0 || value <= k->max);
}

static void complain_range(const struct knob *k, const char *name, struct buf *why)
{
        buf_printf(why, "%s: out of range, must be at least %" PRIu64, name, k->min);
        if (k->max)
                buf_printf(why, " and at most %" PRIu64, k->max);
        buf_puts(why, k->type == KNOB_DURATION ? " ms\n"
                      : k->type == KNOB_BYTES  ? " bytes\n"
                                               : "\n");
}

static void complain_format(const struct knob *k, const char *name, const char *text,
                            struct buf *why)
{
        buf_printf(why, "%s: \"%.40s\" is not %s\n", name, text, type_words[k->type]);
}

static void set_number(const struct knob *k, const char *name, const char *text, void *at,
                       struct buf *why)
{
        uint64_t value;
        int err = parse_number(text, units_of(k->type), &value);
        if (err == 0 && !in_range(k, value))
                err = ERR_RANGE;
        if (err == 0)
                memcpy(at, &value, sizeof(value));
        else if (err == ERR_RANGE)
                complain_range(k, name, why);
        else
                complain_format(k, name, text, why);
}

/* `name` is how the person spelled the knob: variable, alias or flag. */
static void set_value(const struct knob *k, const char *name, const char *text, void *out,
                      struct buf *why)
{
        void *at = (char *)out + k->at;
        switch (k->type) {
        case KNOB_STR:
        case KNOB_URL:
                memcpy(at, &text, sizeof(text));
                return;
        case KNOB_BOOL: {
                bool value;
                if (parse_bool(text, &value) == 0)
                        memcpy(at, &value, sizeof(value));
                else
                        complain_format(k, name, text, why);
                return;
        }
        case KNOB_U64:
        case KNOB_DURATION:
        case KNOB_BYTES:
                set_number(k, name, text, at, why);
                return;
        }
}

/* ---- sources */

static const char *env_value(char **environ_, struct slice name)
{
        for (char **e = environ_; name.len && e && *e; e++)
                if (strncmp(*e, name.p, name.len) == 0 && (*e)[name.len] == '=' &&
                    (*e)[name.len + 1] != '\0')
                        return *e + name.len + 1;
        return NULL;
}

/* The next of a knob's aliases; false: there are no more. */
static bool next_alias(const char **rest, struct slice *alias)
{
        if (!*rest || !**rest)
                return false;
        *alias = slice_of(*rest, strcspn(*rest, " "));
        *rest += alias->len + ((*rest)[alias->len] == ' ');
        return true;
}

enum { FLAG_MAX = 64 };

/* SLUICE_HTTP_PORT is --http-port. */
static void flag_name(const struct knob *k, char out[FLAG_MAX])
{
        const char *from = k->env;
        if (strncmp(from, "SLUICE_", 7) == 0)
                from += 7;
        size_t len = strlen(from);
        SLUICE_ASSERT(len < FLAG_MAX - 2);
        out[0] = out[1] = '-';
        for (size_t i = 0; i < len; i++) {
                char c = from[i];
                out[i + 2] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
        }
        out[len + 2] = '\0';
}

static const struct knob *find_flag(const struct knob *knobs, size_t n, struct slice name)
{
        char flag[FLAG_MAX];
        for (size_t i = 0; i < n; i++) {
                flag_name(&knobs[i], flag);
                if (slice_eq(slice_cstr(flag), name))
                        return &knobs[i];
        }
        return NULL;
}

struct flags {
        const char **values; /* by knob; NULL: not given */
        bool help;
};

/* One argument, or two for `--x value`. Returns the index of the next. */
static int read_flag(const struct knob *knobs, size_t n, int argc, char **argv, int i,
                     struct flags *flags, struct buf *why)
{
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
                flags->help = true;
                return i + 1;
        }
        const char *eq = strchr(arg, '=');
        struct slice name = slice_of(arg, eq ? (size_t)(eq - arg) : strlen(arg));
        const struct knob *k = find_flag(knobs, n, name);
        if (!k && strncmp(arg, "--", 2) == 0) {
                buf_printf(why, "unknown flag %.*s (try --help)\n", SLICE_FMT(name));
                return i + 1;
        }
        if (!k) {
                buf_printf(why, "argument %d is not a flag (try --help)\n", i);
                return i + 1;
        }
        const char **value = &flags->values[k - knobs];
        if (eq)
                *value = eq + 1;
        else if (k->type == KNOB_BOOL)
                *value = "true";
        else if (i + 1 < argc)
                *value = argv[++i];
        else
                buf_printf(why, "%s needs a value\n", arg);
        return i + 1;
}

/* The first alias that has a value; `name` is it. */
static const char *alias_value(char **environ_, const char *aliases, char name[FLAG_MAX])
{
        struct slice alias;
        while (next_alias(&aliases, &alias)) {
                const char *value = env_value(environ_, alias);
                if (!value)
                        continue;
                snprintf(name, FLAG_MAX, "%.*s", SLICE_FMT(alias));
                return value;
        }
        return NULL;
}

/* The last source that has a value for the knob decides; only that one is judged. */
static void load_knob(const struct knob *k, const char *flag_value, char **environ_, void *out,
                      struct buf *why)
{
        char flag[FLAG_MAX], alias[FLAG_MAX];
        const char *value;
        flag_name(k, flag);
        if (flag_value)
                set_value(k, flag, flag_value, out, why);
        else if ((value = env_value(environ_, slice_cstr(k->env))))
                set_value(k, k->env, value, out, why);
        else if ((value = alias_value(environ_, k->alias, alias)))
                set_value(k, alias, value, out, why);
        else if (k->def)
                set_value(k, k->env, k->def, out, why);
        else
                buf_printf(why, "%s is not set: %s\n", k->env, k->what);
}

/* ---- texts */

static void put_help(const struct knob *knobs, size_t n, const char *program, struct buf *out)
{
        char flag[FLAG_MAX];
        buf_printf(out, "usage: %s [--flag=value]...\n\n", program);
        buf_puts(out, "Every flag can be given as an environment variable; the flag wins.\n\n");
        for (size_t i = 0; i < n; i++) {
                const struct knob *k = &knobs[i];
                flag_name(k, flag);
                buf_printf(out, "  %-28s %s\n  %-28s %s", flag, k->what, "", k->env);
                struct slice alias;
                for (const char *rest = k->alias; next_alias(&rest, &alias);)
                        buf_printf(out, ", %.*s", SLICE_FMT(alias));
                if (!k->def)
                        buf_puts(out, "; required\n");
                else if (k->def[0])
                        buf_printf(out, "; default %s\n", k->def);
                else
                        buf_puts(out, "\n");
        }
        buf_printf(out, "  %-28s this text\n  %-28s knobs and metrics as markdown\n", "--help",
                   "--doc");
}

int conf_load(const struct knob *knobs, size_t n, int argc, char **argv, char **environ_, void *out,
              struct buf *why)
{
        SLUICE_ASSERT(n > 0 && n <= 256 && out != NULL && why != NULL);
        const char *values[256] = {NULL};
        struct flags flags = {.values = values};
        size_t before = why->len;
        for (int i = 1; i < argc;)
                i = read_flag(knobs, n, argc, argv, i, &flags, why);
        if (flags.help) {
                why->len = before;
                put_help(knobs, n, argc > 0 ? argv[0] : "sluice", why);
                return ERR_CANCELLED;
        }
        for (size_t i = 0; i < n; i++)
                load_knob(&knobs[i], values[i], environ_, out, why);
        return why->len > before || why->overflow ? ERR_CONF : 0;
}

static const char *doc_type(enum knob_type type)
{
        static const char *const names[] = {
                [KNOB_STR] = "text",          [KNOB_U64] = "number",  [KNOB_BOOL] = "bool",
                [KNOB_DURATION] = "duration", [KNOB_BYTES] = "bytes", [KNOB_URL] = "URL",
        };
        return names[type];
}

/* A bar would end the cell. */
static void put_cell(struct buf *out, const char *text)
{
        for (; *text; text++) {
                if (*text == '|')
                        buf_putc(out, '\\');
                buf_putc(out, *text);
        }
}

void conf_doc(const struct knob *knobs, size_t n, struct buf *out)
{
        char flag[FLAG_MAX];
        buf_puts(out, "| variable | flag | type | default | meaning |\n|---|---|---|---|---|\n");
        for (size_t i = 0; i < n; i++) {
                const struct knob *k = &knobs[i];
                flag_name(k, flag);
                buf_printf(out, "| `%s`", k->env);
                struct slice alias;
                for (const char *rest = k->alias; next_alias(&rest, &alias);)
                        buf_printf(out, "<br>`%.*s`", SLICE_FMT(alias));
                buf_printf(out, " | `%s` | %s | ", flag, doc_type(k->type));
                if (!k->def)
                        buf_puts(out, "required");
                else if (k->def[0])
                        buf_printf(out, "`%s`", k->def);
                buf_puts(out, " | ");
                put_cell(out, k->what);
                buf_puts(out, " |\n");
        }
}
