#include "common/bus/gap.h"

enum gap_verdict gap_check(struct gap *g, uint64_t epoch, uint64_t seq)
{
        if (epoch < g->epoch)
                return GAP_OLD;
        if (epoch > g->epoch)
                return GAP_NEW_EPOCH;
        if (seq < g->next_seq)
                return GAP_OLD;
        if (seq > g->next_seq)
                return GAP_MISSING;
        g->next_seq++;
        return GAP_NEXT;
}

void gap_adopt(struct gap *g, uint64_t epoch, uint64_t next_seq)
{
        *g = (struct gap){epoch, next_seq};
}
