/* A text that stands for a moment, in pieces, and what is known of the moment so far: the workings
 * of where_moment.c. */
#ifndef SERVICES_ROUTER_WHERE_MOMENT_FIELDS_H
#define SERVICES_ROUTER_WHERE_MOMENT_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

/* Postgres' limits, which make a longer text an error. */
enum { MOMENT_MAX_FIELDS = 25, MOMENT_MAX_BYTES = 128 + MOMENT_MAX_FIELDS };

enum moment_field_kind {
        MF_NUMBER, /* digits, perhaps with a decimal point */
        MF_DATE,   /* digits or letters with delimiters */
        MF_CLOCK,  /* digits and colons */
        MF_ZONE,   /* a sign and digits */
        MF_WORD,   /* letters, perhaps with a sign before */
};

struct moment_field {
        enum moment_field_kind kind;
        char *text; /* lower case; ends with a zero byte */
};

struct moment_fields {
        struct moment_field fields[MOMENT_MAX_FIELDS];
        int n;
        char bytes[MOMENT_MAX_BYTES];
};

enum moment_word_kind {
        MW_NONE,
        MW_MONTH, /* value: 1…12 */
        MW_DAY,   /* of the week */
        MW_AM,
        MW_PM,
        MW_AD,
        MW_BC,
        MW_IGNORED,
        MW_JULIAN,
        MW_T,
        MW_UTC
};
struct moment_word {
        const char *name;
        enum moment_word_kind kind;
        int value;
};

/* NULL: none of those whose meaning is the same everywhere. */
const struct moment_word *moment_word_find(struct slice lower);
/* Does the filter (where_moment_filter()) let the text pass? Not asked of infinity and the like. */
bool moment_is_judged(struct slice text, bool time_only);
/* ERR_FORMAT. `room`: how many bytes Postgres has for the fields. */
int moment_split(struct slice text, size_t room, struct moment_fields *out);

/* What a field may settle. */
enum {
        SEEN_YEAR = 1,
        SEEN_MONTH = 2,
        SEEN_DAY = 4,
        SEEN_DATE = SEEN_YEAR | SEEN_MONTH | SEEN_DAY,
        SEEN_TIME = 8,
        SEEN_ZONE = 16,
        SEEN_DAY_OF_YEAR = 32,
        SEEN_WEEKDAY = 64,
        SEEN_HALF = 128, /* am, pm */
        SEEN_ERA = 256
};

struct moment {
        unsigned seen;
        int year, month, day, day_of_year;
        int hour, minute, second;
        int64_t usecs;
        int64_t east; /* seconds */
        bool text_month, two_digits, julian, bc, am, pm;
};

/* Each reads one field, given what has been seen, and says what it settles; negative: an error. All
 * write into `field`. */
int moment_read_date(struct moment *m, char *field, unsigned seen);
int moment_read_number(struct moment *m, char *field, bool text_month, unsigned seen);
/* Run together: yyyymmdd, hhmmss, hhmm. */
int moment_read_run(struct moment *m, char *field, unsigned seen);
int moment_read_clock(struct moment *m, const char *field);
/* 0 or an error. */
int moment_read_zone(struct moment *m, const char *field);
/* Microseconds of .ddd at the end of a field; negative: an error. */
int64_t moment_read_fraction(const char *from);
/* As strtol of 32 bits, of digits: false when it does not fit. */
bool moment_int(const char *from, const char **end, int *out);
void moment_set_julian(struct moment *m, int day);

#endif
