#include "tests/bench/row.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/base/err.h"

/* Steps of the cursor return one of these; INCOMPLETE means that more bytes may make it whole. */
enum outcome { OK, INCOMPLETE, BROKEN };

struct cursor {
        const char *at, *end;
};

#define TRY(step)                                                                                  \
        do {                                                                                       \
                enum outcome outcome_ = (step);                                                    \
                if (outcome_ != OK)                                                                \
                        return outcome_;                                                           \
        } while (0)

static inline bool is_space(char c)
{
        return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline enum outcome peek(struct cursor *c, char *out)
{
        while (c->at < c->end && is_space(*c->at))
                c->at++;
        if (c->at == c->end)
                return INCOMPLETE;
        *out = *c->at;
        return OK;
}

static inline enum outcome expect(struct cursor *c, char wanted)
{
        char got;
        TRY(peek(c, &got));
        if (got != wanted)
                return BROKEN;
        c->at++;
        return OK;
}

/* A quote is the end of the string unless an odd number of backslashes stands before it. */
static bool is_escaped(const char *start, const char *quote)
{
        size_t n = 0;
        while (quote > start && quote[-1] == '\\') {
                quote--;
                n++;
        }
        return n % 2 == 1;
}

/* Most strings are short: the call to memchr would cost more than the search. */
static inline const char *find_quote(const char *p, const char *end)
{
#ifdef __SSE2__
        if (end - p >= 16) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
                int hits = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
                if (hits)
                        return p + __builtin_ctz((unsigned)hits);
                p += 16;
        }
#endif
        return memchr(p, '"', (size_t)(end - p));
}

/* A string, raw: escapes are left as they are. */
static inline enum outcome string(struct cursor *c, struct slice *out)
{
        TRY(expect(c, '"'));
        const char *start = c->at, *quote = start;
        for (;; quote++) {
                quote = find_quote(quote, c->end);
                if (!quote)
                        return INCOMPLETE;
                if (quote == start || quote[-1] != '\\' || !is_escaped(start, quote))
                        break;
        }
        *out = slice_of(start, (size_t)(quote - start));
        c->at = quote + 1;
        return OK;
}

static enum outcome scalar(struct cursor *c)
{
        const char *start = c->at;
        while (c->at < c->end && !is_space(*c->at) && *c->at != ',' && *c->at != '}' &&
               *c->at != ']')
                c->at++;
        if (c->at == c->end)
                return INCOMPLETE;
        return c->at > start ? OK : BROKEN;
}

/* Any value. Within arrays and objects only strings and the balance of brackets are looked at. */
static enum outcome skip(struct cursor *c)
{
        struct slice ignored;
        int depth = 0;
        do {
                char next;
                TRY(peek(c, &next));
                if (next == '"') {
                        TRY(string(c, &ignored));
                } else if (next == '{' || next == '[') {
                        depth++;
                        c->at++;
                } else if (depth > 0 && (next == '}' || next == ']')) {
                        depth--;
                        c->at++;
                } else if (depth > 0 && (next == ',' || next == ':')) {
                        c->at++;
                } else {
                        TRY(scalar(c));
                }
        } while (depth > 0);
        return OK;
}

/* After `{` or a member: the next key with its colon, or *done at the closing brace. */
static inline enum outcome member(struct cursor *c, bool *first, struct slice *key, bool *done)
{
        char next;
        TRY(peek(c, &next));
        *done = false;
        if (next == '}') {
                c->at++;
                *done = true;
                return OK;
        }
        if (!*first)
                TRY(expect(c, ','));
        *first = false;
        TRY(string(c, key));
        return expect(c, ':');
}

/* Leading digits; how many there were is returned. */
static size_t digits(struct slice s, uint64_t *out)
{
        uint64_t v = 0;
        size_t i = 0;
        for (; i < s.len && i < 19 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
                v = v * 10 + (uint64_t)(s.p[i] - '0');
        *out = v;
        return i;
}

#define KEY_IS(key, literal)                                                                       \
        ((key).len == sizeof(literal) - 1 && memcmp((key).p, literal, sizeof(literal) - 1) == 0)

/* A string or null; null is the empty slice. */
static enum outcome text_or_null(struct cursor *c, struct slice *out)
{
        char next;
        TRY(peek(c, &next));
        if (next == '"')
                return string(c, out);
        *out = SLICE_EMPTY;
        return skip(c);
}

static enum outcome value(struct cursor *c, struct row *out)
{
        bool first = true, done;
        struct slice key, text;
        TRY(expect(c, '{'));
        for (;;) {
                TRY(member(c, &first, &key, &done));
                if (done)
                        return OK;
                TRY(text_or_null(c, &text));
                if (KEY_IS(key, "id"))
                        out->has_id = text.len > 0 && digits(text, &out->id) == text.len;
                else if (KEY_IS(key, "payload"))
                        digits(text, &out->stamp_ns);
        }
}

static enum row_kind kind_of(struct slice text)
{
        static const struct {
                const char *text;
                enum row_kind kind;
        } kinds[] = {{"insert", ROW_INSERT},
                     {"update", ROW_UPDATE},
                     {"delete", ROW_DELETE},
                     {"up-to-date", ROW_UP_TO_DATE},
                     {"snapshot-end", ROW_SNAPSHOT_END},
                     {"must-refetch", ROW_MUST_REFETCH}};
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (slice_eq(text, slice_cstr(kinds[i].text)))
                        return kinds[i].kind;
        return ROW_OTHER;
}

static enum outcome headers(struct cursor *c, struct row *out)
{
        bool first = true, done;
        struct slice key, text;
        TRY(expect(c, '{'));
        for (;;) {
                TRY(member(c, &first, &key, &done));
                if (done)
                        return OK;
                if (KEY_IS(key, "operation") || KEY_IS(key, "control")) {
                        TRY(string(c, &text));
                        out->kind = kind_of(text);
                } else if (KEY_IS(key, "global_last_seen_lsn")) {
                        TRY(string(c, &out->lsn));
                } else {
                        TRY(skip(c));
                }
        }
}

static enum outcome message(struct cursor *c, struct row *out)
{
        bool first = true, done, has_headers = false;
        struct slice key;
        TRY(expect(c, '{'));
        for (;;) {
                TRY(member(c, &first, &key, &done));
                if (done)
                        return has_headers ? OK : BROKEN;
                if (KEY_IS(key, "value")) {
                        TRY(value(c, out));
                } else if (KEY_IS(key, "headers")) {
                        TRY(headers(c, out));
                        has_headers = true;
                } else {
                        TRY(skip(c));
                }
        }
}

ssize_t row_parse(const char *bytes, size_t len, struct row *out)
{
        struct cursor c = {bytes, bytes + len};
        struct row row = {.kind = ROW_OTHER, .lsn = SLICE_EMPTY};
        switch (message(&c, &row)) {
        case OK:
                *out = row;
                return c.at - bytes;
        case INCOMPLETE:
                return 0;
        case BROKEN:
                break;
        }
        return ERR_FORMAT;
}
