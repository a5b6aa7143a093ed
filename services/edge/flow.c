#include "services/edge/flow.h"

#include "common/base/assert.h"

void flow_init(struct flow *f)
{
        *f = (struct flow){.generation = 1};
}

enum flow_verdict flow_frame(struct flow *f, uint64_t epoch, uint64_t seq, uint64_t now_ms)
{
        bool was_live = f->live && now_ms - f->last_frame_ms <= FLOW_MAX_SILENCE_MS;
        enum gap_verdict verdict = gap_check(&f->gap, epoch, seq);
        switch (verdict) {
        case GAP_OLD:
                return FLOW_DROP;
        case GAP_NEXT:
                break;
        case GAP_MISSING:
        case GAP_NEW_EPOCH:
                gap_adopt(&f->gap, epoch, seq + 1);
                break;
        }
        f->last_frame_ms = now_ms;
        f->live = true;
        if (verdict == GAP_NEXT && was_live)
                return FLOW_TAKE;
        f->generation++;
        return FLOW_BROKEN;
}

bool flow_check_silence(struct flow *f, uint64_t now_ms)
{
        if (!f->live || now_ms - f->last_frame_ms <= FLOW_MAX_SILENCE_MS)
                return false;
        f->live = false;
        f->generation++;
        return true;
}

bool flow_trusts(const struct flow *f, uint64_t generation, uint64_t now_ms)
{
        return f->live && generation == f->generation &&
               now_ms - f->last_frame_ms <= FLOW_MAX_SILENCE_MS;
}

void flow_saw_lsn(struct flow *f, lsn_t lsn)
{
        if (lsn_cmp(lsn, f->lsn) > 0)
                f->lsn = lsn;
}
