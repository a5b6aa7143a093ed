#include "common/base/buf.h"

#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

enum { FIRST_CAPACITY = 128 };

void buf_init(struct buf *b, size_t max_bytes)
{
        SLUICE_ASSERT(b != NULL);
        *b = (struct buf){.max = max_bytes};
}

void buf_fini(struct buf *b)
{
        mem_free(b->p);
        *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
        b->len = 0;
        b->overflow = false;
}

int buf_status(const struct buf *b)
{
        return b->overflow ? ERR_LIMIT : 0;
}

static bool grow(struct buf *b, size_t bytes)
{
        if (b->overflow || bytes > b->max - b->len) {
                b->overflow = true;
                return false;
        }
        size_t cap = b->cap ? b->cap : FIRST_CAPACITY;
        while (cap < b->len + bytes)
                cap = cap > SIZE_MAX / 2 ? b->len + bytes : cap * 2;
        if (cap > b->max)
                cap = b->max;
        b->p = mem_resize(b->p, cap + 1, 1); /* one more for buf_cstr()'s NUL */
        b->cap = cap;
        return true;
}

char *buf_reserve(struct buf *b, size_t bytes)
{
        if (b->overflow)
                return NULL;
        if ((b->p == NULL || bytes > b->cap - b->len) && !grow(b, bytes))
                return NULL;
        return b->p + b->len;
}

void buf_advance(struct buf *b, size_t bytes)
{
        SLUICE_ASSERT(bytes <= b->cap - b->len);
        b->len += bytes;
}

void buf_put(struct buf *b, const void *bytes, size_t len)
{
        if (len == 0)
                return;
        char *at = buf_reserve(b, len);
        if (!at)
                return;
        memcpy(at, bytes, len);
        b->len += len;
}

void buf_puts(struct buf *b, const char *text)
{
        buf_put(b, text, strlen(text));
}

void buf_put_slice(struct buf *b, struct slice s)
{
        buf_put(b, s.p, s.len);
}

void buf_putc(struct buf *b, char c)
{
        buf_put(b, &c, 1);
}

void buf_put_u64(struct buf *b, uint64_t decimal)
{
        char digits[20];
        size_t at = sizeof(digits);
        do {
                digits[--at] = (char)('0' + decimal % 10);
                decimal /= 10;
        } while (decimal);
        buf_put(b, digits + at, sizeof(digits) - at);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
        va_list again;
        va_copy(again, ap);
        int len = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        SLUICE_ASSERT(len >= 0);
        char *at =
                buf_reserve(b, (size_t)len); /* the NUL goes where buf_cstr() keeps room for it */
        if (!at)
                return;
        vsnprintf(at, (size_t)len + 1, fmt, ap);
        b->len += (size_t)len;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        buf_vprintf(b, fmt, ap);
        va_end(ap);
}

/* How many bytes from p need no escape. Eight at a time: most text has none. */
static size_t plain_prefix(const char *p, size_t len)
{
        const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL;
        size_t i = 0;
        for (; i + 8 <= len; i += 8) {
                uint64_t v;
                memcpy(&v, p + i, 8);
                uint64_t quote = v ^ (ones * '"'), slash = v ^ (ones * '\\');
                uint64_t control = (v - ones * 0x20) & ~v;
                uint64_t hit = control | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
                if (hit & highs)
                        break;
        }
        while (i < len && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
                i++;
        return i;
}

static void put_escape(struct buf *b, char c)
{
        static const char hex[] = "0123456789abcdef";
        switch (c) {
        case '"':
                buf_put(b, "\\\"", 2);
                return;
        case '\\':
                buf_put(b, "\\\\", 2);
                return;
        case '\n':
                buf_put(b, "\\n", 2);
                return;
        case '\r':
                buf_put(b, "\\r", 2);
                return;
        case '\t':
                buf_put(b, "\\t", 2);
                return;
        default: {
                char code[6] = {'\\', 'u', '0', '0', hex[(unsigned char)c >> 4], hex[c & 15]};
                buf_put(b, code, sizeof(code));
        }
        }
}

void buf_put_json_escaped(struct buf *b, struct slice text)
{
        while (text.len > 0) {
                size_t plain = plain_prefix(text.p, text.len);
                buf_put(b, text.p, plain);
                if (plain == text.len)
                        return;
                put_escape(b, text.p[plain]);
                text = slice_of(text.p + plain + 1, text.len - plain - 1);
        }
}

void buf_put_json_string(struct buf *b, struct slice text)
{
        buf_putc(b, '"');
        buf_put_json_escaped(b, text);
        buf_putc(b, '"');
}

const char *buf_cstr(struct buf *b)
{
        if (!b->p)
                return "";
        b->p[b->len] = '\0';
        return b->p;
}

struct slice buf_take(struct buf *b)
{
        struct slice taken = slice_of(b->p, b->len);
        size_t max = b->max;
        *b = (struct buf){.max = max};
        return taken;
}
