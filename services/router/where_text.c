#include "services/router/where_text.h"

struct slice where_trim(struct slice s)
{
        while (s.len && where_is_space(s.p[0]))
                s = slice_of(s.p + 1, s.len - 1);
        while (s.len && where_is_space(s.p[s.len - 1]))
                s.len--;
        return s;
}

static bool is_continuation(unsigned char c)
{
        return (c & 0xc0) == 0x80;
}

/* Bytes of the character at p, 0: none that is valid. */
static size_t valid_char(const unsigned char *p, size_t left)
{
        unsigned char c = p[0];
        if (c < 0x80)
                return c ? 1 : 0;
        if (c < 0xc2 || c > 0xf4)
                return 0;
        size_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (left < n)
                return 0;
        for (size_t i = 1; i < n; i++)
                if (!is_continuation(p[i]))
                        return 0;
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
            (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
                return 0;
        return n;
}

bool where_text_is_valid(struct slice s)
{
        for (size_t at = 0; at < s.len;) {
                size_t n = valid_char((const unsigned char *)s.p + at, s.len - at);
                if (n == 0)
                        return false;
                at += n;
        }
        return true;
}

size_t where_char_decode(struct slice s, uint32_t *code)
{
        const unsigned char *p = (const unsigned char *)s.p;
        size_t n = valid_char(p, s.len);
        if (n == 0)
                return 0;
        uint32_t v = n == 1 ? p[0] : p[0] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++)
                v = v << 6 | (p[i] & 0x3f);
        *code = v;
        return n;
}

size_t where_char_encode(uint32_t code, char *out)
{
        if (code < 0x80) {
                out[0] = (char)code;
                return 1;
        }
        size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        for (size_t i = n - 1; i > 0; i--) {
                out[i] = (char)(0x80 | (code & 0x3f));
                code >>= 6;
        }
        out[0] = (char)((0xf00u >> n) | code);
        return n;
}
