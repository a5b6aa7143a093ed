/* Random texts that stand for dates, times and intervals, or nearly so. */
#ifndef SERVICES_ROUTER_WHERE_ORACLE_MOMENT_H
#define SERVICES_ROUTER_WHERE_ORACLE_MOMENT_H

#include <stdio.h>
#include <string.h>

#include "services/router/where_oracle_gen.h"

enum { GEN_MOMENT_BYTES = 40 }; /* fit into char(40) */

#define GEN_ONE_OF(g, list) ((list)[gen_below(g, sizeof(list) / sizeof((list)[0]))])

static inline void gen_number_of(struct gen *g, uint32_t low, uint32_t high, int width,
                                 struct buf *out)
{
        buf_printf(out, "%0*u", gen_chance(g, 80) ? width : 0, low + gen_below(g, high - low + 1));
}

static inline void gen_year(struct gen *g, struct buf *out)
{
        static const char *const years[] = {"0",       "00",     "000",   "5874897",
                                            "5874898", "4713",   "4714",  "4715",
                                            "294276",  "294277", "99999", "10000"};
        static const uint32_t ranges[][3] = {{1990, 2030, 4}, {1990, 2030, 4}, {1, 99, 2},
                                             {1, 9999, 4},    {100, 999, 3},   {10000, 600000, 6}};
        if (gen_chance(g, 10)) {
                buf_puts(out, GEN_ONE_OF(g, years));
                return;
        }
        const uint32_t *r = GEN_ONE_OF(g, ranges);
        gen_number_of(g, r[0], r[1], (int)r[2], out);
}

static inline void gen_month_name(struct gen *g, struct buf *out)
{
        static const char *const names[] = {
                "jan",   "january",  "Feb",      "february",  "MAR",     "march", "apr",
                "april", "may",      "May",      "jun",       "june",    "jul",   "July",
                "aug",   "august",   "sep",      "sept",      "October", "oct",   "nov",
                "DEC",   "December", "november", "September", "juni",    "d",     "sepember"};
        buf_puts(out, GEN_ONE_OF(g, names));
}

/* In the order that `form` has the letters in: Y, M, N (its name), D; others are as they are. */
static inline void gen_date_of(struct gen *g, const char *form, struct buf *out)
{
        for (; *form; form++) {
                if (*form == 'Y')
                        gen_year(g, out);
                else if (*form == 'M')
                        gen_number_of(g, gen_chance(g, 95), 12 + gen_chance(g, 5), 2, out);
                else if (*form == 'N')
                        gen_month_name(g, out);
                else if (*form == 'D')
                        gen_number_of(g, gen_chance(g, 97), 28 + gen_below(g, 5), 2, out);
                else
                        buf_putc(out, *form);
        }
}

static inline void gen_date_text(struct gen *g, struct buf *out)
{
        static const char *const forms[] = {
                "Y-M-D",  "Y-M-D", "Y-M-D", "Y/M/D", "Y.M.D", "D-M-Y",    "D/M/Y", "D.M.Y",
                "N D, Y", "N D Y", "D N Y", "D-N-Y", "N-D-Y", "Y-N-D",    "Y N D", "D N, Y",
                "N/D/Y",  "DNY",   "Y M D", "M D Y", "Y.D",   "2024MMDD", "YMMDD", "240D0D"};
        static const char *const days[] = {"mon ", "Monday, ",  "tues ", "Wed, ", "thur ",
                                           "fri ", "SATURDAY ", "sun,",  "weds "};
        static const char *const labels[] = {"J", "j ", "jd", "julian ", "JULIAN", "Jd  "};
        static const char *const rests[] = {"", "", ".25", ".999999999", "-08", ","};
        if (gen_chance(g, 6)) {
                buf_printf(out, "%s%u%s", GEN_ONE_OF(g, labels), 2400000 + gen_below(g, 100000),
                           GEN_ONE_OF(g, rests));
                return;
        }
        if (gen_chance(g, 10))
                buf_puts(out, GEN_ONE_OF(g, days));
        gen_date_of(g, GEN_ONE_OF(g, forms), out);
}

static inline void gen_clock_text(struct gen *g, struct buf *out)
{
        static const char *const odd[] = {
                "24:00:00",         "24:00", "23:59:60", "23:59:60.5", "24:00:01", "235960",
                "23:59:59.9999999", "12:",   "12::5",    "250000",     "allballs", "12:30:"};
        static const char *const ends[] = {" am", " PM", "pm", " AM", "am"};
        uint32_t form = gen_below(g, 10);
        if (form == 0) {
                buf_puts(out, GEN_ONE_OF(g, odd));
                return;
        }
        const char *colon = form == 1 ? "" : ":";
        gen_number_of(g, 0, gen_chance(g, 50) ? 12 : 24, 2, out);
        buf_puts(out, colon);
        gen_number_of(g, 0, 59 + gen_chance(g, 5), 2, out);
        if (form > 3 || form == 1) {
                buf_puts(out, colon);
                gen_number_of(g, 0, 60, 2, out);
        }
        if (form > 6)
                buf_printf(out, ".%0*u", 1 + (int)gen_below(g, 9), gen_below(g, 1000000));
        if (gen_chance(g, 15))
                buf_puts(out, GEN_ONE_OF(g, ends));
}

static inline void gen_zone_text(struct gen *g, struct buf *out)
{
        static const char *const zones[] = {"Z",      "+02",  "-08",   "+05:30", "-03:30:15",
                                            "+0530",  " UTC", " gmt",  "z",      " -8",
                                            "+15:59", "+16",  " zulu", " PST",   " Europe/Berlin",
                                            "+1:5",   "+ 02", " ut",   "utc+3",  " EST5EDT"};
        buf_puts(out, GEN_ONE_OF(g, zones));
}

static inline void gen_stamp_text(struct gen *g, struct buf *out)
{
        static const char *const words[] = {
                "infinity",  "-infinity",   "epoch",     "Infinity",    "now",
                "today",     "tomorrow",    "yesterday", " -Infinity ", "- infinity",
                "+infinity", "infinity BC", ""};
        static const char *const ends[] = {" BC", " AD", "bc", " at", " on", "BC "};
        if (gen_chance(g, 6)) {
                buf_puts(out, GEN_ONE_OF(g, words));
                return;
        }
        bool later = gen_chance(g, 10);
        if (!later)
                gen_date_text(g, out);
        if (gen_chance(g, 60)) {
                buf_puts(out, gen_chance(g, 30) ? "T" : " ");
                gen_clock_text(g, out);
                if (gen_chance(g, 40))
                        gen_zone_text(g, out);
        }
        if (later) {
                buf_putc(out, ' ');
                gen_date_text(g, out);
        }
        if (gen_chance(g, 10))
                buf_puts(out, GEN_ONE_OF(g, ends));
}

static inline void gen_amount(struct gen *g, bool iso, struct buf *out)
{
        static const char *const signs[] = {"-", "+", "- ", "-"};
        static const uint32_t limits[] = {9, 40, 40, 1000, 999999, 2000000000};
        if (gen_chance(g, 30))
                buf_puts(out, iso ? "-" : GEN_ONE_OF(g, signs));
        buf_printf(out, "%u", gen_below(g, GEN_ONE_OF(g, limits)));
        if (gen_chance(g, 30))
                buf_printf(out, ".%0*u", (int)gen_below(g, 8), gen_below(g, 1000));
}

static inline void gen_iso_interval(struct gen *g, struct buf *out)
{
        buf_putc(out, 'P');
        for (const char *unit = "YMWDTHMS"; *unit; unit++) {
                if (*unit == 'T') {
                        buf_puts(out, gen_chance(g, 70) ? "T" : "");
                } else if (gen_chance(g, 35)) {
                        gen_amount(g, true, out);
                        buf_putc(out, *unit);
                }
        }
}

static inline void gen_interval_text(struct gen *g, struct buf *out)
{
        static const char *const units[] = {
                " y",        " yr",      " years",  " mon", "mons",          " Month",
                " w",        " weeks",   " d",      "day",  " days",         " h",
                " hrs",      " hour",    " HOURS",  " m",   " min",          " minutes",
                " s",        " secs",    " second", " ms",  " us",           " msecs",
                " decade",   " century", " dec",    " qtr", " microseconds", " millennia",
                " fortnight"};
        static const char *const odd[] = {"1-2",
                                          "-1-2 3 4:05:06.7",
                                          "1 12:30",
                                          "12:30.5",
                                          "infinity",
                                          "@ 5 m ago",
                                          "P0001-02-03T04:05:06",
                                          "P00010203T040506",
                                          "1 -02:03:04",
                                          "-1 day +02:03",
                                          "5",
                                          "1.5",
                                          "PT",
                                          "P"};
        if (gen_chance(g, 40)) {
                gen_iso_interval(g, out);
                return;
        }
        if (gen_chance(g, 12)) {
                buf_puts(out, GEN_ONE_OF(g, odd));
                return;
        }
        for (uint32_t i = gen_below(g, 4); i > 0; i--) {
                gen_amount(g, false, out);
                buf_printf(out, "%s%s ", GEN_ONE_OF(g, units), gen_chance(g, 5) ? "," : "");
        }
        if (gen_chance(g, 40))
                gen_clock_text(g, out);
        if (gen_chance(g, 12))
                buf_puts(out, " ago");
}

static inline void gen_mutate(struct gen *g, char *text, size_t *n)
{
        static const char marks[] = "0123456789-/:.,+ TtZzpPaAmMbBcCjJdDyYsS@\t_x()";
        size_t at = gen_below(g, (uint32_t)*n + 1);
        char mark = marks[gen_below(g, sizeof(marks) - 1)];
        if (gen_chance(g, 40) && at < *n) {
                text[at] = mark;
        } else if (gen_chance(g, 50) && at < *n) {
                memmove(text + at, text + at + 1, --*n - at);
        } else if (*n < GEN_MOMENT_BYTES) {
                memmove(text + at + 1, text + at, (*n)++ - at);
                text[at] = mark;
        }
}

/* As an SQL literal, for a column of this name. */
static inline void gen_moment_text(struct gen *g, const char *column, struct buf *out)
{
        struct buf b;
        char text[GEN_MOMENT_BYTES + 1];
        buf_init(&b, 1024);
        uint32_t kind = gen_chance(g, 85) ? (uint32_t)column[1] : gen_below(g, 128);
        if (kind == 'n')
                gen_interval_text(g, &b);
        else if (kind == 'c')
                gen_clock_text(g, &b);
        else
                gen_stamp_text(g, &b);
        if (kind == 'c' && gen_chance(g, 30))
                gen_zone_text(g, &b);
        size_t n = b.len < GEN_MOMENT_BYTES ? b.len : GEN_MOMENT_BYTES;
        memcpy(text, b.p ? b.p : "", n);
        while (gen_chance(g, 20))
                gen_mutate(g, text, &n);
        buf_printf(out, "'%.*s'", (int)n, text);
        buf_fini(&b);
}

/* A text column as a date or a time, mostly one that has such texts. */
static inline void gen_text_cast(struct gen *g, const char *kind, struct buf *out)
{
        static const char *const stamps[] = {"date", "timestamp", "timestamptz"};
        static const char *const columns[] = {"mt", "mv", "mc", "mn"};
        bool is_interval = strcmp(kind, "interval") == 0, is_clock = strcmp(kind, "clock") == 0;
        const char *column = is_interval ? "mn" : is_clock ? "mc" : gen_chance(g, 50) ? "mt" : "mv";
        const char *type = is_interval ? "interval" : is_clock ? "time" : GEN_ONE_OF(g, stamps);
        if (gen_chance(g, 8))
                column = GEN_ONE_OF(g, columns);
        if (gen_chance(g, 6))
                buf_printf(out, "(coalesce(%s, '') || '%s')::%s", column,
                           gen_chance(g, 50) ? " " : ":00", type);
        else
                buf_printf(out, "%s::%s", column, type);
}

static inline void gen_value(struct gen *g, uint32_t column, struct buf *out)
{
        if (gen_chance(g, 15))
                buf_puts(out, "NULL");
        else if (strcmp(gen_columns[column].kind, "moment") == 0)
                gen_moment_text(g, gen_columns[column].name, out);
        else if (strncmp(gen_columns[column].type, "timestamp", 9) == 0 && gen_chance(g, 40))
                gen_moment(g, out);
        else
                buf_puts(out, gen_sample(g, column));
}

#endif
