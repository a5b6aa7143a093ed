#include "services/edge/cursor.h"

enum { CURSOR_EPOCH_S = 1728432000 /* 2024-10-09T00:00:00Z */, CURSOR_MAX_JUMP_S = 3600 };

uint64_t cursor_next(uint64_t wall_us, uint64_t long_poll_ms, struct slice previous,
                     uint64_t random)
{
        uint64_t period = long_poll_ms / 1000, now_s = wall_us / 1000000, last;
        if (period == 0)
                return 0;
        uint64_t since = now_s > CURSOR_EPOCH_S ? now_s - CURSOR_EPOCH_S : 0;
        uint64_t next = (since + period - 1) / period * period;
        if (previous.len == 0)
                return next;
        /* A number that leaves no room to jump is not one of ours. */
        if (slice_parse_u64(previous, &last) != 0 || last > UINT64_MAX - CURSOR_MAX_JUMP_S)
                return 0;
        return next <= last ? last + 1 + random % CURSOR_MAX_JUMP_S : next;
}
