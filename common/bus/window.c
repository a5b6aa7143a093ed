#include "common/bus/window.h"

#include "common/base/assert.h"
#include "common/base/mem.h"

struct frame {
        char *p;
        size_t len;
        lsn_t last_lsn;
};

/* A ring: the frame of seq s is at slots[s % max_frames]. */
struct window {
        uint32_t magic;
        size_t max_bytes, bytes;
        uint32_t max_frames;
        uint64_t first, next; /* seqs held: [first, next) */
        lsn_t start_lsn;      /* last_lsn of what came before `first` */
        struct frame *slots;
};

enum { WINDOW_MAGIC = 0x3149d001 };

struct window *window_new(size_t max_bytes, uint32_t max_frames, lsn_t start_lsn)
{
        SLUICE_ASSERT(max_frames > 0);
        struct window *w = mem_new(struct window);
        *w = (struct window){.magic = WINDOW_MAGIC,
                             .max_bytes = max_bytes,
                             .max_frames = max_frames,
                             .first = 1,
                             .next = 1,
                             .start_lsn = start_lsn,
                             .slots = mem_zalloc(max_frames * sizeof(struct frame))};
        return w;
}

static struct frame *slot(const struct window *w, uint64_t seq)
{
        return &w->slots[seq % w->max_frames];
}

void window_free(struct window *w)
{
        if (!w)
                return;
        CHECK_OBJ(w, WINDOW_MAGIC);
        window_release(w, w->next - 1);
        mem_free(w->slots);
        w->magic = 0;
        mem_free(w);
}

bool window_has_room(const struct window *w)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        return w->bytes < w->max_bytes && w->next - w->first < w->max_frames;
}

void window_push(struct window *w, uint64_t seq, lsn_t last_lsn, struct slice frame)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        SLUICE_ASSERT(seq == w->next && w->next - w->first < w->max_frames);
        *slot(w, seq) = (struct frame){(char *)frame.p, frame.len, last_lsn};
        w->bytes += frame.len;
        w->next++;
}

void window_release(struct window *w, uint64_t seq)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        for (; w->first < w->next && w->first <= seq; w->first++) {
                struct frame *f = slot(w, w->first);
                w->bytes -= f->len;
                w->start_lsn = f->last_lsn;
                mem_free(f->p);
                *f = (struct frame){0};
        }
}

bool window_get(const struct window *w, uint64_t seq, struct slice *frame)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        if (seq < w->first || seq >= w->next)
                return false;
        *frame = slice_of(slot(w, seq)->p, slot(w, seq)->len);
        return true;
}

/* Binary search: the ends never decrease. */
bool window_find(const struct window *w, lsn_t lsn, uint64_t *seq)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        if (lsn_cmp(lsn, w->start_lsn) < 0)
                return false;
        uint64_t low = w->first, high = w->next;
        while (low < high) {
                uint64_t middle = low + (high - low) / 2;
                if (lsn_cmp(slot(w, middle)->last_lsn, lsn) > 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        *seq = low;
        return true;
}

uint64_t window_next_seq(const struct window *w)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        return w->next;
}

uint64_t window_first_seq(const struct window *w)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        return w->first;
}

size_t window_bytes(const struct window *w)
{
        CHECK_OBJ(w, WINDOW_MAGIC);
        return w->bytes;
}
