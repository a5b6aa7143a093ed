#include "services/router/tzrule.h"

#include "services/router/time_reader.h"
#include "services/router/where_time.h"

#define SECS_PER_DAY INT64_C(86400)

/* ---- reading */

static int number(struct reader *r, int least, int most)
{
        size_t n = 0;
        int v = 0;
        for (; n < r->s.len && n < 3 && r->s.p[n] >= '0' && r->s.p[n] <= '9'; n++)
                v = v * 10 + (r->s.p[n] - '0');
        if (n == 0 || v < least || v > most)
                r->error = ERR_FORMAT;
        reader_skip(r, n);
        return v;
}

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Three letters or more, or anything in <>. Nobody asks what it says. */
static void skip_name(struct reader *r)
{
        size_t n = 0;
        if (reader_take(r, '<')) {
                while (n < r->s.len && r->s.p[n] != '>')
                        n++;
                reader_skip(r, n);
                reader_expect(r, '>');
                return;
        }
        while (n < r->s.len && is_letter(r->s.p[n]))
                n++;
        if (n < 3)
                r->error = ERR_FORMAT;
        reader_skip(r, n);
}

/* [+-]hh[:mm[:ss]] */
static int32_t read_secs(struct reader *r, int max_hours)
{
        bool negative = reader_take(r, '-');
        if (!negative)
                (void)reader_take(r, '+');
        int32_t secs = number(r, 0, max_hours) * 3600;
        if (reader_take(r, ':')) {
                secs += number(r, 0, 59) * 60;
                if (reader_take(r, ':'))
                        secs += number(r, 0, 59);
        }
        return negative ? -secs : secs;
}

static struct tzrule_date read_date(struct reader *r)
{
        enum { TWO = 2 * 3600, MAX_HOURS = 167 };
        struct tzrule_date d = {.kind = TZRULE_DAY, .secs = TWO};
        if (reader_take(r, 'J')) {
                d.kind = TZRULE_JULIAN;
                d.day = number(r, 1, 365);
        } else if (reader_take(r, 'M')) {
                d.kind = TZRULE_WEEKDAY;
                d.month = number(r, 1, 12);
                reader_expect(r, '.');
                d.week = number(r, 1, 5);
                reader_expect(r, '.');
                d.day = number(r, 0, 6);
        } else {
                d.day = number(r, 0, 365);
        }
        if (reader_take(r, '/'))
                d.secs = read_secs(r, MAX_HOURS);
        return d;
}

int tzrule_read(struct slice text, struct tzrule *out)
{
        enum { HOUR = 3600, MAX_HOURS = 23 };
        struct reader r = {.s = text};
        struct tzrule rule = {0};
        skip_name(&r);
        rule.standard = -read_secs(&r, MAX_HOURS);
        if (!r.error && r.s.len) {
                rule.changes = true;
                rule.summer = rule.standard + HOUR;
                skip_name(&r);
                if (!reader_next_is(&r, ','))
                        rule.summer = -read_secs(&r, MAX_HOURS);
                reader_expect(&r, ',');
                rule.start = read_date(&r);
                reader_expect(&r, ',');
                rule.end = read_date(&r);
        }
        if (r.error || r.s.len)
                return ERR_FORMAT;
        *out = rule;
        return 0;
}

/* ---- years */

static int64_t days_from_1970(int64_t year, int month, int day)
{
        return time_days_of(year, month, day) + TIME_DAYS_1970_TO_2000;
}

static int64_t weekday_of(int64_t year, const struct tzrule_date *d)
{
        enum { THURSDAY = 4 }; /* 1970-01-01 */
        int64_t first = days_from_1970(year, d->month, 1);
        int64_t ahead = d->day - (first + THURSDAY) % 7;
        int64_t day = (ahead + 14) % 7 + (int64_t)(d->week - 1) * 7;
        while (day >= time_month_days(year, d->month))
                day -= 7;
        return first + day;
}

static int64_t at_of(int64_t year, const struct tzrule_date *d, int32_t east)
{
        int64_t day = days_from_1970(year, 1, 1) + d->day;
        if (d->kind == TZRULE_WEEKDAY) {
                day = weekday_of(year, d);
        } else if (d->kind == TZRULE_JULIAN) {
                bool after_february = d->day >= 60 && time_month_days(year, 2) == 29;
                day += after_february ? 0 : -1;
        }
        return day * SECS_PER_DAY + d->secs - east;
}

uint32_t tzrule_year(const struct tzrule *r, int64_t year, struct tzrule_change out[2])
{
        struct tzrule_change start = {at_of(year, &r->start, r->standard), r->summer};
        struct tzrule_change end = {at_of(year, &r->end, r->summer), r->standard};
        int64_t year_days = days_from_1970(year + 1, 1, 1) - days_from_1970(year, 1, 1);
        bool reversed = end.at < start.at;
        /* summer from one year's end to the next one's beginning */
        if (!reversed && (start.at == end.at ||
                          end.at - start.at >= year_days * SECS_PER_DAY + r->summer - r->standard))
                return 0;
        out[0] = reversed ? end : start;
        out[1] = reversed ? start : end;
        return 2;
}
