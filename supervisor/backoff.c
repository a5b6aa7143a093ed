#include "supervisor/backoff.h"

#include <stddef.h>

#include "common/base/assert.h"

enum { EXIT_REFUSED = 1, EXIT_CONFIGURATION = 2 };

void backoff_started(struct backoff *b, uint64_t now_ms)
{
        SLUICE_ASSERT(b != NULL);
        b->started_ms = now_ms;
}

static uint64_t delay_ms(unsigned failures)
{
        uint64_t ms = BACKOFF_MIN_MS;
        for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
                ms *= 2;
        return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

bool backoff_ended(struct backoff *b, uint64_t now_ms, int exit_status, uint64_t *after_ms)
{
        SLUICE_ASSERT(b != NULL && after_ms != NULL && now_ms >= b->started_ms);
        if (now_ms - b->started_ms >= BACKOFF_STABLE_MS) {
                b->was_stable = true;
                b->failures = 0;
                b->refusals = 0;
        }
        b->failures++;
        b->refusals = exit_status == EXIT_REFUSED ? b->refusals + 1 : 0;
        if (!b->was_stable &&
            (exit_status == EXIT_CONFIGURATION || b->refusals >= BACKOFF_GIVE_UP_AFTER))
                return false;
        *after_ms = delay_ms(b->failures);
        return true;
}
