#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"

enum { EXIT_CANNOT_EXECUTE = 127 };

int spawn_find_user(const char *name, struct spawn_user *out, struct buf *why)
{
        SLUICE_ASSERT(name != NULL && out != NULL);
        struct passwd *pw = getpwnam(name);
        if (pw == NULL) {
                buf_printf(why, "there is no user \"%s\" on this machine", name);
                return ERR_NOTFOUND;
        }
        struct spawn_user user = {
                .uid = pw->pw_uid, .gid = pw->pw_gid, .n_groups = SPAWN_GROUPS_MAX};
        snprintf(user.home, sizeof(user.home), "%s", pw->pw_dir);
        if (getgrouplist(name, user.gid, user.groups, &user.n_groups) < 0)
                user.n_groups =
                        SPAWN_GROUPS_MAX; /* in more groups than we care for: the first ones */
        *out = user;
        return 0;
}

/* In the child, between fork and exec: only calls that are safe there, no allocation. */
static int become(const struct spawn_user *user)
{
        if (user == NULL)
                return 0;
        if (setgroups((size_t)user->n_groups, user->groups) != 0)
                return -1;
        return setgid(user->gid) != 0 || setuid(user->uid) != 0 ? -1 : 0;
}

static void reset_signals(void)
{
        struct sigaction dfl = {.sa_handler = SIG_DFL};
        for (int signo = 1; signo < NSIG; signo++)
                sigaction(signo, &dfl, NULL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

static int redirect(const struct spawn *s)
{
        int in = s->stdin_fd >= 0 ? s->stdin_fd : open("/dev/null", O_RDONLY);
        int out = s->output_fd >= 0 ? s->output_fd : STDERR_FILENO;
        if (in < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
                return -1;
        return dup2(out, STDERR_FILENO) < 0 ? -1 : 0;
}

static _Noreturn void run_child(const struct spawn *s, pid_t parent)
{
        reset_signals();
        setpgid(0, 0);
        /* After the change of user, which clears the death signal; and the parent may be gone by
         * then. */
        if (redirect(s) == 0 && become(s->user) == 0 && (s->dir == NULL || chdir(s->dir) == 0) &&
            prctl(PR_SET_PDEATHSIG, s->death_signal) == 0 && getppid() == parent)
                execve(s->argv[0], (char *const *)(const void *)s->argv, s->envp);
        _exit(EXIT_CANNOT_EXECUTE);
}

int spawn_start(const struct spawn *s, pid_t *pid, struct buf *why)
{
        SLUICE_ASSERT(s != NULL && s->argv[0] != NULL && s->envp != NULL && pid != NULL);
        pid_t parent = getpid();
        pid_t child = fork();
        if (child == 0)
                run_child(s, parent);
        if (child < 0) {
                buf_printf(why, "cannot start %s: %s", s->argv[0], strerror(errno));
                return ERR_IO;
        }
        *pid = child;
        return 0;
}

static int wait_status(pid_t pid)
{
        int status = 0;
        while (waitpid(pid, &status, 0) < 0)
                SLUICE_ASSERT(errno == EINTR);
        return status;
}

int spawn_wait(const struct spawn *s, struct buf *why)
{
        pid_t pid;
        int rc = spawn_start(s, &pid, why);
        if (rc != 0)
                return rc;
        int status = wait_status(pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        if (WIFSIGNALED(status))
                buf_printf(why, "%s was ended by signal %d", s->argv[0], WTERMSIG(status));
        else
                buf_printf(why, "%s ended with status %d", s->argv[0], WEXITSTATUS(status));
        return ERR_IO;
}

int spawn_can_use_dir(const struct spawn_user *user, const char *dir)
{
        SLUICE_ASSERT(user != NULL && dir != NULL);
        pid_t pid = fork();
        if (pid == 0)
                _exit(become(user) == 0 && access(dir, R_OK | W_OK | X_OK) == 0 ? 0 : 1);
        if (pid < 0)
                return ERR_IO;
        return wait_status(pid) == 0 ? 0 : ERR_DENIED;
}
