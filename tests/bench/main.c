/* sluice-bench MODE [options]: see docs/benchmarks.md. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/machine.h"
#include "tests/bench/options.h"
#include "tests/bench/report.h"

/* Every connection is a file. */
static void raise_file_limit(void)
{
        struct rlimit lim;
        if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
                lim.rlim_cur = lim.rlim_max;
                setrlimit(RLIMIT_NOFILE, &lim);
        }
}

static int measure(struct bench *b, const struct mode *mode)
{
        raise_file_limit();
        signal(SIGPIPE, SIG_IGN);
        if (http_target_parse(b->opt->url, &b->target))
                fail("--url: cannot use %s", b->opt->url);
        b->net = net_new();
        b->db = db_open(b->opt->database_url);
        b->machine = machine_new(b->opt->pids, PQbackendPID(b->db->conn));
        b->report = report_new(mode->name, b->opt);
        printf("%s: %s\n", mode->name, mode->what);
        mode->run(b);
        struct machine_use use = machine_used(b->machine);
        report_end(b->report, &use);
        machine_free(b->machine);
        db_close(b->db);
        net_free(b->net);
        return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static void clean_up(const struct bench *b, pid_t child)
{
        for (int i = 0; i < LIST_MAX; i++)
                if (b->shared->stopped[i])
                        kill(b->shared->stopped[i], SIGCONT);
        kill(-child, SIGKILL); /* the group that the child made for itself and what it spawned */
        if (b->shared->temp_dir[0])
                nftw(b->shared->temp_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        db_drop_run(b->opt->database_url, b->name);
}

static volatile sig_atomic_t child_pid;

static void on_signal(int sig)
{
        (void)sig;
        kill((pid_t)child_pid, SIGKILL);
}

/* Waits for the measuring process; signals end it, never the clean-up. */
static int supervise(const struct bench *b, pid_t child)
{
        struct sigaction act = {.sa_handler = on_signal};
        int status;
        child_pid = child;
        setpgid(child, child); /* the child does it too: whoever comes first */
        sigaction(SIGINT, &act, NULL);
        sigaction(SIGTERM, &act, NULL);
        sigaction(SIGHUP, &act, NULL);
        while (waitpid(child, &status, 0) < 0)
                SLUICE_ASSERT(errno == EINTR);
        clean_up(b, child);
        if (WIFSIGNALED(status)) {
                fprintf(stderr, "sluice-bench: ended by %s\n", strsignal(WTERMSIG(status)));
                return 1;
        }
        return WEXITSTATUS(status);
}

static const struct mode modes[] = {
#define X(name, what) {#name, what, mode_##name},
        MODES(X)
#undef X
};

enum { N_MODES = sizeof modes / sizeof *modes };

static const struct mode *find_mode(const char *name)
{
        for (int i = 0; i < N_MODES; i++)
                if (strcmp(modes[i].name, name) == 0)
                        return &modes[i];
        return NULL;
}

int main(int argc, char **argv)
{
        struct options opt;
        int at = options_parse(argc, argv, modes, N_MODES, &opt);
        const struct mode *mode = at == argc - 1 ? find_mode(argv[at]) : NULL;
        if (!mode)
                options_usage(2, modes, N_MODES);
        if (!opt.database_url)
                fail("--database-url or DATABASE_URL must say which database the server "
                     "replicates");
        struct bench b = {.opt = &opt};
        snprintf(b.name, sizeof b.name, "sluice_bench_%d", (int)getpid());
        b.shared = mmap(NULL, sizeof *b.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
        SLUICE_ASSERT(b.shared != MAP_FAILED);
        fflush(NULL);
        pid_t child = fork();
        SLUICE_ASSERT(child >= 0);
        if (child > 0)
                return supervise(&b, child);
        setpgid(0, 0);
        return measure(&b, mode);
}
