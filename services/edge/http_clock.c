#include "services/edge/http_clock.h"

#include "common/base/assert.h"
#include "common/base/clock.h"

enum { STEP_MS = 100 };

static int64_t ahead_ms(void)
{
        return (int64_t)(clock_wall_us() / 1000) - (int64_t)clock_mono_ms();
}

void http_clock_init(struct http_clock *c)
{
        SLUICE_ASSERT(c != NULL);
        *c = (struct http_clock){.ahead_ms = ahead_ms()};
}

/* What was set in this turn may know the new time already: nothing is set in the future. */
static void move(h2o_evloop_t *loop, h2o_timeout_t *timeout, int64_t step_ms)
{
        h2o_linklist_t *anchor = &timeout->_entries;
        for (h2o_linklist_t *l = anchor->next; l != anchor; l = l->next) {
                h2o_timeout_entry_t *entry = H2O_STRUCT_FROM_MEMBER(h2o_timeout_entry_t, _link, l);
                uint64_t at = entry->registered_at + (uint64_t)step_ms;
                entry->registered_at = at < h2o_now(loop) ? at : h2o_now(loop);
        }
}

void http_clock_follow(struct http_clock *c, h2o_evloop_t *loop)
{
        int64_t now = ahead_ms();
        int64_t step = now - c->ahead_ms;
        if (step > -STEP_MS && step < STEP_MS)
                return;
        c->ahead_ms = now;
        for (h2o_linklist_t *l = loop->_timeouts.next; l != &loop->_timeouts; l = l->next)
                move(loop, H2O_STRUCT_FROM_MEMBER(h2o_timeout_t, _link, l), step);
}
