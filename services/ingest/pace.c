#include "services/ingest/pace.h"

static const uint64_t REST_US = 1000 * PACE_REST_MS;

void pace_cut(struct pace *p, uint64_t now_us)
{
        p->close = p->cut_us > 0 && now_us - p->cut_us < 2 * REST_US;
        p->cut_us = now_us;
}

bool pace_may_rest(const struct pace *p, uint64_t now_us)
{
        return p->close && now_us - p->cut_us < REST_US;
}

bool pace_may_rest_in_txn(size_t waiting_bytes)
{
        return waiting_bytes >= PACE_LARGE_BYTES;
}
