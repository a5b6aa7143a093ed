/* What the stack consists of: the command and the environment of every service, from the
 * supervisor's configuration. */
#ifndef SUPERVISOR_PLAN_H
#define SUPERVISOR_PLAN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/child.h"
#include "supervisor/datadir.h"
#include "supervisor/stack.h"

struct plan {
        const struct stack_conf *conf;
        const struct datadir *dir;
        const char *database_url;
        bool open_to_all;        /* neither a secret nor a word about it: a development stack */
        char bin_dir[PATH_MAX];  /* where the supervisor itself lives */
        char demo_dir[PATH_MAX]; /* "": there is none */
        char node[PATH_MAX];     /* "": there is none */
};

/* Finds the programs. ERR_NOTFOUND with one line in *why. */
int plan_init(struct plan *p, const struct stack_conf *conf, const struct datadir *dir,
              struct buf *why);

/* Fill *out; its name and program are written to the caller's strings, which must live as long as
 * the child. */
struct plan_strings {
        char name[32];
        char program[PATH_MAX];
        char script[PATH_MAX];
};
void plan_ingest(const struct plan *p, struct plan_strings *strings, struct child_spec *out);
void plan_router(const struct plan *p, uint64_t i, struct plan_strings *strings,
                 struct child_spec *out);
void plan_edge(const struct plan *p, uint64_t i, struct plan_strings *strings,
               struct child_spec *out);
/* Only when plan_has_demo(). */
void plan_demo(const struct plan *p, struct plan_strings *strings, struct child_spec *out);
bool plan_has_demo(const struct plan *p);

/* The address edges listen on. */
const char *plan_http_host(const struct plan *p);
uint16_t plan_demo_port(const struct plan *p);
/* The page looks for the demo's write server at its own port + 100; false: it must be told. */
bool plan_demo_port_is_usual(const struct plan *p);

#endif
