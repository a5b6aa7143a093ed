#include "services/router/held.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

void held_init(struct held *h, size_t max_bytes)
{
        *h = (struct held){.max_bytes = max_bytes};
}

void held_fini(struct held *h)
{
        held_drop(h, held_next(h));
        mem_free(h->batches);
        h->batches = NULL;
}

bool held_push(struct held *h, struct batch *b)
{
        if (h->bytes + b->bytes.len > h->max_bytes) {
                held_drop(h, held_next(h));
                h->first++; /* the one that is not kept has a number, too */
                return false;
        }
        if (h->n == h->cap) {
                h->cap = h->cap ? h->cap * 2 : 16;
                h->batches = mem_resize(h->batches, h->cap, sizeof(struct batch *));
        }
        h->batches[h->n++] = batch_ref(b);
        h->bytes += b->bytes.len;
        return true;
}

struct batch *held_get(const struct held *h, uint64_t number)
{
        SLUICE_ASSERT(number >= h->first && number < held_next(h));
        return h->batches[number - h->first];
}

void held_drop(struct held *h, uint64_t number)
{
        SLUICE_ASSERT(number <= held_next(h));
        size_t n = number > h->first ? (size_t)(number - h->first) : 0;
        for (size_t i = 0; i < n; i++) {
                h->bytes -= h->batches[i]->bytes.len;
                batch_unref(h->batches[i]);
        }
        if (n == 0)
                return;
        memmove(h->batches, h->batches + n, (h->n - n) * sizeof(struct batch *));
        h->n -= n;
        h->first += n;
        if (h->n == 0) {
                mem_free(h->batches);
                h->batches = NULL;
                h->cap = 0;
        }
}
