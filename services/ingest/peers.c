#include "services/ingest/peers.h"

#include "common/base/assert.h"
#include "common/base/err.h"

void peers_begin(struct peers *p, uint32_t n, const struct term *term)
{
        SLUICE_ASSERT(n > 0 && n <= PEERS_MAX && term->epoch > 0);
        uint64_t claimed = p->claimed;
        *p = (struct peers){.term = *term,
                            .n = n,
                            .confirmed = term->start,
                            .claimed = claimed,
                            .disproved = claimed};
}

/* Is what the router has a prefix of this database's WAL, and does the slot go back far enough to
 * continue it? */
static bool can_continue(const struct peers *p, const struct msg_hello *hello, lsn_t reach)
{
        const struct term *t = &p->term;
        lsn_t applied = {hello->applied_lsn};
        bool same_history = hello->system_id == 0 ||
                            (hello->system_id == t->system_id && hello->timeline == t->timeline &&
                             hello->epoch <= t->epoch && hello->epoch >= t->slot_epoch);
        lsn_t newest = lsn_cmp(reach, t->known) > 0 ? reach : t->known;
        return same_history && lsn_cmp(applied, newest) <= 0 && lsn_cmp(applied, p->confirmed) >= 0;
}

static void follow(struct peers *p, uint64_t router, uint64_t next_seq, lsn_t start, lsn_t synced,
                   bool purge, struct msg_hello_ok *ok)
{
        p->list[router] = (struct peer){
                .heard = true, .acked_seq = next_seq - 1, .applied = synced, .synced = synced};
        *ok = (struct msg_hello_ok){.type = MSG_hello_ok,
                                    .epoch = p->term.epoch,
                                    .system_id = p->term.system_id,
                                    .timeline = p->term.timeline,
                                    .next_seq = next_seq,
                                    .start_lsn = start.v,
                                    .purge = purge};
}

enum hello_verdict peers_hello(struct peers *p, const struct msg_hello *hello,
                               const struct window *window, lsn_t reach, struct msg_hello_ok *ok)
{
        if (hello->router >= p->n)
                return HELLO_UNKNOWN;
        lsn_t applied = {hello->applied_lsn}, synced = {hello->synced_lsn};
        if (lsn_cmp(synced, applied) > 0)
                synced = applied;
        bool has_nothing = applied.v == 0;
        uint64_t next_seq;
        bool same_system =
                hello->system_id == p->term.system_id && hello->timeline == p->term.timeline;
        if (!has_nothing && same_system && hello->epoch > p->term.epoch &&
            hello->epoch > p->disproved) {
                if (hello->epoch > p->claimed)
                        p->claimed = hello->epoch;
                return HELLO_AHEAD;
        }
        if (has_nothing || !can_continue(p, hello, reach)) {
                /* Nothing of the past is needed, so nothing of it must become durable. */
                follow(p, hello->router, window_next_seq(window), reach, reach, !has_nothing, ok);
                return HELLO_FOLLOW;
        }
        /* who has not followed this term sees all of it: the router compares it with what it has */
        bool known = hello->epoch == p->term.epoch;
        if (!known && window_first_seq(window) > 1)
                return HELLO_RESTART;
        if (!known) {
                follow(p, hello->router, 1, p->term.start, synced, false, ok);
                return HELLO_FOLLOW;
        }
        if (!window_find(window, applied, &next_seq))
                return HELLO_RESTART;
        follow(p, hello->router, next_seq, applied, synced, false, ok);
        return HELLO_FOLLOW;
}

int peers_ack(struct peers *p, const struct msg_ack *ack, const struct window *window, lsn_t reach)
{
        if (ack->epoch != p->term.epoch || ack->router >= p->n || !p->list[ack->router].heard)
                return ERR_NOTFOUND;
        lsn_t newest = lsn_cmp(reach, p->term.known) > 0 ? reach : p->term.known;
        if (ack->seq >= window_next_seq(window) || ack->synced_lsn > ack->applied_lsn ||
            ack->applied_lsn > newest.v)
                return ERR_RANGE;
        struct peer *peer = &p->list[ack->router];
        if (ack->seq > peer->acked_seq) /* acknowledgements may overtake each other */
                peer->acked_seq = ack->seq;
        if (ack->applied_lsn > peer->applied.v)
                peer->applied.v = ack->applied_lsn;
        if (ack->synced_lsn > peer->synced.v)
                peer->synced.v = ack->synced_lsn;
        return 0;
}

void peers_saw(struct peers *p, uint64_t router, uint64_t now_ms)
{
        SLUICE_ASSERT(router < p->n);
        p->list[router].seen_ms = now_ms;
}

static bool is_silent(const struct peer *peer, uint64_t since_ms)
{
        return peer->heard && peer->seen_ms < since_ms;
}

uint32_t peers_forget_silent(struct peers *p, uint64_t since_ms)
{
        uint32_t silent = UINT32_MAX;
        bool others = false;
        for (uint32_t i = 0; i < p->n; i++) {
                if (is_silent(&p->list[i], since_ms))
                        silent = i;
                else if (p->list[i].heard)
                        others = true;
        }
        if (silent == UINT32_MAX || !others)
                return UINT32_MAX;
        p->list[silent].heard = false;
        return silent;
}

uint64_t peers_acked_seq(const struct peers *p)
{
        uint64_t least = UINT64_MAX;
        for (uint32_t i = 0; i < p->n; i++)
                if (p->list[i].heard && p->list[i].acked_seq < least)
                        least = p->list[i].acked_seq;
        return least == UINT64_MAX ? 0 : least;
}

uint32_t peers_heard(const struct peers *p)
{
        uint32_t heard = 0;
        for (uint32_t i = 0; i < p->n; i++)
                heard += p->list[i].heard;
        return heard;
}

lsn_t peers_applied(const struct peers *p)
{
        lsn_t least = {UINT64_MAX};
        for (uint32_t i = 0; i < p->n; i++) {
                lsn_t applied = p->list[i].heard ? p->list[i].applied : p->term.start;
                if (lsn_cmp(applied, least) < 0)
                        least = applied;
        }
        return p->n ? least : (lsn_t){0};
}
