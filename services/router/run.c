#include "common/base/hash.h"
#include "services/router/run.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "runs are stored in host order");

void run_set_index(void *room, uint32_t i, struct log_offset at, uint32_t end)
{
        char *p = (char *)room + RUN_HEAD_BYTES + (size_t)i * RUN_INDEX_BYTES;
        memcpy(p, &at.tx, 8);
        memcpy(p + 8, &at.op, 8);
        memcpy(p + 16, &end, 4);
}

char *run_room(void *room, uint32_t n)
{
        return (char *)room + run_bytes(n, 0);
}

void run_seal(void *room, uint32_t n, size_t entries_bytes)
{
        SLUICE_ASSERT(n > 0);
        char *p = room;
        memcpy(p + 8, &n, 4);
        uint64_t sum = hash64(slice_of(p + 8, run_bytes(n, entries_bytes) - 8));
        memcpy(p, &sum, 8);
}

static uint32_t entry_end(const struct run *r, uint32_t i)
{
        uint32_t end;
        memcpy(&end, r->index + (size_t)i * RUN_INDEX_BYTES + 16, 4);
        return end;
}

int run_parse(struct slice value, struct run *out)
{
        uint64_t sum;
        uint32_t n;
        if (value.len < RUN_HEAD_BYTES)
                return ERR_CORRUPT;
        memcpy(&sum, value.p, 8);
        memcpy(&n, value.p + 8, 4);
        if (n == 0 || n > (value.len - RUN_HEAD_BYTES) / RUN_INDEX_BYTES ||
            hash64(slice_of(value.p + 8, value.len - 8)) != sum)
                return ERR_CORRUPT;
        size_t head = run_bytes(n, 0);
        struct run r = {
                .n = n,
                .index = (const unsigned char *)value.p + RUN_HEAD_BYTES,
                .bytes = slice_of(value.p + head, value.len - head),
        };
        if (entry_end(&r, n - 1) != r.bytes.len)
                return ERR_CORRUPT;
        *out = r;
        return 0;
}

struct log_offset run_offset(const struct run *r, uint32_t i)
{
        struct log_offset at;
        SLUICE_ASSERT(i < r->n);
        memcpy(&at.tx, r->index + (size_t)i * RUN_INDEX_BYTES, 8);
        memcpy(&at.op, r->index + (size_t)i * RUN_INDEX_BYTES + 8, 8);
        return at;
}

static uint32_t entry_start(const struct run *r, uint32_t i)
{
        return i == 0 ? 0 : entry_end(r, i - 1) + 1;
}

int run_slice(const struct run *r, uint32_t from, uint32_t to, struct slice *out)
{
        SLUICE_ASSERT(from < to && to <= r->n);
        uint32_t start = entry_start(r, from), end = entry_end(r, to - 1);
        if (start > end || end > r->bytes.len)
                return ERR_CORRUPT;
        *out = slice_of(r->bytes.p + start, end - start);
        return 0;
}

uint32_t run_find(const struct run *r, struct log_offset at)
{
        uint32_t low = 0, high = r->n;
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (offset_cmp(run_offset(r, mid), at) <= 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

uint32_t run_fit(const struct run *r, uint32_t from, uint32_t limit, uint64_t max_bytes)
{
        SLUICE_ASSERT(from < limit && limit <= r->n);
        uint64_t start = entry_start(r, from);
        uint32_t low = from + 1, high = limit;
        while (low < high) {
                uint32_t mid = low + (high - low + 1) / 2;
                if (entry_end(r, mid - 1) - start <= max_bytes)
                        low = mid;
                else
                        high = mid - 1;
        }
        return low;
}
