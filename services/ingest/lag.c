#include "services/ingest/lag.h"

static void thin_out(struct lag *l)
{
        uint32_t kept = 0;
        for (uint32_t i = 0; i < l->n; i += 2)
                l->samples[kept++] = l->samples[i];
        l->n = kept;
        l->stride_ms = (l->samples[kept - 1].at_ms - l->samples[0].at_ms) / kept;
}

void lag_note(struct lag *l, lsn_t end, uint64_t now_ms)
{
        struct lag_sample *last = l->n ? &l->samples[l->n - 1] : NULL;
        if (last && lsn_cmp(end, last->end) == 0)
                return;
        if (last && lsn_cmp(end, last->end) < 0)
                *l = (struct lag){0};
        if (l->n > 1 && now_ms - l->samples[l->n - 2].at_ms < l->stride_ms)
                l->n--; /* the last one stands for a moment only */
        if (l->n == LAG_SAMPLES)
                thin_out(l);
        l->samples[l->n++] = (struct lag_sample){end, now_ms};
}

void lag_release(struct lag *l, lsn_t at)
{
        uint32_t gone = 0;
        while (gone + 1 < l->n && lsn_cmp(l->samples[gone].end, at) <= 0)
                gone++;
        l->n -= gone;
        for (uint32_t i = 0; gone > 0 && i < l->n; i++)
                l->samples[i] = l->samples[i + gone];
        if (l->n < LAG_SAMPLES / 4)
                l->stride_ms = 0;
}

uint64_t lag_bytes(const struct lag *l, lsn_t at)
{
        lsn_t end = l->n ? l->samples[l->n - 1].end : at;
        return lsn_cmp(end, at) > 0 ? end.v - at.v : 0;
}

uint64_t lag_ms(const struct lag *l, lsn_t at, uint64_t now_ms)
{
        uint32_t low = 0, high = l->n; /* first sample beyond `at` */
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (lsn_cmp(l->samples[mid].end, at) > 0)
                        high = mid;
                else
                        low = mid + 1;
        }
        return low < l->n ? now_ms - l->samples[low].at_ms : 0;
}
