/* Between a row's values stand tabs, at its end a newline. NULL is \N; in a value a backslash, a
 * tab, a newline and other white space that would be in the way appear as a backslash and a letter.
 * So a bare tab always separates, and a line without a backslash, which is nearly every one, has
 * neither NULLs nor escapes. */
#include "services/router/copytext.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/err.h"

static char unescaped(char letter)
{
        switch (letter) {
        case 'b':
                return '\b';
        case 'f':
                return '\f';
        case 'n':
                return '\n';
        case 'r':
                return '\r';
        case 't':
                return '\t';
        case 'v':
                return '\v';
        default:
                return letter;
        }
}

/* Returns the length that is left, or SIZE_MAX for a backslash with nothing behind it. */
static size_t unescape(char *text, size_t len)
{
        char *from = memchr(text, '\\', len), *to = from, *end = text + len;
        if (!from)
                return len;
        while (from < end) {
                if (from + 1 == end)
                        return SIZE_MAX;
                *to++ = unescaped(from[1]);
                from += 2;
                const char *next = memchr(from, '\\', (size_t)(end - from));
                size_t plain = (size_t)((next ? next : end) - from);
                memmove(to, from, plain);
                to += plain;
                from += plain;
        }
        return (size_t)(to - text);
}

static bool put_value(char *text, size_t len, bool escapes, struct change_value *out)
{
        if (escapes && len == 2 && text[0] == '\\' && text[1] == 'N') {
                *out = (struct change_value){.kind = VALUE_NULL};
                return true;
        }
        if (escapes)
                len = unescape(text, len);
        *out = (struct change_value){.kind = VALUE_TEXT, .text = {text, len}};
        return len != SIZE_MAX;
}

int copytext_parse(char *line, size_t len, const uint32_t *to, uint32_t n,
                   struct change_value *values)
{
        if (len == 0 || line[len - 1] != '\n')
                return ERR_FORMAT;
        char *end = line + len - 1;
        bool escapes = memchr(line, '\\', len) != NULL;
        for (uint32_t i = 0; i < n; i++) {
                char *tab = memchr(line, '\t', (size_t)(end - line));
                bool last = i + 1 == n;
                if (last != !tab)
                        return ERR_FORMAT;
                char *stop = last ? end : tab;
                if (!put_value(line, (size_t)(stop - line), escapes, &values[to[i]]))
                        return ERR_FORMAT;
                line = last ? end : tab + 1;
        }
        return line == end ? 0 : ERR_FORMAT;
}
