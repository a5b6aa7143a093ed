/* How many shape requests may be in work at once (protocol §4.8), counted for the whole process:
 * `initial` ones, whose shape is not known here yet, and `existing` ones. Any thread. */
#ifndef SERVICES_EDGE_ADMISSION_H
#define SERVICES_EDGE_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum admission_kind { ADMISSION_INITIAL, ADMISSION_EXISTING, ADMISSION_KINDS };

struct admission {
        _Atomic int64_t current[ADMISSION_KINDS];
        int64_t limit[ADMISSION_KINDS];
};

/* `limits`: `{"initial":300,"existing":10000}`; a member that is missing keeps its default.
 * ERR_CONF with a line in *why. */
int admission_init(struct admission *a, struct slice limits, struct buf *why);
/* A permit, to be given back with admission_release(); false when the limit is reached. */
bool admission_acquire(struct admission *a, enum admission_kind kind);
void admission_release(struct admission *a, enum admission_kind kind);
/* Turns a permit of one kind into one of the other; never refused, so that work begun is not lost.
 */
void admission_move(struct admission *a, enum admission_kind from, enum admission_kind to);
/* "initial", "existing". */
const char *admission_name(enum admission_kind kind);

#endif
