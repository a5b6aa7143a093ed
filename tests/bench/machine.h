/* What the machine and the processes of the server did, from /proc: CPU by owner, and memory as PSS
 * (shared pages divided among those who share them, so that the services' sum is what they really
 * take). */
#ifndef TESTS_BENCH_MACHINE_H
#define TESTS_BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MACHINE_PROCESSES = 64 };

struct process {
        pid_t pid;
        char name[32]; /* of the pid file, or the command */
};

struct process_use {
        uint64_t cpu_us;    /* since it started */
        uint64_t pss_bytes; /* 0 when it cannot be read */
};

enum machine_owner {
        SHARE_SERVER,
        SHARE_POSTGRES,
        SHARE_BENCH,
        SHARE_REST,
        SHARE_IDLE,
        MACHINE_SHARES
};

/* Shares of the machine's whole CPU time; NAN when not known (then it is part of the rest). */
struct machine_use {
        int cpus;
        double seconds;
        double share[MACHINE_SHARES];
};

struct machine {
        int count;
        struct process server[MACHINE_PROCESSES];
        pid_t postmaster; /* 0: not on this machine */
        uint64_t began_ns;
        uint64_t began_busy_us, began_idle_us;
        uint64_t began_by[MACHINE_SHARES];
};

/* `pids`: directory of *.pid files, or numbers with commas, or "". `backend`: a server process of
 * the database as it told, or 0. Fails the run when a pid is named and not there. */
struct machine *machine_new(const char *pids, pid_t backend);
void machine_free(struct machine *m);
/* Use since machine_new(). */
struct machine_use machine_used(const struct machine *m);

struct process_use process_use(pid_t pid);
/* Sum over the server's processes. */
struct process_use machine_server_use(const struct machine *m);
/* Sum over those whose name starts with `prefix`; *count of them. */
struct process_use machine_server_use_of(const struct machine *m, const char *prefix, int *count);
/* CPU of all of the database's processes since they started, to 10 ms; 0 when it is elsewhere. */
uint64_t machine_postgres_cpu_us(const struct machine *m);
const char *machine_share_name(int share);

#endif
