#include "tests/bench/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

static pid_t start(const char *const *argv, int stdout_fd)
{
        fflush(NULL);
        pid_t pid = fork();
        if (pid < 0)
                fail("fork: %s", strerror(errno));
        if (pid > 0)
                return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        dup2(stdout_fd >= 0 ? stdout_fd : null, STDOUT_FILENO);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        fprintf(stderr, "sluice-bench: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

void spawn_wait(pid_t pid, const char *what)
{
        int status;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        fail("waiting for %s: %s", what, strerror(errno));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                fail("%s ended with status %d", what,
                     WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

uint64_t spawn_run(const char *const *argv, struct buf *out)
{
        int fds[2] = {-1, -1};
        if (out && pipe2(fds, O_CLOEXEC))
                fail("pipe: %s", strerror(errno));
        uint64_t began = now_ns();
        pid_t pid = start(argv, fds[1]);
        if (out) {
                char part[4096];
                ssize_t n;
                close(fds[1]);
                while ((n = read(fds[0], part, sizeof part)) > 0)
                        buf_put(out, part, (size_t)n);
                close(fds[0]);
        }
        spawn_wait(pid, argv[0]);
        return now_ns() - began;
}

pid_t spawn_start(const char *const *argv)
{
        return start(argv, -1);
}

void spawn_stop(pid_t pid)
{
        kill(pid, SIGTERM);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

const char *spawn_pg_program(const char *name)
{
        static char paths[4][256];
        static int used;
        for (int i = 0; i < used; i++)
                if (strcmp(strrchr(paths[i], '/') + 1, name) == 0)
                        return paths[i];
        char pattern[256];
        glob_t found;
        snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
        if (glob(pattern, 0, NULL, &found) || used == 4)
                fail("%s is not installed below /usr/lib/postgresql", name);
        snprintf(paths[used], sizeof paths[used], "%s", found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
        return paths[used++];
}
