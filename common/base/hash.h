/* Hashing: xxh3. Short texts by code that is compiled in, because a call would cost more than they
 * do. Longer ones by the library, which takes the widest vectors that the processor has; under
 * these names: libpg_query exports the usual ones, and whose code then runs would be an accident of
 * the link order. The result is the same. */
#ifndef COMMON_BASE_HASH_H
#define COMMON_BASE_HASH_H

#define XXH_INLINE_ALL
#include <stdint.h>
#include <xxhash.h>

#include "common/base/slice.h"

enum { HASH_LONG_BYTES = 1024 };

uint64_t hash64_long(struct slice s);
uint64_t hash64_long_seeded(struct slice s, uint64_t seed);

static inline uint64_t hash64(struct slice s)
{
        return s.len < HASH_LONG_BYTES ? XXH3_64bits(s.p, s.len) : hash64_long(s);
}

static inline uint64_t hash64_seeded(struct slice s, uint64_t seed)
{
        return s.len < HASH_LONG_BYTES ? XXH3_64bits_withSeed(s.p, s.len, seed)
                                       : hash64_long_seeded(s, seed);
}

#endif
