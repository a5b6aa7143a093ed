#include "services/router/pen.h"

enum { ESCAPE_MAX_BYTES = 6 /* \u001f */ };

void pen_open(struct pen *p, struct buf *out)
{
        *p = (struct pen){.out = out};
        pen_grow(p, 1);
}

void pen_close(struct pen *p)
{
        if (p->at)
                buf_advance(p->out, (size_t)(p->at - p->out->p) - p->out->len);
        p->at = p->end = NULL;
}

bool pen_grow(struct pen *p, size_t bytes)
{
        pen_close(p);
        char *at = buf_reserve(p->out, bytes);
        if (!at)
                return false;
        p->at = at;
        p->end = p->out->p + p->out->cap;
        return true;
}

void pen_put_u64(struct pen *p, uint64_t decimal)
{
        char digits[20];
        size_t at = sizeof(digits);
        do {
                digits[--at] = (char)('0' + decimal % 10);
                decimal /= 10;
        } while (decimal);
        pen_put(p, slice_of(digits + at, sizeof(digits) - at));
}

static inline bool needs_escape(char c)
{
        return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/* Whether any of eight bytes needs an escape: the usual zero-byte tests, exact as a whole. */
static inline bool word_needs_escape(uint64_t v)
{
        const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL;
        uint64_t quote = v ^ (ones * '"'), slash = v ^ (ones * '\\');
        uint64_t control = (v - ones * 0x20) & ~v;
        return ((control | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & highs) != 0;
}

/* The last bytes of a text that is no multiple of a word are looked at and copied as a word that
 * overlaps the one before. */
static inline bool copy_plain_tail(char *to, const char *from, size_t len)
{
        uint64_t v;
        if (len >= sizeof(v)) {
                memcpy(&v, from + len - sizeof(v), sizeof(v));
                if (word_needs_escape(v))
                        return false;
                memcpy(to + len - sizeof(v), &v, sizeof(v));
                return true;
        }
        uint32_t first, last;
        if (len < sizeof(first))
                return false;
        memcpy(&first, from, sizeof(first));
        memcpy(&last, from + len - sizeof(last), sizeof(last));
        if (word_needs_escape((uint64_t)first << 32 | last))
                return false;
        memcpy(to, &first, sizeof(first));
        memcpy(to + len - sizeof(last), &last, sizeof(last));
        return true;
}

/* Copies up to the first byte that needs an escape; returns how many were copied. */
static inline size_t copy_plain(char *to, const char *from, size_t len)
{
        size_t i = 0;
        uint64_t v;
        for (; i + sizeof(v) <= len; i += sizeof(v)) {
                memcpy(&v, from + i, sizeof(v));
                if (word_needs_escape(v))
                        goto bytes;
                memcpy(to + i, &v, sizeof(v));
        }
        if (i == len || copy_plain_tail(to, from, len))
                return len;
bytes:
        for (; i < len && !needs_escape(from[i]); i++)
                to[i] = from[i];
        return i;
}

static void raw_escape(struct pen *p, char c)
{
        static const char hex[] = "0123456789abcdef";
        static const char short_form[32] = {
                ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
        unsigned char code = (unsigned char)c;
        char letter = code < sizeof(short_form) ? short_form[code] : c;
        pen_raw_char(p, '\\');
        if (letter) {
                pen_raw_char(p, letter);
                return;
        }
        pen_raw(p, "u00", 3);
        pen_raw_char(p, hex[code >> 4]);
        pen_raw_char(p, hex[code & 15]);
}

/* Each round has room for what is left of the text, so that only an escape has to ask for more. */
void pen_raw_escaped(struct pen *p, struct slice text)
{
        const char *from = text.p;
        size_t left = text.len;
        for (;;) {
                size_t plain = copy_plain(p->at, from, left);
                p->at += plain;
                if (plain == left)
                        return;
                if (!pen_room(p, left - plain + ESCAPE_MAX_BYTES))
                        return;
                raw_escape(p, from[plain]);
                from += plain + 1;
                left -= plain + 1;
        }
}
