#include "tests/bench/rows.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"

enum state { BEFORE, FIRST, AFTER_OBJECT, OBJECT, CLOSED };
enum { CARRY_BYTES = 64 << 20, CARRY_STEP = 512 };

static inline bool is_space(char c)
{
        return c == ' ' || c == '\n' || c == '\r' || c == '\t';
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

typedef ssize_t parse_function(struct rows *r, const char *bytes, size_t len);

/* Completes the message that was carried over with as few of the new bytes as it takes: they are
 * copied. Returns how many of them are consumed; all, when it is still incomplete. */
static ssize_t finish_carried(struct rows *r, parse_function *parse, const char *bytes, size_t len)
{
        size_t before = r->carry.len, piece = CARRY_STEP;
        for (size_t added = 0; added < len; piece *= 2) {
                size_t more = len - added < piece ? len - added : piece;
                buf_put(&r->carry, bytes + added, more);
                if (buf_status(&r->carry))
                        return ERR_LIMIT;
                added += more;
                ssize_t n = parse(r, r->carry.p, r->carry.len);
                if (n < 0)
                        return n;
                if ((size_t)n > before) {
                        buf_reset(&r->carry);
                        return n - (ssize_t)before;
                }
                SLUICE_ASSERT(n == 0); /* what is carried begins with an incomplete message */
        }
        return (ssize_t)len;
}

static int feed(struct rows *r, parse_function *parse, const char *bytes, size_t len)
{
        if (r->carry.len > 0) {
                ssize_t used = finish_carried(r, parse, bytes, len);
                if (used < 0)
                        return (int)used;
                bytes += used;
                len -= (size_t)used;
        }
        if (len == 0)
                return 0;
        ssize_t n = parse(r, bytes, len);
        if (n < 0)
                return (int)n;
        buf_put(&r->carry, bytes + n, len - (size_t)n);
        return buf_status(&r->carry);
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
