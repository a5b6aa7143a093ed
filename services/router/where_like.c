/* Postgres tries the rest of the pattern behind a % at each place by recursion, but what it finds
 * behind a second % is final: either it matches or the whole does not. So one place to come back
 * to, the last %, is enough. */
#include "services/router/where_like.h"

#include "services/router/where_text.h"

struct cursor {
        struct slice text, pattern;
};

static void skip(struct slice *s, size_t n)
{
        *s = slice_of(s->p + n, s->len - n);
}

static void skip_char(struct slice *s)
{
        size_t n = where_char_bytes(s->p);
        skip(s, n < s->len ? n : s->len);
}

enum step { MATCHED, MISMATCH, GOES_ON, FAILED };

static enum step bad_pattern(struct where_ctx *c)
{
        where_fail(c, "LIKE pattern must not end with escape character");
        return FAILED;
}

/* After a %: the wildcards that follow it, and then to the first text place that begins like the
 * rest of the pattern. MATCHED, or GOES_ON at such a place, or MISMATCH for good. */
static enum step seek(struct where_ctx *c, struct cursor *at)
{
        if (at->pattern.p[0] == '\\' && at->pattern.len < 2)
                return bad_pattern(c);
        char first = at->pattern.p[at->pattern.p[0] == '\\'];
        while (at->text.len && at->text.p[0] != first)
                skip_char(&at->text);
        return at->text.len ? GOES_ON : MISMATCH;
}

static enum step after_percent(struct where_ctx *c, struct cursor *at)
{
        skip(&at->pattern, 1);
        while (at->pattern.len && (at->pattern.p[0] == '%' || at->pattern.p[0] == '_')) {
                if (at->pattern.p[0] == '_') {
                        if (at->text.len == 0)
                                return MISMATCH;
                        skip_char(&at->text);
                }
                skip(&at->pattern, 1);
        }
        return at->pattern.len ? seek(c, at) : MATCHED;
}

/* One character of pattern that is no %. */
static enum step one(struct where_ctx *c, struct cursor *at)
{
        if (at->pattern.p[0] == '_') {
                skip_char(&at->text);
                skip(&at->pattern, 1);
                return GOES_ON;
        }
        if (at->pattern.p[0] == '\\') {
                skip(&at->pattern, 1);
                if (at->pattern.len == 0)
                        return bad_pattern(c);
        }
        if (at->pattern.p[0] != at->text.p[0])
                return MISMATCH;
        skip(&at->text, 1);
        skip(&at->pattern, 1);
        return GOES_ON;
}

/* Text or pattern is used up. */
static enum step at_end(struct cursor *at)
{
        if (at->text.len)
                return MISMATCH;
        while (at->pattern.len && at->pattern.p[0] == '%')
                skip(&at->pattern, 1);
        return at->pattern.len ? MISMATCH : MATCHED;
}

static enum step match(struct where_ctx *c, struct cursor at)
{
        struct cursor back = {0}; /* where the last % goes on searching */
        bool has_back = false;
        uint64_t steps = 0;
        for (;;) {
                enum step s;
                if ((++steps & 0xfffff) == 0 && !where_work(c, 0x100000))
                        return FAILED;
                bool ended = at.text.len == 0 || at.pattern.len == 0;
                if (ended) {
                        s = at_end(&at);
                        if (s == MISMATCH && at.text.len == 0)
                                return MISMATCH; /* no later place can do better */
                } else if (at.pattern.p[0] == '%') {
                        s = after_percent(c, &at);
                        if (s == MISMATCH)
                                return MISMATCH;
                        back = at;
                        has_back = true;
                } else {
                        s = one(c, &at);
                }
                if (s == MISMATCH && has_back) {
                        skip_char(&back.text);
                        s = seek(c, &back);
                        if (s == MISMATCH)
                                return MISMATCH;
                        at = back;
                }
                if (s != GOES_ON)
                        return s;
        }
}

bool where_like(struct where_ctx *c, struct slice text, struct slice pattern, bool *matches)
{
        enum step s = match(c, (struct cursor){.text = text, .pattern = pattern});
        *matches = s == MATCHED;
        return s != FAILED;
}

/* A backslash of the pattern's own becomes two, unless the escape stands before it. */
bool where_like_escape(struct where_ctx *c, struct slice pattern, struct slice escape,
                       struct slice *out)
{
        char *made = where_alloc(c->scratch, 2 * pattern.len + 1);
        bool escaped = false;
        size_t n = 0;
        if (escape.len && escape.len != where_char_bytes(escape.p))
                return where_fail(c, "invalid escape string");
        if (slice_eq(escape, SLICE_LIT("\\"))) {
                *out = pattern;
                return true;
        }
        for (size_t at = 0; at < pattern.len;) {
                size_t len = where_char_bytes(pattern.p + at);
                struct slice one =
                        slice_of(pattern.p + at, len < pattern.len - at ? len : pattern.len - at);
                bool is_escape = escape.len && !escaped && slice_eq(one, escape);
                at += one.len;
                if (is_escape || (one.p[0] == '\\' && !escaped))
                        made[n++] = '\\';
                if (!is_escape) {
                        memcpy(made + n, one.p, one.len);
                        n += one.len;
                }
                escaped = is_escape;
        }
        *out = slice_of(made, n);
        return true;
}
