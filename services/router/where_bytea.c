#include "services/router/where_bytea.h"

#include "common/base/err.h"

int where_hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)(c | 0x20);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Space may stand between the pairs of digits. */
static int read_hex(struct slice text, struct where_scratch *s, struct slice *out)
{
        char *bytes = where_alloc(s, text.len / 2 + 1);
        size_t n = 0;
        for (size_t at = 0; at < text.len; at++) {
                if (strchr(" \n\t\r", text.p[at]) && text.p[at])
                        continue;
                int high = where_hex_digit(text.p[at]);
                int low = at + 1 < text.len ? where_hex_digit(text.p[at + 1]) : -1;
                if (high < 0 || low < 0)
                        return ERR_FORMAT;
                bytes[n++] = (char)(high << 4 | low);
                at++;
        }
        *out = slice_of(bytes, n);
        return 0;
}

static bool is_octal(const char *p)
{
        return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
               p[2] <= '7';
}

static int read_escaped(struct slice text, struct where_scratch *s, struct slice *out)
{
        char *bytes = where_alloc(s, text.len + 1);
        size_t n = 0;
        for (size_t at = 0; at < text.len; at++) {
                const char *p = text.p + at;
                size_t left = text.len - at;
                if (*p != '\\') {
                        bytes[n++] = *p;
                } else if (left >= 4 && is_octal(p + 1)) {
                        bytes[n++] = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                        at += 3;
                } else if (left >= 2 && p[1] == '\\') {
                        bytes[n++] = '\\';
                        at++;
                } else {
                        return ERR_FORMAT;
                }
        }
        *out = slice_of(bytes, n);
        return 0;
}

int where_bytea_read(struct slice text, struct where_scratch *s, struct slice *out)
{
        if (text.len >= 2 && text.p[0] == '\\' && text.p[1] == 'x')
                return read_hex(slice_of(text.p + 2, text.len - 2), s, out);
        if (!text.len || !memchr(text.p, '\\', text.len)) {
                *out = text;
                return 0;
        }
        return read_escaped(text, s, out);
}

void where_bytea_print(struct slice bytes, struct buf *out)
{
        static const char hex[] = "0123456789abcdef";
        buf_puts(out, "\\x");
        for (size_t i = 0; i < bytes.len; i++) {
                buf_putc(out, hex[(unsigned char)bytes.p[i] >> 4]);
                buf_putc(out, hex[(unsigned char)bytes.p[i] & 15]);
        }
}
