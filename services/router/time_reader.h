/* Reading texts of times piece by piece. */
#ifndef SERVICES_ROUTER_TIME_READER_H
#define SERVICES_ROUTER_TIME_READER_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/slice.h"

struct reader {
        struct slice s; /* what is left */
        int error;      /* sticky */
};

static inline bool reader_next_is(const struct reader *r, char c)
{
        return r->s.len && r->s.p[0] == c;
}

static inline void reader_skip(struct reader *r, size_t n)
{
        r->s = slice_of(r->s.p + n, r->s.len - n);
}

static inline bool reader_take(struct reader *r, char c)
{
        if (!reader_next_is(r, c))
                return false;
        reader_skip(r, 1);
        return true;
}

/* ERR_FORMAT, if it is not there. */
static inline void reader_expect(struct reader *r, char c)
{
        if (!reader_take(r, c))
                r->error = ERR_FORMAT;
}

#endif
