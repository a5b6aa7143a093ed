/* References that are other programs: found, started, waited for, ended. Children are in the
 * measuring process' group and die with it. */
#ifndef TESTS_BENCH_SPAWN_H
#define TESTS_BENCH_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"

/* Runs a program to its end and returns how long that took, from fork to exit. stdout goes to *out
 * (may be NULL: /dev/null). Fails the run when the program cannot be started or does not exit with
 * 0. argv[0] is looked up in PATH. */
uint64_t spawn_run(const char *const *argv, struct buf *out);
/* Starts a program in the background. */
pid_t spawn_start(const char *const *argv);
/* SIGTERM and wait. */
void spawn_stop(pid_t pid);
/* Waits for the end; fails the run unless the exit status is 0. */
void spawn_wait(pid_t pid, const char *what);
/* The path of a Postgres client program: not the wrapper that Debian puts into PATH, which takes
 * longer than some measurements. Static storage per name, or fails the run. */
const char *spawn_pg_program(const char *name);

#endif
