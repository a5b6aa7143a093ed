/* How far a loop may rely on the notices of one router. They are lossy (common/wire/notice.h), so
 * what a loop remembers of a shape counts only while they came without a gap and without a long
 * silence. Each time they did not, the generation grows: knowledge of an older one must be asked
 * for again. Pure logic; time is a parameter. */
#ifndef SERVICES_EDGE_FLOW_H
#define SERVICES_EDGE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/offset.h"
#include "common/bus/gap.h"
#include "common/wire/notice.h"

enum { FLOW_MAX_SILENCE_MS = 3 * NOTICE_HEARTBEAT_MS };

struct flow {
        struct gap gap;
        uint64_t generation;
        uint64_t last_frame_ms;
        bool live; /* a frame of this generation came */
        lsn_t lsn; /* highest the router said it has applied */
};

enum flow_verdict {
        FLOW_TAKE,  /* next in order */
        FLOW_DROP,  /* seen already */
        FLOW_BROKEN /* frames are missing, or the router is another incarnation: a new generation
                       begins with this frame, which is to be taken */
};

void flow_init(struct flow *f);
enum flow_verdict flow_frame(struct flow *f, uint64_t epoch, uint64_t seq, uint64_t now_ms);
/* True when the flow was live and has been silent for too long: a new generation begins. */
bool flow_check_silence(struct flow *f, uint64_t now_ms);
/* What was learnt in `generation` still counts. */
bool flow_trusts(const struct flow *f, uint64_t generation, uint64_t now_ms);
void flow_saw_lsn(struct flow *f, lsn_t lsn);

#endif
