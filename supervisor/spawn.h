/* Starting a process: environment, user, process group, death with its parent.
 *
 * A child has its own process group, so that a Ctrl-C at the terminal reaches the supervisor alone,
 * which then ends the others in order; and it is killed by the kernel when the supervisor dies
 * without having ended it. */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include <sys/types.h>

#include "common/base/buf.h"

enum { SPAWN_GROUPS_MAX = 64 };

/* Whom a program runs as. */
struct spawn_user {
        uid_t uid;
        gid_t gid;
        gid_t groups[SPAWN_GROUPS_MAX];
        int n_groups;
        char home[256];
};

struct spawn {
        const char *const *argv; /* argv[0] is the program's path; NULL at the end */
        char *const *envp;
        const struct spawn_user *user; /* NULL: as the supervisor itself */
        const char *dir;               /* NULL: the supervisor's */
        int stdin_fd;                  /* -1: /dev/null */
        int output_fd;    /* stdout and stderr; -1: stdout to stderr, stderr inherited */
        int death_signal; /* what the kernel sends when the supervisor dies */
};

/* The entry of the password file. ERR_NOTFOUND with one line in *why. */
int spawn_find_user(const char *name, struct spawn_user *out, struct buf *why);
/* The process id in *pid. ERR_IO with one line in *why. Main thread only: the kernel takes "parent"
 * as the thread that forked. A program that cannot be executed exits with status 127. */
int spawn_start(const struct spawn *s, pid_t *pid, struct buf *why);
/* Starts and waits. ERR_IO with one line in *why unless it exits with status 0. */
int spawn_wait(const struct spawn *s, struct buf *why);
/* As that user: can `dir` be entered and written to? */
int spawn_can_use_dir(const struct spawn_user *user, const char *dir);

#endif
