/* Hashing: xxh3, compiled in. (libpg_query exports the same names; linked by name, whose code runs
 * would be an accident of the link order.) */
#ifndef COMMON_BASE_HASH_H
#define COMMON_BASE_HASH_H

#define XXH_INLINE_ALL
#include <stdint.h>
#include <xxhash.h>

#include "common/base/slice.h"

static inline uint64_t hash64(struct slice s)
{
        return XXH3_64bits(s.p, s.len);
}

static inline uint64_t hash64_seeded(struct slice s, uint64_t seed)
{
        return XXH3_64bits_withSeed(s.p, s.len, seed);
}

#endif
