#include "tests/bench/ids.h"

#include <string.h>

#include "common/base/mem.h"

static size_t words(const struct ids *s)
{
        return (size_t)((s->count + 63) / 64);
}

void ids_init(struct ids *s, uint64_t first, uint64_t count)
{
        *s = (struct ids){.first = first, .count = count};
        s->bits = mem_array(words(s) + 1, sizeof *s->bits);
        ids_reset(s);
}

void ids_fini(struct ids *s)
{
        mem_free(s->bits);
        s->bits = NULL;
}

void ids_reset(struct ids *s)
{
        memset(s->bits, 0, words(s) * sizeof *s->bits);
        s->seen = 0;
}

bool ids_see(struct ids *s, uint64_t id)
{
        uint64_t at = id - s->first;
        if (id < s->first || at >= s->count)
                return false;
        uint64_t bit = (uint64_t)1 << (at % 64);
        if (s->bits[at / 64] & bit)
                return false;
        s->bits[at / 64] |= bit;
        s->seen++;
        return true;
}
