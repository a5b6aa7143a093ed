/* A subscriber's place in a numbered stream: decides for each frame whether it is next, old, beyond
 * a gap or of another epoch. Pure logic, one thread. */
#ifndef COMMON_BUS_GAP_H
#define COMMON_BUS_GAP_H

#include <stdint.h>

struct gap {
        uint64_t epoch;    /* 0: none adopted yet */
        uint64_t next_seq; /* the frame that is expected */
};

enum gap_verdict {
        GAP_NEXT,     /* take it; next_seq was advanced */
        GAP_OLD,      /* seen already, or of a lower epoch: drop it */
        GAP_MISSING,  /* frames before it are missing: keep it or drop it, and ask for a replay from
                         next_seq */
        GAP_NEW_EPOCH /* another incarnation: introduce yourself again */
};

enum gap_verdict gap_check(struct gap *g, uint64_t epoch, uint64_t seq);
/* Follow `epoch` from `next_seq` on. */
void gap_adopt(struct gap *g, uint64_t epoch, uint64_t next_seq);

#endif
