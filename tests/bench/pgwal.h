/* The physical reference for latency: the least that can read a change out of Postgres. A bare
 * replication connection with a temporary slot, pgoutput, text, no work but finding the rows' ids
 * and stamps; a change counts when its commit has arrived. */
#ifndef TESTS_BENCH_PGWAL_H
#define TESTS_BENCH_PGWAL_H

#include <libpq-fe.h>
#include <stdint.h>

#include "tests/bench/net.h"

struct pgwal {
        PGconn *conn;
        struct net *net;
        struct net_source source;
        /* One inserted row, told when its transaction's commit is here. */
        void (*on_row)(void *arg, uint64_t id, uint64_t stamp_ns);
        void *arg;
        struct {
                uint64_t id, stamp_ns;
        } pending[4096];
        int pending_count;
        uint64_t received_lsn;
};

/* Creates the slot `<run>_wal` and starts at the present. `publication`: the run's. */
struct pgwal *pgwal_open(struct net *n, const char *url, const char *run,
                         void (*on_row)(void *arg, uint64_t id, uint64_t stamp_ns), void *arg);
void pgwal_close(struct pgwal *w);

#endif
