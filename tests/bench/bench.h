/* What the modes share: options, the run's name, the things that must be cleaned up, and how a run
 * fails.
 *
 * The program is two processes. The child measures; any failure ends it with one line (fail()). The
 * parent waits and cleans up whatever happened: it kills what the child spawned, continues what it
 * stopped, and drops the schema, publication and slots, which all carry the run's name. So no mode
 * has an error path of its own. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/http.h"
#include "tests/bench/net.h"

struct db;
struct report;
struct machine;

enum { LIST_MAX = 16 };

struct list_of_numbers {
        int count;
        uint64_t at[LIST_MAX];
};

struct options {
        const char *url;          /* of the server under test */
        const char *database_url; /* of the database it replicates */
        const char *secret;       /* sent as `secret=`, or NULL */
        const char *json_file;    /* or NULL */
        const char *summary_file; /* or NULL */
        const char *plot_dir;     /* or NULL */
        const char *disk;         /* directory of the server's files; "" when not known */
        const char *pids; /* directory of pid files, or numbers with commas; "" when not known */
        struct list_of_numbers rows, clients, shapes;
        uint64_t seconds, changes, rate, repeat;
        bool sse, verbose;
};

/* Shared by both processes. */
struct shared {
        pid_t stopped[LIST_MAX]; /* processes under SIGSTOP, or about to be; 0 ends the list */
        char temp_dir[64];       /* "" until made */
};

struct bench {
        const struct options *opt;
        struct shared *shared;
        char name[40]; /* of the run: schema, publication, prefix of slots */
        struct http_target target;
        struct net *net;
        struct db *db; /* for set-up, not for timed work unless a mode says so */
        struct report *report;
        struct machine *machine;
};

struct mode {
        const char *name;
        const char *what;
        void (*run)(struct bench *b);
};

/* One line on stderr and the end of the measuring process. */
_Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line about progress on stderr, with --verbose. */
void note(const struct bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The run's directory for files, made at the first call; removed by the parent. */
const char *bench_temp_dir(struct bench *b);
/* Runs the loop until *done, and fails with `what` when that takes longer than `seconds`. */
void bench_wait(struct bench *b, const bool *done, uint64_t seconds, const char *what);

#define MODES(X)                                                                                   \
        X(initial, "one client syncs a table: cold against \\copy, hot against nginx")             \
        X(live, "20 inserts a second to one client, against a bare pgoutput reader")               \
        X(tail, "a stream of transactions to one live client, against pg_recvlogical")             \
        X(fanout, "one change to many clients of one shape, against plain sockets")                \
        X(park, "memory of waiting clients and the time to wake them, against idle connections")   \
        X(herd, "many clients at once on a shape that does not exist, against one client")         \
        X(serve, "requests per second on one closed chunk, against nginx (wrk)")                   \
        X(collapse, "many clients behind a cache: requests that reach the server for a change")    \
        X(storm, "many clients come back within a second, each from an old offset")                \
        X(unrelated, "latency with many other shapes on the table, against one shape")             \
        X(replicate, "changes until they are durable and acknowledged, against pg_recvlogical")    \
        X(own, "many clients with a shape each, one change, against one client")                   \
        X(bigtx, "one large transaction: time, memory, and what other shapes notice")              \
        X(overlap, "many shapes that all match one transaction, against one shape")                \
        X(restart, "kill -9 of each service, and of all: until a shape is served again")           \
        X(disk, "bytes on disk per byte of changes, against the WAL's")                            \
        X(idle, "memory and CPU of the whole stack with nothing to do")

#define X(name, what) void mode_##name(struct bench *b);
MODES(X)
#undef X

#endif
