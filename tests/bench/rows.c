#include "tests/bench/rows.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

enum state { BEFORE, FIRST, AFTER_OBJECT, OBJECT, CLOSED };
enum { CARRY_BYTES = 64 << 20 };

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

/* A string, raw: escapes are left as they are. */
static inline enum outcome string(struct cursor *c, struct slice *out)
{
        TRY(expect(c, '"'));
        const char *start = c->at, *quote = start;
        for (;; quote++) {
                quote = memchr(quote, '"', (size_t)(c->end - quote));
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

void rows_init(struct rows *r, row_callback *cb, void *arg)
{
        *r = (struct rows){.state = BEFORE, .cb = cb, .arg = arg};
        buf_init(&r->carry, CARRY_BYTES);
}

void rows_fini(struct rows *r)
{
        buf_fini(&r->carry);
}

void rows_reset(struct rows *r)
{
        r->state = BEFORE;
        buf_reset(&r->carry);
        if (r->carry.cap >
            64 * 1024) /* ten thousand clients must not each keep a large row's room */
                buf_fini(&r->carry), buf_init(&r->carry, CARRY_BYTES);
}

/* One bracket or comma of the array: the next state, or ERR_FORMAT. */
static int punctuation(int state, char c)
{
        if (state == BEFORE && c == '[')
                return FIRST;
        if ((state == FIRST || state == AFTER_OBJECT) && c == ']')
                return CLOSED;
        if (state == AFTER_OBJECT && c == ',')
                return OBJECT;
        return ERR_FORMAT;
}

/* Bytes consumed: everything but an incomplete message at the end. */
static ssize_t parse_array(struct rows *r, const char *bytes, size_t len)
{
        size_t at = 0;
        while (at < len) {
                if (is_space(bytes[at])) {
                        at++;
                } else if (bytes[at] == '{' && (r->state == FIRST || r->state == OBJECT)) {
                        struct row row;
                        ssize_t n = row_parse(bytes + at, len - at, &row);
                        if (n <= 0)
                                return n < 0 ? n : (ssize_t)at;
                        r->state = AFTER_OBJECT;
                        at += (size_t)n;
                        r->cb(r->arg, &row);
                } else {
                        int next = punctuation(r->state, bytes[at]);
                        if (next < 0)
                                return next;
                        r->state = next;
                        at++;
                }
        }
        return (ssize_t)at;
}

static int on_line(struct rows *r, struct slice line)
{
        if (!slice_starts(line, SLICE_LIT("data:")))
                return line.len == 0 || line.p[0] == ':' ? 0 : ERR_FORMAT;
        struct row row;
        struct slice json = slice_of(line.p + 5, line.len - 5);
        ssize_t n = row_parse(json.p, json.len, &row);
        if (n <= 0)
                return ERR_FORMAT;
        for (size_t i = (size_t)n; i < json.len; i++)
                if (!is_space(json.p[i]))
                        return ERR_FORMAT;
        r->cb(r->arg, &row);
        return 0;
}

/* Bytes consumed: whole lines. */
static ssize_t parse_lines(struct rows *r, const char *bytes, size_t len)
{
        size_t at = 0;
        for (;;) {
                const char *eol = memchr(bytes + at, '\n', len - at);
                if (!eol)
                        return (ssize_t)at;
                int err = on_line(r, slice_of(bytes + at, (size_t)(eol - bytes) - at));
                if (err)
                        return err;
                at = (size_t)(eol - bytes) + 1;
        }
}

/* Parses what was carried over together with what is new, and carries over what is left. */
static int feed(struct rows *r, ssize_t (*parse)(struct rows *, const char *, size_t),
                const char *bytes, size_t len)
{
        if (len == 0)
                return 0;
        if (r->carry.len == 0) {
                ssize_t n = parse(r, bytes, len);
                if (n < 0)
                        return (int)n;
                buf_put(&r->carry, bytes + n, len - (size_t)n);
                return buf_status(&r->carry);
        }
        buf_put(&r->carry, bytes, len);
        if (buf_status(&r->carry))
                return ERR_LIMIT;
        ssize_t n = parse(r, r->carry.p, r->carry.len);
        if (n < 0)
                return (int)n;
        memmove(r->carry.p, r->carry.p + n, r->carry.len - (size_t)n);
        r->carry.len -= (size_t)n;
        return 0;
}

int rows_feed(struct rows *r, const char *bytes, size_t len)
{
        return feed(r, parse_array, bytes, len);
}

int rows_feed_sse(struct rows *r, const char *bytes, size_t len)
{
        r->state = CLOSED; /* there is no array to close */
        return feed(r, parse_lines, bytes, len);
}

int rows_end(const struct rows *r)
{
        return r->state == CLOSED && r->carry.len == 0 ? 0 : ERR_FORMAT;
}
