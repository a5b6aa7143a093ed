#include "services/router/where_text.h"

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
