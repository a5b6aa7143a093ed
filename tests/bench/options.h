/* The command line: one table says every option. */
#ifndef TESTS_BENCH_OPTIONS_H
#define TESTS_BENCH_OPTIONS_H

#include "tests/bench/bench.h"

/* Fills *o from defaults < environment < flags and returns the index in argv of the first argument
 * that is no option. Ends the process at
 * --help and at a mistake. */
int options_parse(int argc, char **argv, const struct mode *modes, int n_modes, struct options *o);
_Noreturn void options_usage(int status, const struct mode *modes, int n_modes);

#endif
