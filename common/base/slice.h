/* Counted strings. A slice borrows: whoever made it says how long the bytes live. */
#ifndef COMMON_BASE_SLICE_H
#define COMMON_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
        const char *p;
        size_t len;
};

#define SLICE_LIT(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_EMPTY        ((struct slice){"", 0})
/* For printf's "%.*s". */
#define SLICE_FMT(s) (int)(s).len, (s).p

static inline struct slice slice_of(const char *p, size_t len)
{
        return (struct slice){p, len};
}

static inline struct slice slice_cstr(const char *text)
{
        return (struct slice){text, strlen(text)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Bytewise order; a prefix sorts before what it prefixes. */
int slice_cmp(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);

/* Heap copies, owned by the caller; the second is NUL-terminated. */
struct slice slice_dup(struct slice s);
char *slice_dup_cstr(struct slice s);

/* Whole decimal number without sign or space: ERR_FORMAT, or ERR_RANGE above UINT64_MAX. */
int slice_parse_u64(struct slice s, uint64_t *out);

#endif
