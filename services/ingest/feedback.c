#include "services/ingest/feedback.h"

#include "common/base/assert.h"

static const uint64_t PG_EPOCH_US = 946684800000000ULL;
enum { SOONEST_MS = 100, LATEST_MS = 15000 };

lsn_t feedback_confirm(struct peers *p)
{
        lsn_t least = {UINT64_MAX};
        for (uint32_t i = 0; i < p->n; i++) {
                lsn_t synced = p->list[i].heard ? p->list[i].synced : p->term.start;
                if (lsn_cmp(synced, least) < 0)
                        least = synced;
        }
        if (lsn_cmp(least, p->confirmed) > 0) {
                for (uint32_t i = 0; i < p->n; i++) /* I3 */
                        SLUICE_ASSERT(p->list[i].heard && lsn_cmp(least, p->list[i].synced) <= 0);
                p->confirmed = least;
        }
        SLUICE_ASSERT(lsn_cmp(p->confirmed, p->term.start) >= 0);
        return p->confirmed;
}

static void put_u64(char *at, uint64_t v)
{
        for (int i = 0; i < 8; i++)
                at[i] = (char)(v >> (56 - 8 * i));
}

void feedback_status(lsn_t received, lsn_t confirmed, uint64_t wall_us,
                     char out[FEEDBACK_STATUS_BYTES])
{
        lsn_t flush = feedback_flush_lsn(confirmed), written = feedback_flush_lsn(received);
        if (lsn_cmp(written, flush) <
            0) /* a router may have more than this stream has brought so far */
                written = flush;
        out[0] = 'r';
        put_u64(out + 1, written.v);
        put_u64(out + 9, flush.v);
        put_u64(out + 17, flush.v);
        put_u64(out + 25, wall_us - PG_EPOCH_US);
        out[33] = 0; /* no answer wanted */
}

uint64_t feedback_interval_ms(uint64_t wal_sender_timeout_ms)
{
        uint64_t third = wal_sender_timeout_ms / 3;
        if (wal_sender_timeout_ms == 0 || third > LATEST_MS)
                return LATEST_MS;
        return third < SOONEST_MS ? SOONEST_MS : third;
}
