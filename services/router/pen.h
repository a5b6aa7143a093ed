/* The inner loop of rendering: text into a struct buf with one bounds check per piece instead of
 * one per write, and JSON escaping that copies while it looks. Between pen_open() and pen_close()
 * the buffer belongs to the pen. */
#ifndef SERVICES_ROUTER_PEN_H
#define SERVICES_ROUTER_PEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct pen {
        struct buf *out;
        char *at, *end; /* both NULL once the buffer's maximum is reached: nothing is written any
                           more */
};

void pen_open(struct pen *p, struct buf *out);
void pen_close(struct pen *p);
/* Hands over what is written and makes room; false when there is none (sticky in the buffer). */
bool pen_grow(struct pen *p, size_t bytes);

/* Room for `bytes`, which may then be written with the pen_raw… functions. */
static inline bool pen_room(struct pen *p, size_t bytes)
{
        if (__builtin_expect((size_t)(p->end - p->at) >= bytes, 1))
                return true;
        return pen_grow(p, bytes);
}

/* Without a check: within what pen_room() granted. */
static inline void pen_raw(struct pen *p, const char *bytes, size_t len)
{
        memcpy(p->at, bytes, len);
        p->at += len;
}
static inline void pen_raw_char(struct pen *p, char c)
{
        *p->at++ = c;
}

static inline void pen_put(struct pen *p, struct slice s)
{
        if (pen_room(p, s.len))
                pen_raw(p, s.p, s.len);
}
void pen_put_u64(struct pen *p, uint64_t decimal);

/* JSON string content (RFC 8259 §7). Room for text.len bytes must have been granted; escapes find
 * their own. */
void pen_raw_escaped(struct pen *p, struct slice text);
static inline void pen_put_escaped(struct pen *p, struct slice text)
{
        if (pen_room(p, text.len))
                pen_raw_escaped(p, text);
}

#endif
