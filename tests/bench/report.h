/* What a run says: tables on stdout, everything in the JSON file, plots when asked. */
#ifndef TESTS_BENCH_REPORT_H
#define TESTS_BENCH_REPORT_H

#include <math.h>
#include <stdbool.h>

#include "tests/bench/hist.h"

struct options;
struct machine_use;

enum { REPORT_COLUMNS = 12 };

/* A cell that has no value. */
#define REPORT_NONE NAN

struct column {
        const char *key;  /* name in JSON, snake_case with its unit */
        const char *head; /* name in the table */
        int decimals;
};

struct report;

struct report *report_new(const char *mode, const struct options *opt);
/* Starts a table. `title` says what is compared with what. `columns` must live as long as the
 * report. */
void report_table(struct report *r, const char *title, const struct column *columns, int count);
/* One row; as many values as the table has columns. The JSON key "case" is the label. */
void report_row(struct report *r, const char *label, const double *values);
enum report_sense { AT_MOST, AT_LEAST };

/* `done` is the least that counts, `aim` where we are going. */
struct target {
        enum report_sense sense;
        const char *unit;
        double done, aim;
};

/* A figure that has a target: for the file, stdout and --summary. fmt says what it is. */
void report_claim(struct report *r, const struct target *target, double value, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* A remark about the run, on stdout and in the file. */
void report_note(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Percentiles of a histogram of nanoseconds, for the file and the plots. */
void report_hist(struct report *r, const char *label, const struct hist *h);
/* Prints how the machine was used, writes the file and the plots, frees. Fails the run when a file
 * cannot be written. */
void report_end(struct report *r, const struct machine_use *use);

#endif
