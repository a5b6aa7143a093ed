#include "common/base/hash.h"

#ifdef __x86_64__
/* Exported by libxxhash; its header would rename the functions that are compiled in. */
XXH64_hash_t XXH3_64bits_dispatch(const void *bytes, size_t len);
XXH64_hash_t XXH3_64bits_withSeed_dispatch(const void *bytes, size_t len, XXH64_hash_t seed);

uint64_t hash64_long(struct slice s)
{
        return XXH3_64bits_dispatch(s.p, s.len);
}

uint64_t hash64_long_seeded(struct slice s, uint64_t seed)
{
        return XXH3_64bits_withSeed_dispatch(s.p, s.len, seed);
}
#else
uint64_t hash64_long(struct slice s)
{
        return XXH3_64bits(s.p, s.len);
}

uint64_t hash64_long_seeded(struct slice s, uint64_t seed)
{
        return XXH3_64bits_withSeed(s.p, s.len, seed);
}
#endif
