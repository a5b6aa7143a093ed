#include "services/edge/json.h"

#include "common/base/err.h"
#include "services/edge/text.h"

struct parser {
        struct arena *arena;
        struct slice in;
        size_t at;
        bool failed;
        struct buf *why;
};

static struct value *parse_value(struct parser *p, unsigned depth);

static struct value *fail(struct parser *p)
{
        if (p->failed)
                return NULL;
        p->failed = true;
        if (p->at >= p->in.len) {
                buf_printf(p->why, "unexpected end of input at position %zu", p->in.len);
                return NULL;
        }
        unsigned char c = (unsigned char)p->in.p[p->at];
        buf_printf(p->why, "unexpected byte at position %zu: 0x%02X", p->at, c);
        if (c >= 0x20 && c < 0x7f)
                buf_printf(p->why, " (\"%c\")", c);
        return NULL;
}

static void skip_space(struct parser *p)
{
        while (p->at < p->in.len && strchr(" \t\r\n", p->in.p[p->at]) && p->in.p[p->at] != '\0')
                p->at++;
}

static bool next_is(const struct parser *p, char c)
{
        return p->at < p->in.len && p->in.p[p->at] == c;
}

static bool take(struct parser *p, char c)
{
        if (!next_is(p, c)) {
                fail(p);
                return false;
        }
        p->at++;
        return true;
}

static struct value *parse_word(struct parser *p, struct slice word, enum value_type type)
{
        for (size_t i = 0; i < word.len; i++)
                if (!take(p, word.p[i]))
                        return NULL;
        return value_new(p->arena, type);
}

static bool take_digits(struct parser *p)
{
        size_t start = p->at;
        while (p->at < p->in.len && p->in.p[p->at] >= '0' && p->in.p[p->at] <= '9')
                p->at++;
        if (p->at == start)
                fail(p);
        return p->at > start;
}

static struct value *parse_number(struct parser *p)
{
        size_t start = p->at;
        if (next_is(p, '-'))
                p->at++;
        if (next_is(p, '0'))
                p->at++;
        else if (!take_digits(p))
                return NULL;
        if (next_is(p, '.')) {
                p->at++;
                if (!take_digits(p))
                        return NULL;
        }
        if (next_is(p, 'e') || next_is(p, 'E')) {
                p->at++;
                if (next_is(p, '+') || next_is(p, '-'))
                        p->at++;
                if (!take_digits(p))
                        return NULL;
        }
        struct value *v = value_new(p->arena, VALUE_NUMBER);
        v->text = slice_of(p->in.p + start, p->at - start);
        return v;
}

static bool take_hex4(struct parser *p, uint32_t *out)
{
        uint32_t v = 0;
        for (int i = 0; i < 4; i++) {
                char c = p->at < p->in.len ? p->in.p[p->at] : '\0';
                uint32_t digit;
                if (c >= '0' && c <= '9')
                        digit = (uint32_t)(c - '0');
                else if ((c | 32) >= 'a' && (c | 32) <= 'f')
                        digit = (uint32_t)((c | 32) - 'a') + 10;
                else {
                        fail(p);
                        return false;
                }
                v = v << 4 | digit;
                p->at++;
        }
        *out = v;
        return true;
}

static size_t put_utf8(char *to, uint32_t cp)
{
        if (cp < 0x80) {
                to[0] = (char)cp;
                return 1;
        }
        if (cp < 0x800) {
                to[0] = (char)(0xc0 | cp >> 6);
                to[1] = (char)(0x80 | (cp & 0x3f));
                return 2;
        }
        if (cp < 0x10000) {
                to[0] = (char)(0xe0 | cp >> 12);
                to[1] = (char)(0x80 | (cp >> 6 & 0x3f));
                to[2] = (char)(0x80 | (cp & 0x3f));
                return 3;
        }
        to[0] = (char)(0xf0 | cp >> 18);
        to[1] = (char)(0x80 | (cp >> 12 & 0x3f));
        to[2] = (char)(0x80 | (cp >> 6 & 0x3f));
        to[3] = (char)(0x80 | (cp & 0x3f));
        return 4;
}

/* Behind `\u`. A surrogate must be one half of a pair. */
static bool take_unicode(struct parser *p, uint32_t *out)
{
        uint32_t high, low;
        size_t start = p->at;
        if (!take_hex4(p, &high))
                return false;
        if (high < 0xd800 || high > 0xdfff) {
                *out = high;
                return true;
        }
        if (high <= 0xdbff && next_is(p, '\\')) {
                p->at++;
                if (!take(p, 'u') || !take_hex4(p, &low))
                        return false;
                if (low >= 0xdc00 && low <= 0xdfff) {
                        *out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return true;
                }
        }
        p->at = start;
        fail(p);
        return false;
}

static bool take_escape(struct parser *p, char *to, size_t *n)
{
        static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
        char c = p->at < p->in.len ? p->in.p[p->at] : '\0';
        const char *found = c ? strchr(from, c) : NULL;
        if (found) {
                to[(*n)++] = into[found - from];
                p->at++;
                return true;
        }
        if (c != 'u') {
                fail(p);
                return false;
        }
        p->at++;
        uint32_t cp;
        if (!take_unicode(p, &cp))
                return false;
        *n += put_utf8(to + *n, cp);
        return true;
}

/* Where the closing quote of the string at `p->at` is, or the end of the text. */
static size_t string_end(const struct parser *p, bool *has_escape)
{
        size_t at = p->at;
        *has_escape = false;
        for (; at < p->in.len && p->in.p[at] != '"'; at++) {
                if (p->in.p[at] == '\\') {
                        *has_escape = true;
                        at++;
                }
        }
        return at < p->in.len ? at : p->in.len;
}

static bool take_string(struct parser *p, struct slice *out)
{
        bool has_escape;
        if (!take(p, '"'))
                return false;
        size_t end = string_end(p, &has_escape);
        char *to = has_escape ? arena_alloc(p->arena, end - p->at) : NULL;
        const char *start = p->in.p + p->at;
        size_t n = 0;
        while (p->at < p->in.len && p->in.p[p->at] != '"') {
                char c = p->in.p[p->at];
                if ((unsigned char)c < 0x20) {
                        fail(p);
                        return false;
                }
                p->at++;
                if (c == '\\') {
                        if (!take_escape(p, to, &n))
                                return false;
                } else {
                        if (to)
                                to[n] = c;
                        n++;
                }
        }
        if (!take(p, '"'))
                return false;
        *out = slice_of(to ? to : start, n);
        return true;
}

static struct value *parse_string(struct parser *p)
{
        struct slice text;
        return take_string(p, &text) ? value_string(p->arena, text) : NULL;
}

static struct value *parse_list(struct parser *p, unsigned depth)
{
        struct value *list = value_new(p->arena, VALUE_LIST);
        p->at++;
        skip_space(p);
        if (next_is(p, ']')) {
                p->at++;
                return list;
        }
        for (;;) {
                struct value *v = parse_value(p, depth);
                if (!v)
                        return NULL;
                value_push(p->arena, list, v);
                skip_space(p);
                if (!next_is(p, ','))
                        return take(p, ']') ? list : NULL;
                p->at++;
        }
}

static struct value *parse_map(struct parser *p, unsigned depth)
{
        struct value *map = value_new(p->arena, VALUE_MAP);
        p->at++;
        skip_space(p);
        if (next_is(p, '}')) {
                p->at++;
                return map;
        }
        for (;;) {
                struct slice key;
                skip_space(p);
                if (!take_string(p, &key))
                        return NULL;
                skip_space(p);
                if (!take(p, ':'))
                        return NULL;
                struct value *v = parse_value(p, depth);
                if (!v)
                        return NULL;
                value_set(p->arena, map, key, v);
                skip_space(p);
                if (!next_is(p, ','))
                        return take(p, '}') ? map : NULL;
                p->at++;
        }
}

static struct value *parse_value(struct parser *p, unsigned depth)
{
        skip_space(p);
        if (p->at >= p->in.len || depth == JSON_MAX_DEPTH)
                return fail(p);
        switch (p->in.p[p->at]) {
        case '{':
                return parse_map(p, depth + 1);
        case '[':
                return parse_list(p, depth + 1);
        case '"':
                return parse_string(p);
        case 't':
                return parse_word(p, SLICE_LIT("true"), VALUE_TRUE);
        case 'f':
                return parse_word(p, SLICE_LIT("false"), VALUE_FALSE);
        case 'n':
                return parse_word(p, SLICE_LIT("null"), VALUE_JSON_NULL);
        case '-':
        case '0' ... '9':
                return parse_number(p);
        default:
                return fail(p);
        }
}

/* First byte that is not part of well-formed UTF-8. */
static size_t utf8_end(struct slice s)
{
        size_t at = 0;
        uint32_t cp;
        while (text_next(s, &at, &cp))
                ;
        return at;
}

int json_parse(struct arena *a, struct slice text, struct value **out, struct buf *why)
{
        struct parser p = {.arena = a, .in = text, .why = why};
        p.at = utf8_end(text);
        if (p.at < text.len) {
                fail(&p);
                return ERR_FORMAT;
        }
        p.at = 0;
        struct value *v = parse_value(&p, 0);
        if (v) {
                skip_space(&p);
                if (p.at < text.len)
                        fail(&p);
        }
        if (p.failed)
                return ERR_FORMAT;
        *out = v;
        return 0;
}
