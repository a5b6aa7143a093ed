#include "services/edge/reqhead.h"

#include <strings.h>

#include "services/edge/text.h"

struct counts {
        unsigned headers, content_lengths, transfer_encodings;
        bool bad_length, long_line;
};

static bool name_is(struct slice name, const char *what)
{
        return name.len == strlen(what) && strncasecmp(name.p, what, name.len) == 0;
}

static bool is_number(struct slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if (s.p[i] < '0' || s.p[i] > '9')
                        return false;
        return s.len > 0;
}

static void count_header(struct counts *c, struct slice line)
{
        const char *colon = memchr(line.p, ':', line.len);
        c->headers++;
        c->long_line |= line.len > REQHEAD_MAX_LINE;
        if (!colon)
                return;
        size_t at = (size_t)(colon - line.p);
        struct slice name = text_trim(slice_of(line.p, at));
        struct slice value = text_trim(slice_of(colon + 1, line.len - at - 1));
        if (name_is(name, "content-length")) {
                c->content_lengths++;
                c->bad_length |= !is_number(value);
        } else if (name_is(name, "transfer-encoding")) {
                c->transfer_encodings++;
        }
}

/* The line at *at without its end; *at moves behind it. False at the end of the head. */
static bool next_line(struct slice raw, size_t *at, struct slice *line)
{
        if (*at >= raw.len)
                return false;
        const char *start = raw.p + *at;
        const char *end = memchr(start, '\n', raw.len - *at);
        size_t len = end ? (size_t)(end - start) : raw.len - *at;
        *at += len + (end != NULL);
        if (len && start[len - 1] == '\r')
                len--;
        *line = slice_of(start, len);
        return len > 0;
}

struct reqhead reqhead_check(struct slice raw)
{
        struct reqhead h = {0, false};
        struct counts c = {0};
        struct slice line;
        size_t at = 0;
        bool long_request = next_line(raw, &at, &line) && line.len > REQHEAD_MAX_LINE;
        while (next_line(raw, &at, &line))
                count_header(&c, line);
        h.has_body = c.content_lengths + c.transfer_encodings > 0;
        if (c.content_lengths + c.transfer_encodings > 1 || c.bad_length)
                h.status = 400;
        else if (long_request)
                h.status = 414;
        else if (c.long_line || c.headers > REQHEAD_MAX_HEADERS)
                h.status = 431;
        return h;
}
