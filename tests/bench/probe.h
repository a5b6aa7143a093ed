/* Asks for a shape's log from one offset again and again, whatever happens to the server, until a
 * row is in the answer: how long the server does not serve, and how long it does not have what was
 * committed. An answer other than 200 or 503 fails the run. */
#ifndef TESTS_BENCH_PROBE_H
#define TESTS_BENCH_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/http.h"
#include "tests/bench/rows.h"

struct bench;

enum { PROBE_PATH_BYTES = 1024 };

struct probe {
        struct bench *b;
        struct http_conn conn;
        struct rows rows;
        struct net_timer again;
        char path[PROBE_PATH_BYTES];
        uint64_t wanted_id;
        int status;
        bool has_row;                   /* this answer */
        bool done;                      /* the row was there */
        uint64_t answered_ns, found_ns; /* the first 200; the first 200 with the row; 0 before */
};

/* `definition` as for a shape_client. The struct stays where it is until probe_close(). */
void probe_open(struct probe *p, struct bench *b, const char *definition, const char *handle,
                const char *offset);
/* Begins; wait for p->done. Allowed again when it was reached. */
void probe_begin(struct probe *p, uint64_t wanted_id);
void probe_close(struct probe *p);

#endif
