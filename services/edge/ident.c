#include "services/edge/ident.h"

#include "common/base/err.h"
#include "services/edge/text.h"

static int refuse(struct buf *why, const char *message, struct slice what)
{
        buf_puts(why, message);
        buf_put_slice(why, what);
        return ERR_FORMAT;
}

static int parse_quoted(struct arena *a, struct slice inner, struct slice *out, struct buf *why)
{
        if (inner.len == 0)
                return refuse(why, "Invalid zero-length delimited identifier", SLICE_EMPTY);
        char *to = arena_alloc(a, inner.len);
        size_t n = 0;
        for (size_t i = 0; i < inner.len; i++) {
                if (inner.p[i] == '"') {
                        if (i + 1 == inner.len || inner.p[i + 1] != '"')
                                return refuse(why,
                                              "Invalid identifier with unescaped quote: ", inner);
                        i++;
                }
                to[n++] = inner.p[i];
        }
        *out = slice_of(to, n);
        return 0;
}

static bool may_be_unquoted(struct slice text)
{
        size_t at = 0;
        uint32_t cp;
        bool first = true;
        while (text_next(text, &at, &cp)) {
                bool digit = (cp >= '0' && cp <= '9') || cp == '$';
                if (cp != '_' && !text_is_letter(cp) && (first || !digit))
                        return false;
                first = false;
        }
        return at == text.len;
}

/* Only ASCII is folded, as Postgres does in a multi-byte encoding. */
static struct slice fold(struct arena *a, struct slice text)
{
        char *to = arena_alloc(a, text.len);
        for (size_t i = 0; i < text.len; i++) {
                char c = text.p[i];
                to[i] = c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
        }
        return slice_of(to, text.len);
}

int ident_parse(struct arena *a, struct slice text, struct slice *out, struct buf *why)
{
        struct slice name;
        bool quoted = text.len && text.p[0] == '"' && text.p[text.len - 1] == '"';
        if (quoted) {
                struct slice inner =
                        text.len > 1 ? slice_of(text.p + 1, text.len - 2) : SLICE_EMPTY;
                int err = parse_quoted(a, inner, &name, why);
                if (err != 0)
                        return err;
        } else if (text.len == 0) {
                return refuse(why, "Invalid zero-length delimited identifier", SLICE_EMPTY);
        } else if (!may_be_unquoted(text)) {
                return refuse(why,
                              "Invalid unquoted identifier contains special characters: ", text);
        } else {
                name = fold(a, text);
        }
        if (name.len > IDENT_MAX_BYTES)
                return refuse(why, "Identifier is too long (max length is 63)", SLICE_EMPTY);
        *out = name;
        return 0;
}

static size_t count_quotes(struct slice text)
{
        size_t n = 0;
        for (size_t i = 0; i < text.len; i++)
                n += text.p[i] == '"';
        return n;
}

/* Cuts `text` at every delimiter that an even number of double quotes follows: the reference's
 * rule, which decides what the error text of an unbalanced quote says (§13.1.3). */
static uint32_t split(struct arena *a, struct slice text, char delimiter, struct slice **out)
{
        size_t quotes_left = count_quotes(text), start = 0, max = 1;
        for (size_t i = 0; i < text.len; i++)
                max += text.p[i] == delimiter;
        struct slice *parts = arena_array(a, max, sizeof(*parts));
        uint32_t n = 0;
        for (size_t i = 0; i < text.len; i++) {
                quotes_left -= text.p[i] == '"';
                if (text.p[i] != delimiter || quotes_left % 2)
                        continue;
                parts[n++] = slice_of(text.p + start, i - start);
                start = i + 1;
        }
        parts[n++] = slice_of(text.p + start, text.len - start);
        *out = parts;
        return n;
}

int ident_parse_relation(struct arena *a, struct slice text, struct slice *schema,
                         struct slice *table, struct buf *why)
{
        struct slice *parts, first, second;
        uint32_t n = split(a, text, '.', &parts);
        if (n > 2)
                return refuse(why, "Invalid relation identifier, too many delimiters: ", text);
        int err = ident_parse(a, parts[0], &first, why);
        if (err == 0 && n == 2)
                err = ident_parse(a, parts[1], &second, why);
        if (err != 0)
                return err;
        *schema = n == 2 ? first : SLICE_LIT("public");
        *table = n == 2 ? second : first;
        return 0;
}

int ident_parse_list(struct arena *a, struct slice text, struct slice **out, uint32_t *n,
                     struct buf *why)
{
        struct slice *parts;
        uint32_t count = split(a, text, ',', &parts);
        for (uint32_t i = 0; i < count; i++) {
                int err = ident_parse(a, parts[i], &parts[i], why);
                if (err != 0)
                        return err;
        }
        *out = parts;
        *n = count;
        return 0;
}
