#include "services/edge/text.h"

#include "common/base/err.h"

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static bool needs_decoding(struct slice in, bool form)
{
        if (in.len == 0)
                return false;
        return memchr(in.p, '%', in.len) || (form && memchr(in.p, '+', in.len));
}

int text_percent_decode(struct arena *a, struct slice in, bool form, struct slice *out)
{
        if (!needs_decoding(in, form)) {
                *out = in;
                return 0;
        }
        char *to = arena_alloc(a, in.len);
        size_t n = 0;
        for (size_t i = 0; i < in.len; i++) {
                char c = in.p[i];
                if (c == '+' && form) {
                        c = ' ';
                } else if (c == '%') {
                        if (in.len - i < 3)
                                return ERR_FORMAT;
                        int high = hex_digit(in.p[i + 1]), low = hex_digit(in.p[i + 2]);
                        if (high < 0 || low < 0)
                                return ERR_FORMAT;
                        c = (char)(high << 4 | low);
                        i += 2;
                }
                to[n++] = c;
        }
        *out = slice_of(to, n);
        return 0;
}

/* Length of the sequence that starts with `lead`, 0 for what cannot start one; *min is the smallest
 * code point that needs this many bytes. */
static size_t sequence_length(unsigned char lead, uint32_t *bits, uint32_t *min)
{
        if (lead < 0x80) {
                *bits = lead;
                *min = 0;
                return 1;
        }
        if (lead >= 0xc2 && lead <= 0xdf) {
                *bits = lead & 0x1fu;
                *min = 0x80;
                return 2;
        }
        if ((lead & 0xf0) == 0xe0) {
                *bits = lead & 0x0fu;
                *min = 0x800;
                return 3;
        }
        if (lead >= 0xf0 && lead <= 0xf4) {
                *bits = lead & 0x07u;
                *min = 0x10000;
                return 4;
        }
        return 0;
}

/* Bytes of the well-formed sequence at `at`, 0 when there is none. */
static size_t decode_one(struct slice s, size_t at, uint32_t *code_point)
{
        uint32_t cp, min;
        size_t n = sequence_length((unsigned char)s.p[at], &cp, &min);
        if (n == 0 || n > s.len - at)
                return 0;
        for (size_t i = 1; i < n; i++) {
                unsigned char c = (unsigned char)s.p[at + i];
                if ((c & 0xc0) != 0x80)
                        return 0;
                cp = cp << 6 | (c & 0x3fu);
        }
        if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
                return 0;
        *code_point = cp;
        return n;
}

bool text_is_utf8(struct slice s)
{
        uint32_t cp;
        for (size_t at = 0; at < s.len;) {
                size_t n = decode_one(s, at, &cp);
                if (n == 0)
                        return false;
                at += n;
        }
        return true;
}

bool text_next(struct slice s, size_t *at, uint32_t *code_point)
{
        if (*at >= s.len)
                return false;
        size_t n = decode_one(s, *at, code_point);
        if (n == 0)
                return false;
        *at += n;
        return true;
}

/* Blocks of code points above ASCII that hold signs, punctuation or pictures rather than letters.
 */
static const struct {
        uint32_t first, last;
} not_letters[] = {
        {0x80, 0xa9},     {0xab, 0xb4},       {0xb6, 0xb9},       {0xbb, 0xbf},
        {0xd7, 0xd7},     {0xf7, 0xf7},       {0x2000, 0x2070},   {0x2072, 0x207e},
        {0x2080, 0x208f}, {0x20a0, 0x20cf},   {0x2190, 0x2bff},   {0x2e00, 0x2fff},
        {0x3000, 0x3004}, {0x3007, 0x3020},   {0xe000, 0xf8ff},   {0xfe10, 0xfe1f},
        {0xfe30, 0xfe6f}, {0xff00, 0xff20},   {0xff3b, 0xff40},   {0xff5b, 0xff65},
        {0xffe0, 0xffff}, {0x1f000, 0x1faff}, {0xe0000, 0xe00ff}, {0xf0000, 0x10ffff},
};

bool text_is_letter(uint32_t cp)
{
        if (cp < 0x80)
                return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
        for (size_t i = 0; i < sizeof(not_letters) / sizeof(not_letters[0]); i++)
                if (cp >= not_letters[i].first && cp <= not_letters[i].last)
                        return false;
        return true;
}

bool text_has_nul(struct slice s)
{
        return s.len && memchr(s.p, 0, s.len);
}

static bool is_blank(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice text_trim(struct slice s)
{
        while (s.len && is_blank(s.p[0]))
                s = slice_of(s.p + 1, s.len - 1);
        while (s.len && is_blank(s.p[s.len - 1]))
                s.len--;
        return s;
}
