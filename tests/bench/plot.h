/* Percentile curves of a run's histograms, drawn by gnuplot. */
#ifndef TESTS_BENCH_PLOT_H
#define TESTS_BENCH_PLOT_H

#include "tests/bench/hist.h"

struct plot;

/* Makes the directory when it is not there. */
struct plot *plot_new(const char *dir, const char *mode);
void plot_hist(struct plot *p, const char *label, const struct hist *h);
/* Writes <dir>/<mode>.gp and runs gnuplot to make <dir>/<mode>.svg; frees. Nothing when there were
 * no histograms. */
void plot_end(struct plot *p);

#endif
