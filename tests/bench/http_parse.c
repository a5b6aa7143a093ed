#include "tests/bench/http_parse.h"

#include <string.h>
#include <strings.h>

#include "common/base/assert.h"
#include "common/base/err.h"

enum state { HEAD, BODY, BODY_UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

void http_parser_init(struct http_parser *p)
{
        *p = (struct http_parser){.state = HEAD};
        buf_init(&p->line, HTTP_HEAD_BYTES);
}

void http_parser_fini(struct http_parser *p)
{
        buf_fini(&p->line);
}

bool http_parser_idle(const struct http_parser *p)
{
        return p->state == HEAD && p->line.len == 0;
}

bool http_field(const struct http_head *head, const char *name, struct slice *value)
{
        size_t n = strlen(name);
        const char *at = head->fields.p, *end = at + head->fields.len;
        while (at < end) {
                const char *eol = memchr(at, '\n', (size_t)(end - at));
                const char *stop = eol ? eol : end;
                if ((size_t)(stop - at) > n && at[n] == ':' && strncasecmp(at, name, n) == 0) {
                        const char *v = at + n + 1;
                        while (v < stop && (*v == ' ' || *v == '\t'))
                                v++;
                        while (stop > v && (stop[-1] == '\r' || stop[-1] == ' '))
                                stop--;
                        *value = slice_of(v, (size_t)(stop - v));
                        return true;
                }
                at = eol ? eol + 1 : end;
        }
        return false;
}

static bool field_is(const struct http_head *head, const char *name, const char *wanted)
{
        struct slice v;
        return http_field(head, name, &v) && v.len == strlen(wanted) &&
               strncasecmp(v.p, wanted, v.len) == 0;
}

/* RFC 9112 §6.3: what delimits the body. */
static int choose_body(struct http_parser *p, const struct http_head *head)
{
        struct slice length;
        if (head->status == 204 || head->status == 304) {
                p->left = 0;
                p->state = BODY;
        } else if (field_is(head, "transfer-encoding", "chunked")) {
                p->state = CHUNK_SIZE;
        } else if (http_field(head, "content-length", &length)) {
                p->state = BODY;
                return slice_parse_u64(length, &p->left) ? ERR_FORMAT : 0;
        } else {
                p->state = BODY_UNTIL_CLOSE;
        }
        return 0;
}

static int take_head(struct http_parser *p, struct slice text, const struct http_events *ev,
                     void *arg)
{
        if (text.len < 12 || memcmp(text.p, "HTTP/1.", 7) != 0 || text.p[8] != ' ')
                return ERR_FORMAT;
        struct http_head head = {0};
        for (int i = 9; i < 12; i++) {
                if (text.p[i] < '0' || text.p[i] > '9')
                        return ERR_FORMAT;
                head.status = head.status * 10 + (text.p[i] - '0');
        }
        const char *eol = memchr(text.p, '\n', text.len);
        SLUICE_ASSERT(eol != NULL);
        head.fields = slice_of(eol + 1, text.len - (size_t)(eol + 1 - text.p));
        head.keep_alive = !field_is(&head, "connection", "close");
        if (head.status < 200)
                return 0; /* interim: the real head follows */
        int err = choose_body(p, &head);
        if (err)
                return err;
        p->keep_alive = head.keep_alive;
        ev->on_head(arg, &head);
        return 0;
}

/* Collects up to and with `mark`. Returns bytes consumed; *text is set when the mark was found, and
 * is borrowed until the parser's line is reset. */
static ssize_t collect(struct http_parser *p, const char *bytes, size_t len, const char *mark,
                       struct slice *text)
{
        size_t mark_len = strlen(mark);
        text->p = NULL;
        if (p->line.len == 0) {
                const char *found = memmem(bytes, len, mark, mark_len);
                if (found) {
                        *text = slice_of(bytes, (size_t)(found - bytes) + mark_len);
                        return (ssize_t)text->len;
                }
        }
        /* What follows the mark is the body's: no more of it is copied than a line may be long. */
        size_t before = p->line.len, room = HTTP_HEAD_BYTES - before;
        size_t more = len < room ? len : room;
        buf_put(&p->line, bytes, more);
        SLUICE_ASSERT(buf_status(&p->line) == 0);
        const char *found = memmem(p->line.p, p->line.len, mark, mark_len);
        if (!found)
                return more < len ? ERR_LIMIT : (ssize_t)len;
        *text = slice_of(p->line.p, (size_t)(found - p->line.p) + mark_len);
        SLUICE_ASSERT(text->len > before);
        return (ssize_t)(text->len - before);
}

static ssize_t step_head(struct http_parser *p, const char *bytes, size_t len,
                         const struct http_events *ev, void *arg, bool *ended)
{
        struct slice text;
        ssize_t n = collect(p, bytes, len, "\r\n\r\n", &text);
        if (n < 0 || !text.p)
                return n;
        int err = take_head(p, text, ev, arg);
        buf_reset(&p->line);
        *ended = p->state == BODY && p->left == 0;
        return err ? err : n;
}

static int parse_hex(struct slice line, uint64_t *out)
{
        uint64_t v = 0;
        size_t i = 0;
        for (; i < line.len; i++) {
                char c = line.p[i];
                unsigned digit;
                if (c >= '0' && c <= '9')
                        digit = (unsigned)(c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        digit = (unsigned)((c | 0x20) - 'a') + 10;
                else
                        break;
                if (v >> 60)
                        return ERR_FORMAT;
                v = v << 4 | digit;
        }
        if (i == 0 || (line.p[i] != '\r' && line.p[i] != ';'))
                return ERR_FORMAT;
        *out = v;
        return 0;
}

static ssize_t step_chunk_size(struct http_parser *p, const char *bytes, size_t len)
{
        struct slice text;
        ssize_t n = collect(p, bytes, len, "\r\n", &text);
        if (n < 0 || !text.p)
                return n;
        int err = parse_hex(text, &p->left);
        buf_reset(&p->line);
        p->state = p->left ? CHUNK_DATA : TRAILER;
        return err ? err : n;
}

static ssize_t step_line(struct http_parser *p, const char *bytes, size_t len, bool *ended)
{
        struct slice text;
        ssize_t n = collect(p, bytes, len, "\r\n", &text);
        if (n < 0 || !text.p)
                return n;
        bool empty = text.len == 2;
        buf_reset(&p->line);
        if (p->state == CHUNK_END) {
                p->state = CHUNK_SIZE;
                return empty ? n : ERR_FORMAT;
        }
        *ended = empty;
        return n;
}

static ssize_t step_data(struct http_parser *p, const char *bytes, size_t len,
                         const struct http_events *ev, void *arg, bool *ended)
{
        size_t n = len < p->left ? len : (size_t)p->left;
        ev->on_body(arg, bytes, n);
        p->left -= n;
        if (p->left == 0 && p->state == BODY)
                *ended = true;
        else if (p->left == 0)
                p->state = CHUNK_END;
        return (ssize_t)n;
}

static ssize_t step(struct http_parser *p, const char *bytes, size_t len,
                    const struct http_events *ev, void *arg, bool *ended)
{
        switch ((enum state)p->state) {
        case HEAD:
                return step_head(p, bytes, len, ev, arg, ended);
        case BODY:
        case CHUNK_DATA:
                return step_data(p, bytes, len, ev, arg, ended);
        case BODY_UNTIL_CLOSE:
                ev->on_body(arg, bytes, len);
                return (ssize_t)len;
        case CHUNK_SIZE:
                return step_chunk_size(p, bytes, len);
        case CHUNK_END:
        case TRAILER:
                return step_line(p, bytes, len, ended);
        }
        return ERR_FORMAT;
}

ssize_t http_parse(struct http_parser *p, const char *bytes, size_t len,
                   const struct http_events *ev, void *arg, bool *ended)
{
        size_t used = 0;
        *ended = false;
        while (used < len && !*ended) {
                ssize_t n = step(p, bytes + used, len - used, ev, arg, ended);
                if (n < 0)
                        return n;
                used += (size_t)n;
        }
        if (*ended)
                p->state = HEAD;
        return (ssize_t)used;
}

bool http_parse_eof(struct http_parser *p)
{
        bool proper = p->state == BODY_UNTIL_CLOSE;
        p->state = HEAD;
        buf_reset(&p->line);
        return proper;
}
