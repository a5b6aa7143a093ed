#include "services/router/xidset.h"

#include <string.h>
#include <sys/mman.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

#define SPAN      (UINT32_C(1) << XIDSET_SPAN_BITS)
#define MASK      (SPAN - 1)
#define MAP_BYTES ((size_t)SPAN / 8)
enum { LATE = 1024 };

/* Stored as it is, up to the xids it has. */
struct slot {
        uint64_t serial;
        uint32_t xids[XIDSET_SLOT_XIDS];
        uint32_t n;
        bool dirty;
};

enum { SLOT_HEAD_BYTES = sizeof(uint64_t) };

struct xidset {
        uint64_t *bits;
        bool any;
        uint32_t newest;     /* circularly largest member */
        uint32_t late[LATE]; /* members that were too old for the bitmap when they came */
        uint32_t n_late;
        struct slot *ring; /* XIDSET_SLOTS */
        uint64_t serial;   /* of the slot being filled, which is slot serial % XIDSET_SLOTS */
        bool any_dirty;
};

struct xidset *xidset_new(void)
{
        struct xidset *x = mem_new(struct xidset);
        x->bits = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        SLUICE_ASSERT(x->bits != MAP_FAILED);
        x->ring = mem_zalloc(XIDSET_SLOTS * sizeof(*x->ring));
        return x;
}

void xidset_free(struct xidset *x)
{
        munmap(x->bits, MAP_BYTES);
        mem_free(x->ring);
        mem_free(x);
}

static int32_t age(const struct xidset *x, uint32_t xid)
{
        return (int32_t)(x->newest - xid);
}

static bool bit_get(const struct xidset *x, uint32_t xid)
{
        return x->bits[(xid & MASK) / 64] >> (xid & 63) & 1;
}

/* Gives the pages back instead of writing zeros. */
static void clear_bits(struct xidset *x)
{
        SLUICE_ASSERT(madvise(x->bits, MAP_BYTES, MADV_DONTNEED) == 0);
}

/* Bits of [from, to] are those of xids one span older: forget them. */
static void forget(struct xidset *x, uint32_t from, uint32_t to)
{
        if (to - from >= SPAN) {
                clear_bits(x);
                return;
        }
        for (uint32_t i = from;;) {
                uint64_t *word = &x->bits[(i & MASK) / 64];
                bool whole = (i & 63) == 0 && to - i >= 63;
                /* reading an untouched page does not take memory, writing does */
                if (whole && *word)
                        *word = 0;
                else if (!whole && *word)
                        *word &= ~(UINT64_C(1) << (i & 63));
                uint32_t step = whole ? 63 : 0;
                if (to - i <= step)
                        return;
                i += step + 1;
        }
}

static void add_to_set(struct xidset *x, uint32_t xid)
{
        if (!x->any || age(x, xid) < 0) {
                if (x->any)
                        forget(x, x->newest + 1, xid);
                x->newest = xid;
                x->any = true;
        }
        if ((uint32_t)age(x, xid) < SPAN)
                x->bits[(xid & MASK) / 64] |= UINT64_C(1) << (xid & 63);
        else
                x->late[x->n_late++ % LATE] = xid;
}

void xidset_add(struct xidset *x, uint32_t xid)
{
        add_to_set(x, xid);
        struct slot *slot = &x->ring[x->serial % XIDSET_SLOTS];
        if (slot->n == XIDSET_SLOT_XIDS) {
                slot = &x->ring[++x->serial % XIDSET_SLOTS];
                slot->n = 0;
        }
        slot->serial = x->serial;
        slot->xids[slot->n++] = xid;
        slot->dirty = x->any_dirty = true;
}

bool xidset_has(const struct xidset *x, uint32_t xid)
{
        if (!x->any || age(x, xid) < 0)
                return false;
        if ((uint32_t)age(x, xid) < SPAN)
                return bit_get(x, xid);
        for (uint32_t i = 0; i < LATE && i < x->n_late; i++)
                if (x->late[i] == xid)
                        return true;
        return false;
}

bool xidset_next(const struct xidset *x, uint32_t *xid)
{
        if (!x->any || age(x, *xid) < 0 || (uint32_t)age(x, *xid) >= SPAN)
                return false;
        for (uint32_t i = *xid;;) {
                uint64_t word = x->bits[(i & MASK) / 64] >> (i & 63);
                uint32_t step = word ? (uint32_t)__builtin_ctzll(word) : 64 - (i & 63);
                if (x->newest - i < step)
                        return false;
                i += step;
                if (word) {
                        *xid = i;
                        return true;
                }
        }
}

void xidset_clear(struct xidset *x)
{
        clear_bits(x);
        x->any = false;
        x->n_late = 0;
        for (uint32_t i = 0; i < XIDSET_SLOTS; i++) {
                x->ring[i].dirty |= x->ring[i].n > 0;
                x->any_dirty |= x->ring[i].dirty;
                x->ring[i].n = 0;
        }
}

bool xidset_unsaved(const struct xidset *x, uint32_t *slot, struct slice *record)
{
        for (; x->any_dirty && *slot < XIDSET_SLOTS; (*slot)++) {
                const struct slot *s = &x->ring[*slot];
                if (!s->dirty)
                        continue;
                *record = slice_of((const char *)s, SLOT_HEAD_BYTES + s->n * sizeof(s->xids[0]));
                return true;
        }
        return false;
}

void xidset_saved(struct xidset *x)
{
        for (uint32_t i = 0; x->any_dirty && i < XIDSET_SLOTS; i++)
                x->ring[i].dirty = false;
        x->any_dirty = false;
}

int xidset_load(struct xidset *x, uint32_t slot, struct slice record)
{
        SLUICE_ASSERT(slot < XIDSET_SLOTS);
        struct slot *s = &x->ring[slot];
        size_t bytes = record.len - SLOT_HEAD_BYTES;
        if (record.len < SLOT_HEAD_BYTES || bytes % sizeof(s->xids[0]) != 0 ||
            bytes > sizeof(s->xids))
                return ERR_CORRUPT;
        memcpy(s, record.p, record.len);
        s->n = (uint32_t)(bytes / sizeof(s->xids[0]));
        if (s->serial % XIDSET_SLOTS != slot)
                return ERR_CORRUPT;
        for (uint32_t i = 0; i < s->n; i++)
                add_to_set(x, s->xids[i]);
        if (s->serial > x->serial)
                x->serial = s->serial;
        return 0;
}
