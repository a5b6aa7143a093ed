#include "tests/bench/machine.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"

static const char *const share_names[] = {"server", "postgres", "bench", "rest", "idle"};

const char *machine_share_name(int share)
{
        return share_names[share];
}

static uint64_t ticks_to_us(uint64_t ticks)
{
        return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Field numbers as in proc(5): 4 ppid, 14-17 utime stime cutime cstime. */
static bool read_stat(pid_t pid, pid_t *parent, uint64_t *cpu_us)
{
        char path[64], text[1024];
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "r");
        if (!f)
                return false;
        size_t n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
        text[n] = 0;
        const char *at = strrchr(text, ')'); /* the name may hold anything */
        int ppid;
        unsigned long long t[4];
        if (!at || sscanf(at + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu",
                          &ppid, &t[0], &t[1], &t[2], &t[3]) != 5)
                return false;
        *parent = ppid;
        *cpu_us = ticks_to_us(t[0] + t[1] + t[2] + t[3]);
        return true;
}

static uint64_t read_pss(pid_t pid)
{
        char path[64], line[256];
        unsigned long long kb = 0;
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        FILE *f = fopen(path, "r");
        if (!f)
                return 0;
        while (fgets(line, sizeof line, f))
                if (sscanf(line, "Pss: %llu", &kb) == 1)
                        break;
        fclose(f);
        return kb * 1024;
}

struct process_use process_use(pid_t pid)
{
        struct process_use use = {.pss_bytes = read_pss(pid)};
        struct timespec ts;
        clockid_t clock;
        /* /proc counts in ticks of 10 ms, which is longer than many a measurement */
        if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &ts) == 0)
                use.cpu_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
        return use;
}

/* A process and its living children; what ended children used is in the parent's own account. */
static uint64_t tree_cpu_us(pid_t root)
{
        uint64_t sum = 0, cpu;
        pid_t parent;
        if (read_stat(root, &parent, &cpu))
                sum += cpu;
        DIR *dir = opendir("/proc");
        struct dirent *e;
        while (dir && (e = readdir(dir))) {
                pid_t pid = (pid_t)atoi(e->d_name);
                if (pid > 0 && pid != root && read_stat(pid, &parent, &cpu) && parent == root)
                        sum += cpu;
        }
        if (dir)
                closedir(dir);
        return sum;
}

static void read_machine(uint64_t *busy_us, uint64_t *idle_us)
{
        unsigned long long v[8] = {0};
        FILE *f = fopen("/proc/stat", "r");
        if (!f || fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
                         &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
                fail("cannot read /proc/stat");
        fclose(f);
        *idle_us = ticks_to_us(v[3] + v[4]);
        *busy_us = ticks_to_us(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]);
}

static void add_process(struct machine *m, long pid, const char *name)
{
        pid_t parent;
        uint64_t cpu;
        if (m->count == MACHINE_PROCESSES)
                fail("more than %d server processes", MACHINE_PROCESSES);
        if (pid <= 0 || !read_stat((pid_t)pid, &parent, &cpu))
                fail("server process %ld (%s) does not run", pid, name);
        struct process *p = &m->server[m->count++];
        p->pid = (pid_t)pid;
        snprintf(p->name, sizeof p->name, "%s", name);
}

static void add_pid_file(struct machine *m, const char *dir, const char *file)
{
        char path[512], name[32];
        long pid = 0;
        snprintf(path, sizeof path, "%s/%s", dir, file);
        FILE *f = fopen(path, "r");
        if (!f || fscanf(f, "%ld", &pid) != 1)
                fail("cannot read %s", path);
        fclose(f);
        snprintf(name, sizeof name, "%.*s", (int)(strlen(file) - 4), file);
        add_process(m, pid, name);
}

static void add_pid_dir(struct machine *m, const char *dir)
{
        struct dirent **entries;
        int n = scandir(dir, &entries, NULL, alphasort);
        if (n < 0)
                fail("cannot read the directory %s", dir);
        for (int i = 0; i < n; i++) {
                size_t len = strlen(entries[i]->d_name);
                bool is_database = strncmp(entries[i]->d_name, "postgres", 8) == 0;
                if (len > 4 && !is_database && strcmp(entries[i]->d_name + len - 4, ".pid") == 0)
                        add_pid_file(m, dir, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
}

static void add_pid_list(struct machine *m, const char *list)
{
        for (const char *at = list; *at;) {
                char *end, path[64], name[32] = "?";
                long pid = strtol(at, &end, 10);
                if (end == at || (*end && *end != ','))
                        fail("--pids: neither a directory nor numbers with commas: %s", list);
                snprintf(path, sizeof path, "/proc/%ld/comm", pid);
                FILE *f = fopen(path, "r");
                if (f) {
                        if (fscanf(f, "%31s", name) != 1)
                                name[0] = 0;
                        fclose(f);
                }
                add_process(m, pid, name);
                at = *end ? end + 1 : end;
        }
}

static pid_t find_postmaster(pid_t backend)
{
        char path[64], name[32] = "";
        pid_t parent;
        uint64_t cpu;
        snprintf(path, sizeof path, "/proc/%d/comm", (int)backend);
        FILE *f = backend ? fopen(path, "r") : NULL;
        if (!f)
                return 0;
        bool ours = fscanf(f, "%31s", name) == 1 && strcmp(name, "postgres") == 0;
        fclose(f);
        return ours && read_stat(backend, &parent, &cpu) ? parent : 0;
}

static void read_owners(const struct machine *m, uint64_t by[MACHINE_SHARES])
{
        memset(by, 0, MACHINE_SHARES * sizeof *by);
        by[SHARE_SERVER] = machine_server_use(m).cpu_us;
        by[SHARE_POSTGRES] = machine_postgres_cpu_us(m);
        by[SHARE_BENCH] = tree_cpu_us(getpid());
}

struct machine *machine_new(const char *pids, pid_t backend)
{
        struct machine *m = mem_new(struct machine);
        if (*pids >= '0' && *pids <= '9')
                add_pid_list(m, pids);
        else if (*pids)
                add_pid_dir(m, pids);
        m->postmaster = find_postmaster(backend);
        m->began_ns = now_ns();
        read_machine(&m->began_busy_us, &m->began_idle_us);
        read_owners(m, m->began_by);
        return m;
}

void machine_free(struct machine *m)
{
        mem_free(m);
}

struct machine_use machine_used(const struct machine *m)
{
        uint64_t busy, idle, by[MACHINE_SHARES];
        read_machine(&busy, &idle);
        read_owners(m, by);
        busy -= m->began_busy_us;
        idle -= m->began_idle_us;
        double total = busy + idle ? (double)(busy + idle) : 1, known = 0;
        struct machine_use use = {.cpus = (int)sysconf(_SC_NPROCESSORS_ONLN),
                                  .seconds = (double)(now_ns() - m->began_ns) / 1e9};
        for (int i = SHARE_SERVER; i <= SHARE_BENCH; i++) {
                /* processes that ended without being waited for take their account with them */
                double us = by[i] > m->began_by[i] ? (double)(by[i] - m->began_by[i]) : 0;
                use.share[i] = us / total;
                known += use.share[i];
        }
        if (m->count == 0)
                use.share[SHARE_SERVER] = NAN;
        if (!m->postmaster)
                use.share[SHARE_POSTGRES] = NAN;
        use.share[SHARE_REST] = fmax((double)busy / total - known, 0);
        use.share[SHARE_IDLE] = (double)idle / total;
        return use;
}

struct process_use machine_server_use_of(const struct machine *m, const char *prefix, int *count)
{
        struct process_use sum = {0};
        *count = 0;
        for (int i = 0; i < m->count; i++) {
                if (strncmp(m->server[i].name, prefix, strlen(prefix)) != 0)
                        continue;
                struct process_use use = process_use(m->server[i].pid);
                sum.cpu_us += use.cpu_us;
                sum.pss_bytes += use.pss_bytes;
                (*count)++;
        }
        return sum;
}

uint64_t machine_postgres_cpu_us(const struct machine *m)
{
        return m->postmaster ? tree_cpu_us(m->postmaster) : 0;
}

struct process_use machine_server_use(const struct machine *m)
{
        int count;
        return machine_server_use_of(m, "", &count);
}
