/* When a process that died is started again: pure arithmetic, so that a test owns the time.
 *
 * A process that lives for BACKOFF_STABLE_MS has started well: its count of failures begins anew.
 * One that has never started well and says that it cannot (exit status 1 several times in a row, or
 * 2: its configuration is wrong) is given up: starting it again would say the same for ever.
 * Everything else is tried again, at most every BACKOFF_MAX_MS. */
#ifndef SUPERVISOR_BACKOFF_H
#define SUPERVISOR_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum {
        BACKOFF_MIN_MS = 100,
        BACKOFF_MAX_MS = 10000,
        BACKOFF_STABLE_MS = 10000,
        BACKOFF_GIVE_UP_AFTER = 3 /* exits with status 1 in a row */
};

struct backoff {
        uint64_t started_ms;
        unsigned failures; /* in a row, without a stable time between them */
        unsigned refusals; /* of these, exits with status 1 in a row */
        bool was_stable;   /* ever */
};

/* The process was started at `now_ms`. */
void backoff_started(struct backoff *b, uint64_t now_ms);
/* It ended at `now_ms`; `exit_status` is negative when a signal ended it. True: start it again in
 * *after_ms milliseconds. False: give it up. */
bool backoff_ended(struct backoff *b, uint64_t now_ms, int exit_status, uint64_t *after_ms);

#endif
