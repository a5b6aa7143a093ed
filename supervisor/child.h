/* One child process and what becomes of it.
 *
 *     IDLE ──start──▶ RUNNING ──ended──▶ WAITING ──time──▶ RUNNING       (backoff.h says when)
 *                        │                  │
 *                       stop               stop
 *                        ▼                  ▼
 *                    STOPPING ──ended──▶  ENDED  ◀── given up
 *
 * A child that does not end in time after its stop signal is killed. Main thread only. */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/svc/loop.h"
#include "supervisor/envlist.h"
#include "supervisor/spawn.h"

enum { CHILD_ARGS_MAX = 32 };

struct child;

struct child_spec {
        const char *name;                 /* "router-0"; also names its pid file */
        const char *argv[CHILD_ARGS_MAX]; /* all strings here are borrowed for the child's life */
        struct envlist env;               /* the child takes it */
        const struct spawn_user *user;    /* NULL: the supervisor's own */
        int output_fd;                    /* -1: the supervisor's stderr */
        int death_signal;                 /* when the supervisor dies */
        int stop_signal;                  /* asks it to end in order */
        int kill_signal;                  /* when it does not, or there is no time */
        uint64_t stop_ms;                 /* how long the stop signal may take */
        const char *run_dir;              /* its pid file is <run_dir>/<name>.pid; NULL: none */
};

struct child_events {
        /* It has ended and is not started again: after child_stop() with `status` 0, or given up:
         * its exit status. */
        void (*on_ended)(struct child *c, int status, void *arg);
        void *arg;
};

struct child *child_new(struct loop *l, const struct child_spec *spec, struct child_events events);
/* Ended or never started. */
void child_free(struct child *c);

const char *child_name(const struct child *c);
/* -1 when it does not run. */
pid_t child_pid(const struct child *c);
/* Neither running nor about to run. */
bool child_is_idle(const struct child *c);

void child_start(struct child *c);
/* on_ended comes later, or at once when nothing runs. Harmless when repeated. */
void child_stop(struct child *c);
/* Kills and waits, without on_ended; for when there is no more time. */
void child_kill(struct child *c);

#endif
