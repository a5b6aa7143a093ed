#include "services/router/where_time.h"

#include <stdlib.h>

#include "services/router/time_reader.h"

/* Julian day 0 is 4714-11-24 BC; both ends are Postgres' (timestamp.h). */
#define EPOCH_JULIAN  INT64_C(2451545)
#define DATE_END      (INT64_C(2147483494) - EPOCH_JULIAN)
#define TIMESTAMP_MIN INT64_C(-211813488000000000)
#define TIMESTAMP_END INT64_C(9223371331200000000)

bool time_date_is_valid(int64_t days)
{
        return days >= -EPOCH_JULIAN && days < DATE_END;
}

bool time_timestamp_is_valid(int64_t usecs)
{
        return usecs >= TIMESTAMP_MIN && usecs < TIMESTAMP_END;
}

int64_t time_floor_div(int64_t a, int64_t b)
{
        return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

/* The proleptic Gregorian calendar by eras of 400 years that begin in March. */
int64_t time_days_of(int64_t year, int month, int day)
{
        int64_t y = year - (month <= 2);
        int64_t era = time_floor_div(y, 400), of_era = y - era * 400;
        int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
        int64_t days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        return era * 146097 + days - 719468 - TIME_DAYS_1970_TO_2000;
}

struct time_day time_day_of(int64_t days)
{
        int64_t z = days + 719468 + TIME_DAYS_1970_TO_2000;
        int64_t era = time_floor_div(z, 146097), of_era = z - era * 146097;
        int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
        int64_t month = (5 * of_year + 2) / 153;
        struct time_day d = {.day = (int)(of_year - (153 * month + 2) / 5 + 1),
                             .month = (int)(month < 10 ? month + 3 : month - 9)};
        d.year = year + era * 400 + (d.month <= 2);
        return d;
}

int time_month_days(int64_t year, int month)
{
        static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        return days[month - 1] + (month == 2 && leap);
}

/* ---- reading */

static int64_t digits(struct reader *r, size_t least, size_t most)
{
        int64_t v = 0;
        size_t n = 0;
        for (; n < r->s.len && n < most && r->s.p[n] >= '0' && r->s.p[n] <= '9'; n++)
                v = v * 10 + (r->s.p[n] - '0');
        if (n < least)
                r->error = ERR_FORMAT;
        reader_skip(r, n);
        return v;
}

static void read_day(struct reader *r, struct time_day *d)
{
        d->year = digits(r, 4, 7);
        reader_expect(r, '-');
        d->month = (int)digits(r, 2, 2);
        reader_expect(r, '-');
        d->day = (int)digits(r, 2, 2);
}

/* .ffffff, at most six digits. */
static int64_t read_fraction(struct reader *r)
{
        if (!reader_take(r, '.'))
                return 0;
        size_t before = r->s.len;
        int64_t v = digits(r, 1, 6);
        for (size_t n = before - r->s.len; n < 6; n++)
                v *= 10;
        return v;
}

static int64_t read_clock(struct reader *r)
{
        int64_t hours = digits(r, 2, 2);
        reader_expect(r, ':');
        int64_t minutes = digits(r, 2, 2);
        reader_expect(r, ':');
        int64_t seconds = digits(r, 2, 2);
        int64_t v = ((hours * 60 + minutes) * 60 + seconds) * USECS_PER_SEC + read_fraction(r);
        if (!r->error && (hours > 24 || minutes > 59 || seconds > 59 || v > USECS_PER_DAY))
                r->error = ERR_RANGE;
        return v;
}

/* Z, +hh, +hh:mm, +hh:mm:ss: microseconds east. */
static int64_t read_zone(struct reader *r)
{
        bool west = reader_next_is(r, '-');
        if (reader_take(r, 'Z'))
                return 0;
        if (!reader_take(r, '+') && !reader_take(r, '-'))
                return 0;
        int64_t hours = digits(r, 2, 2), minutes = 0, seconds = 0;
        if (reader_take(r, ':')) {
                minutes = digits(r, 2, 2);
                if (reader_take(r, ':'))
                        seconds = digits(r, 2, 2);
        }
        if (hours > 15 || minutes > 59 || seconds > 59)
                r->error = ERR_RANGE;
        int64_t v = ((hours * 60 + minutes) * 60 + seconds) * USECS_PER_SEC;
        return west ? -v : v;
}

static int64_t finish_day(struct reader *r, struct time_day d)
{
        if (r->s.len == 3 && memcmp(r->s.p, " BC", 3) == 0) {
                reader_skip(r, 3);
                if (d.year < 1)
                        r->error = ERR_RANGE;
                d.year = 1 - d.year;
        } else if (d.year < 1) {
                r->error = ERR_RANGE;
        }
        if (r->s.len)
                r->error = ERR_FORMAT;
        if (r->error)
                return 0;
        if (d.month < 1 || d.month > 12 || d.day < 1 || d.day > time_month_days(d.year, d.month)) {
                r->error = ERR_RANGE;
                return 0;
        }
        return time_days_of(d.year, d.month, d.day);
}

static bool read_infinite(struct slice s, int64_t *out)
{
        if (slice_eq(s, SLICE_LIT("infinity")))
                *out = TIME_INFINITY;
        else if (slice_eq(s, SLICE_LIT("-infinity")))
                *out = TIME_NINFINITY;
        else
                return false;
        return true;
}

int time_read_date(struct slice text, int64_t *out)
{
        struct reader r = {.s = text};
        struct time_day d;
        if (read_infinite(text, out))
                return 0;
        read_day(&r, &d);
        int64_t days = finish_day(&r, d);
        if (r.error)
                return r.error;
        if (!time_date_is_valid(days))
                return ERR_RANGE;
        *out = days;
        return 0;
}

int time_read_time(struct slice text, int64_t *out)
{
        struct reader r = {.s = text};
        int64_t v = read_clock(&r);
        if (r.s.len)
                return ERR_FORMAT;
        if (!r.error)
                *out = v;
        return r.error;
}

int time_read_timestamp(struct slice text, bool with_zone, int64_t *out)
{
        struct reader r = {.s = text};
        struct time_day d;
        if (read_infinite(text, out))
                return 0;
        read_day(&r, &d);
        if (!reader_take(&r, ' ') && !reader_take(&r, 'T'))
                return ERR_FORMAT;
        int64_t clock = read_clock(&r), east = read_zone(&r), days = finish_day(&r, d), v;
        if (r.error)
                return r.error;
        if (__builtin_mul_overflow(days, USECS_PER_DAY, &v) ||
            __builtin_add_overflow(v, clock - (with_zone ? east : 0), &v) ||
            (!time_timestamp_is_valid(v) && v != TIMESTAMP_END))
                return ERR_RANGE;
        *out = v;
        return 0;
}

/* ---- printing */

static void print_digits(int64_t v, int width, struct buf *out)
{
        buf_printf(out, "%0*lld", width, (long long)v);
}

static void print_day(int64_t days, struct buf *out)
{
        struct time_day d = time_day_of(days);
        print_digits(d.year > 0 ? d.year : 1 - d.year, 4, out);
        buf_putc(out, '-');
        print_digits(d.month, 2, out);
        buf_putc(out, '-');
        print_digits(d.day, 2, out);
}

static void print_era(int64_t days, struct buf *out)
{
        if (time_day_of(days).year < 1)
                buf_puts(out, " BC");
}

static bool print_infinite(int64_t v, struct buf *out)
{
        if (time_is_finite(v))
                return false;
        buf_puts(out, v == TIME_INFINITY ? "infinity" : "-infinity");
        return true;
}

static void print_fraction(int64_t usecs, struct buf *out)
{
        if (usecs == 0)
                return;
        int width = 6;
        while (usecs % 10 == 0) {
                usecs /= 10;
                width--;
        }
        buf_putc(out, '.');
        print_digits(usecs, width, out);
}

void time_print_date(int64_t days, struct buf *out)
{
        if (print_infinite(days, out))
                return;
        print_day(days, out);
        print_era(days, out);
}

void time_print_time(int64_t v, struct buf *out)
{
        int64_t seconds = v / USECS_PER_SEC;
        print_digits(seconds / 3600, 2, out);
        buf_putc(out, ':');
        print_digits(seconds / 60 % 60, 2, out);
        buf_putc(out, ':');
        print_digits(seconds % 60, 2, out);
        print_fraction(v % USECS_PER_SEC, out);
}

void time_print_timestamp(int64_t v, bool with_zone, struct buf *out)
{
        if (print_infinite(v, out))
                return;
        int64_t days = time_floor_div(v, USECS_PER_DAY);
        print_day(days, out);
        buf_putc(out, ' ');
        time_print_time(v - days * USECS_PER_DAY, out);
        if (with_zone)
                buf_puts(out, "+00");
        print_era(days, out);
}

/* ---- intervals */

static void print_part(int64_t v, char unit, struct buf *out)
{
        if (v)
                buf_printf(out, "%lld%c", (long long)v, unit);
}

void time_print_interval(const struct where_interval *v, struct buf *out)
{
        int64_t seconds = v->time / USECS_PER_SEC, rest = v->time % USECS_PER_SEC;
        if (v->month == 0 && v->day == 0 && v->time == 0) {
                buf_puts(out, "PT0S");
                return;
        }
        buf_putc(out, 'P');
        print_part(v->month / 12, 'Y', out);
        print_part(v->month % 12, 'M', out);
        print_part(v->day, 'D', out);
        if (v->time)
                buf_putc(out, 'T');
        print_part(seconds / 3600, 'H', out);
        print_part(seconds / 60 % 60, 'M', out);
        if (seconds % 60 == 0 && rest == 0)
                return;
        if (v->time < 0)
                buf_putc(out, '-');
        buf_printf(out, "%lld", llabs(seconds % 60));
        print_fraction(rest < 0 ? -rest : rest, out);
        buf_putc(out, 'S');
}

int time_interval_cmp(const struct where_interval *a, const struct where_interval *b)
{
        __int128 x = (__int128)a->time + ((__int128)a->month * 30 + a->day) * USECS_PER_DAY;
        __int128 y = (__int128)b->time + ((__int128)b->month * 30 + b->day) * USECS_PER_DAY;
        return (x > y) - (x < y);
}
