/* What targets of recent requests mean. The clients of one shape send the same text again and
 * again, all of them after each change: it need not be decoded, validated and turned into a
 * definition each time. For GET and HEAD of /v1/shape, which depend on nothing but their target
 * (the secret is part of it). A place for each hash, the last comer wins; a target is kept from its
 * second time on. One thread. */
#ifndef SERVICES_EDGE_MEMO_H
#define SERVICES_EDGE_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/offset.h"
#include "common/base/slice.h"

enum { MEMO_PLACES = 256, MEMO_MAX_TARGET = 2048 };

struct def;

/* A valid request for a shape's log. */
struct memo_meaning {
        struct def *def;
        struct offset_request offset;
        struct slice handle, cursor; /* empty: none */
        bool live, sse;
};

struct memo {
        struct memo_place {
                uint64_t hash; /* of the last target that came */
                char *target;  /* NULL: seen once; followed by handle and cursor */
                uint32_t target_len;
                struct memo_meaning meaning;
        } * places; /* NULL before the first put */
};

void memo_init(struct memo *m);
void memo_fini(struct memo *m);
/* Borrowed until the next put, or NULL. */
const struct memo_meaning *memo_find(const struct memo *m, struct slice target);
/* Copies; takes a reference to the definition. */
void memo_put(struct memo *m, struct slice target, const struct memo_meaning *meaning);

#endif
