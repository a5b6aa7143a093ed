/* A growing byte buffer with a maximum that is fixed at creation (I7). Writing beyond the maximum
 * writes nothing and sets a sticky error, so that a sequence of writes is checked once at its end.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct buf {
        char *p;
        size_t len;
        size_t cap;
        size_t max;
        bool overflow; /* sticky: a write did not fit */
};

/* The struct is the caller's; no memory is taken before the first write. */
void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);
/* Empties the buffer and clears the error; keeps the memory. */
void buf_reset(struct buf *b);
/* 0, or ERR_LIMIT when a write since init or reset did not fit. */
int buf_status(const struct buf *b);

/* Room for `bytes` more at the end, NULL when it does not fit; buf_advance() makes them count. */
char *buf_reserve(struct buf *b, size_t bytes);
void buf_advance(struct buf *b, size_t bytes);

void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_put_slice(struct buf *b, struct slice s);
void buf_putc(struct buf *b, char c);
void buf_put_u64(struct buf *b, uint64_t decimal);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* JSON string escaping of UTF-8 text (RFC 8259 §7); without and with the quotes. */
void buf_put_json_escaped(struct buf *b, struct slice text);
void buf_put_json_string(struct buf *b, struct slice text);

/* Borrowed until the next write. buf_cstr() adds a NUL that does not count. */
static inline struct slice buf_slice(const struct buf *b)
{
        return slice_of(b->p ? b->p : "", b->len);
}
const char *buf_cstr(struct buf *b);
/* The bytes move to the caller (mem_free); the buffer is empty afterwards. */
struct slice buf_take(struct buf *b);

#endif
