/* Places where a test can make a service stop: before and after every durable step (points.def).
 *
 * A test names a directory (SLUICE_FAULT_DIR) and puts a file into it, called like a point, that
 * says `kill` or `stop`. The first process that gets to the point takes the file away and sends
 * itself SIGKILL or SIGSTOP. Without the directory a point costs one load of a variable that never
 * changes. */
#ifndef COMMON_FAULT_FAULT_H
#define COMMON_FAULT_FAULT_H

#include <stdbool.h>

enum fault_point {
#define POINT(id, name, what) FAULT_##id,
#include "common/fault/points.def"
        FAULT_POINTS
};

extern bool fault_armed;

/* "": off. `dir` is borrowed for the life of the process. Before the first thread. */
void fault_init(const char *dir);
const char *fault_name(enum fault_point p);
/* Looks for the point's file. Any thread; may not return. */
void fault_reached(enum fault_point p);

static inline void fault_point(enum fault_point p)
{
        if (__builtin_expect(fault_armed, 0))
                fault_reached(p);
}

#endif
