#include "common/base/slice.h"

#include "common/base/err.h"
#include "common/base/mem.h"

int slice_cmp(struct slice a, struct slice b)
{
        size_t shared = a.len < b.len ? a.len : b.len;
        int order = shared ? memcmp(a.p, b.p, shared) : 0;
        if (order != 0)
                return order;
        return (a.len > b.len) - (a.len < b.len);
}

bool slice_starts(struct slice s, struct slice prefix)
{
        return s.len >= prefix.len && slice_eq(slice_of(s.p, prefix.len), prefix);
}

struct slice slice_dup(struct slice s)
{
        return slice_of(slice_dup_cstr(s), s.len);
}

char *slice_dup_cstr(struct slice s)
{
        char *copy = mem_array(s.len + 1, 1);
        if (s.len)
                memcpy(copy, s.p, s.len);
        copy[s.len] = '\0';
        return copy;
}

int slice_parse_u64(struct slice s, uint64_t *out)
{
        uint64_t value = 0;
        if (s.len == 0)
                return ERR_FORMAT;
        for (size_t i = 0; i < s.len; i++) {
                if (s.p[i] < '0' || s.p[i] > '9')
                        return ERR_FORMAT;
                if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value))
                        return ERR_RANGE;
        }
        *out = value;
        return 0;
}
