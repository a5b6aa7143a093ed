/* Configuration: one table per service says everything about a knob; reading the environment, the
 * flags,
 * --help, the checks and docs/configuration.md come from its rows. */
#ifndef COMMON_CONF_CONF_H
#define COMMON_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

enum knob_type {
        KNOB_STR,      /* const char * */
        KNOB_U64,      /* uint64_t, min..max */
        KNOB_BOOL,     /* bool: true false 1 0 */
        KNOB_DURATION, /* uint64_t milliseconds: 500ms 20s 2m; bare number: ms */
        KNOB_BYTES,    /* uint64_t: plain or with k m g (1024) */
        KNOB_URL       /* const char *; secrets in it are never printed */
};

struct knob {
        const char *env; /* SLUICE_… or DATABASE_URL; the flag is --lower-case-with-dashes without
                            SLUICE_ */
        const char *alias; /* ELECTRIC_… that means the same, or several parted by spaces, the
                              first that is set counts; or NULL */
        enum knob_type type;
        const char *def;   /* default as text; NULL: required */
        uint64_t min, max; /* for numbers; max 0: none */
        size_t at;         /* offsetof the value in the service's struct */
        const char *what;  /* one line for --help and the manual */
};

/* Fills the service's struct from defaults < alias < environment < flags; an empty variable counts
 * as unset. Strings are borrowed from argv and environ, or literals: they live as long as the
 * process. 0; ERR_CONF with every mistake in *why, one line each (never echoing a KNOB_URL's
 * value); ERR_CANCELLED when --help was given: *why then holds the text to print on stdout. */
int conf_load(const struct knob *knobs, size_t n, int argc, char **argv, char **environ_, void *out,
              struct buf *why);
/* Markdown table of the knobs. `sluice-X --doc` prints it (common/svc), `make docs` collects all
 * services' tables into docs/configuration.md. */
void conf_doc(const struct knob *knobs, size_t n, struct buf *out);

#endif
