/* sluice-bench MODE [options]: see docs/benchmarks.md. */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
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
#include "tests/bench/report.h"

static const struct mode modes[] = {
#define X(name, what) {#name, what, mode_##name},
        MODES(X)
#undef X
};

enum option_type { OPT_TEXT, OPT_NUMBER, OPT_LIST, OPT_FLAG };

static const struct option_row {
        const char *name;
        enum option_type type;
        size_t at;
        const char *what;
} option_rows[] = {
        {"url", OPT_TEXT, offsetof(struct options, url),
         "the server (default http://127.0.0.1:$SLUICE_HTTP_PORT or :3000)"},
        {"database-url", OPT_TEXT, offsetof(struct options, database_url),
         "its database (default $DATABASE_URL)"},
        {"secret", OPT_TEXT, offsetof(struct options, secret),
         "sent as the query parameter secret"},
        {"pids", OPT_TEXT, offsetof(struct options, pids),
         "directory of the server's pid files, or pids with commas (default $SLUICE_DATA_DIR/run)"},
        {"json", OPT_TEXT, offsetof(struct options, json_file), "write everything to this file"},
        {"summary", OPT_TEXT, offsetof(struct options, summary_file),
         "append the figures that have targets to this file"},
        {"plot", OPT_TEXT, offsetof(struct options, plot_dir),
         "draw percentile curves into this directory (gnuplot)"},
        {"rows", OPT_LIST, offsetof(struct options, rows),
         "table sizes (initial), rows per transaction (fanout), other shapes excepted"},
        {"clients", OPT_LIST, offsetof(struct options, clients),
         "numbers of clients (fanout, park, herd, own)"},
        {"shapes", OPT_LIST, offsetof(struct options, shapes), "numbers of shapes (unrelated)"},
        {"seconds", OPT_NUMBER, offsetof(struct options, seconds),
         "length of a measurement (live, idle, serve, unrelated)"},
        {"changes", OPT_NUMBER, offsetof(struct options, changes),
         "changes in 1,000-row transactions; a tenth of it one by one (tail)"},
        {"rate", OPT_NUMBER, offsetof(struct options, rate),
         "inserts per second (live, unrelated)"},
        {"repeat", OPT_NUMBER, offsetof(struct options, repeat),
         "how often a case is run (initial, fanout, herd, own)"},
        {"sse", OPT_FLAG, offsetof(struct options, sse),
         "server-sent events instead of long polls (live, fanout, park)"},
        {"verbose", OPT_FLAG, offsetof(struct options, verbose),
         "say on stderr what is being done"},
};
enum {
        N_OPTIONS = sizeof option_rows / sizeof *option_rows,
        N_MODES = sizeof modes / sizeof *modes
};

_Noreturn void fail(const char *fmt, ...)
{
        char text[1024];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        size_t n = strlen(text);
        while (n > 0 && text[n - 1] == '\n')
                text[--n] = 0;
        fflush(stdout);
        fprintf(stderr, "sluice-bench: %s\n", text);
        _exit(1);
}

void note(const struct bench *b, const char *fmt, ...)
{
        if (!b->opt->verbose)
                return;
        va_list ap;
        va_start(ap, fmt);
        fprintf(stderr, "  … ");
        vfprintf(stderr, fmt, ap);
        fprintf(stderr, "\n");
        va_end(ap);
}

const char *bench_temp_dir(struct bench *b)
{
        if (!b->shared->temp_dir[0]) {
                char path[sizeof b->shared->temp_dir] = "/tmp/sluice-bench-XXXXXX";
                if (!mkdtemp(path))
                        fail("cannot make a directory in /tmp: %s", strerror(errno));
                memcpy(b->shared->temp_dir, path, sizeof path);
        }
        return b->shared->temp_dir;
}

void bench_wait(struct bench *b, const bool *done, uint64_t seconds, const char *what)
{
        uint64_t deadline = now_ns() + seconds * 1000000000ULL;
        while (!*done) {
                if (now_ns() >= deadline)
                        fail("not within %llu s: %s", (unsigned long long)seconds, what);
                net_poll(b->net, deadline);
        }
}

static _Noreturn void usage(int status)
{
        FILE *out = status ? stderr : stdout;
        fprintf(out, "usage: sluice-bench MODE [--option VALUE …]\n\nmodes:\n");
        for (int i = 0; i < N_MODES; i++)
                fprintf(out, "  %-14s %s\n", modes[i].name, modes[i].what);
        fprintf(out, "\noptions (lists with commas; k and m multiply by 1,000 and 1,000,000):\n");
        for (int i = 0; i < N_OPTIONS; i++)
                fprintf(out, "  --%-14s %s\n", option_rows[i].name, option_rows[i].what);
        exit(status);
}

static uint64_t parse_number(const char *name, const char *text, const char **end)
{
        char *stop;
        errno = 0;
        uint64_t v = strtoull(text, &stop, 10);
        if (stop == text || errno || *text == '-')
                fail("--%s: not a number: %s", name, text);
        if (*stop == 'k' || *stop == 'm')
                v *= *stop++ == 'k' ? 1000 : 1000000;
        *end = stop;
        return v;
}

static void parse_list(const char *name, const char *text, struct list_of_numbers *out)
{
        out->count = 0;
        for (const char *at = text;;) {
                if (out->count == LIST_MAX)
                        fail("--%s: at most %d numbers", name, LIST_MAX);
                out->at[out->count++] = parse_number(name, at, &at);
                if (*at == 0)
                        return;
                if (*at++ != ',')
                        fail("--%s: not a list of numbers: %s", name, text);
        }
}

static void set_option(struct options *o, const struct option_row *row, const char *text)
{
        char *field = (char *)o + row->at;
        const char *end = "";
        switch (row->type) {
        case OPT_TEXT:
                *(const char **)(void *)field = text;
                break;
        case OPT_NUMBER:
                *(uint64_t *)(void *)field = parse_number(row->name, text, &end);
                break;
        case OPT_LIST:
                parse_list(row->name, text, (struct list_of_numbers *)(void *)field);
                break;
        case OPT_FLAG:
                *(bool *)(void *)field = true;
                break;
        }
        if (*end)
                fail("--%s: not a number: %s", row->name, text);
}

static void parse_options(int argc, char **argv, struct options *o)
{
        struct option longs[N_OPTIONS + 2] = {0};
        for (int i = 0; i < N_OPTIONS; i++)
                longs[i] = (struct option){
                        option_rows[i].name,
                        option_rows[i].type == OPT_FLAG ? no_argument : required_argument, NULL, i};
        longs[N_OPTIONS] = (struct option){"help", no_argument, NULL, 'h'};
        int c;
        while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
                if (c == 'h' || c == '?')
                        usage(c == 'h' ? 0 : 2);
                set_option(o, &option_rows[c], optarg);
        }
}

static void default_options(struct options *o)
{
        static char url[64], pids[300];
        const char *port = getenv("SLUICE_HTTP_PORT"), *data = getenv("SLUICE_DATA_DIR");
        snprintf(url, sizeof url, "http://127.0.0.1:%.10s", port ? port : "3000");
        snprintf(pids, sizeof pids, data ? "%.250s/run" : "", data);
        *o = (struct options){.url = url, .database_url = getenv("DATABASE_URL"), .pids = pids};
}

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
        default_options(&opt);
        parse_options(argc, argv, &opt);
        const struct mode *mode = optind == argc - 1 ? find_mode(argv[optind]) : NULL;
        if (!mode)
                usage(2);
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
