/* The stack behind `make run`: which processes there are, in which order they start and end.
 *
 *     start:  Postgres (private) → when it accepts connections: ingest, routers, edges, demo → GET
 * /v1/health is 200 → announce end:    edges and demo → routers → ingest → Postgres, each when the
 * one before has ended
 *
 * Nothing here knows what the services do; what they need is in their environment. Main thread
 * only. */
#ifndef SUPERVISOR_STACK_H
#define SUPERVISOR_STACK_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/svc/loop.h"
#include "common/svc/svc.h"

enum { STACK_EACH_MAX = 64 };

struct stack_conf {
        struct svc_conf svc;
        const char *database_url; /* "": a private Postgres */
        uint64_t http_port;
        const char *http_host; /* "": the edge's default, or loopback when the stack is open to
                                  everybody */
        const char *data_dir;
        uint64_t routers;
        uint64_t edges;
        uint64_t admin_port; /* 0: none */
        bool demo;
        uint64_t demo_port; /* 0: http_port + 100 */
        const char *secret;
        const char *insecure; /* "": not said */
};

struct stack;

/* 0, or an error with one line in *why. `conf` is borrowed. Blocks while a private Postgres is
 * made. */
int stack_open(struct loop *l, struct stack_conf *conf, struct stack **out, struct buf *why);
/* Ends everything in order, then calls svc_drained(), or svc_fail() when the end was a failure's.
 */
void stack_drain(struct stack *s);
/* Kills what is left. */
void stack_close(struct stack *s);

#endif
