#include "services/router/where_moment.h"

#include <stdlib.h>

#include "common/base/err.h"
#include "services/router/where_moment_fields.h"
#include "services/router/where_text.h"
#include "services/router/where_time.h"

/* A field may say what the next one is. */
enum next { NEXT_ANY, NEXT_JULIAN, NEXT_TIME };

struct reading {
        struct moment m;
        struct moment_fields f;
        enum next next;
        bool time_only;
};

static int64_t clock_of(const struct moment *m)
{
        return ((INT64_C(60) * m->hour + m->minute) * 60 + m->second) * USECS_PER_SEC + m->usecs;
}

/* Postgres: later than the end of the day? */
static bool is_past_midnight(const struct moment *m)
{
        return m->hour > 24 || m->minute > 59 || m->second > 60 || clock_of(m) > USECS_PER_DAY;
}

/* Digits behind a `j`: a day, perhaps with a time of the day after a point. */
static int read_julian(struct reading *r, char *field)
{
        const char *end;
        int day;
        if (!moment_int(field, &end, &day))
                return ERR_RANGE;
        if (*end && *end != '.')
                return ERR_FORMAT;
        moment_set_julian(&r->m, day);
        if (!*end)
                return SEEN_DATE;
        int64_t time = (int64_t)(strtod(end, NULL) * (double)USECS_PER_DAY);
        r->m.hour = (int)(time / (3600 * USECS_PER_SEC));
        r->m.minute = (int)(time / (60 * USECS_PER_SEC) % 60);
        r->m.second = (int)(time / USECS_PER_SEC % 60);
        r->m.usecs = time % USECS_PER_SEC;
        return SEEN_DATE | SEEN_TIME;
}

/* A day behind a `j`, with an offset. */
static int read_julian_zoned(struct reading *r, char *field)
{
        const char *end;
        int day;
        if (!moment_int(field, &end, &day))
                return ERR_RANGE;
        moment_set_julian(&r->m, day);
        int err = moment_read_zone(&r->m, end);
        return err ? err : SEEN_DATE | SEEN_TIME | SEEN_ZONE;
}

/* hhmmss-zz */
static int read_run_zoned(struct reading *r, char *field, unsigned seen)
{
        char *zone = strchr(field, '-');
        if ((r->m.seen & SEEN_TIME) || !zone)
                return ERR_FORMAT;
        int err = moment_read_zone(&r->m, zone);
        if (err)
                return err;
        *zone = '\0';
        int found = moment_read_run(&r->m, field, seen);
        return found < 0 ? found : found | SEEN_ZONE;
}

static int read_date_field(struct reading *r, int i)
{
        char *field = r->f.fields[i].text;
        const unsigned month_and_day = SEEN_MONTH | SEEN_DAY;
        enum next what = r->next;
        r->next = NEXT_ANY;
        if (what == NEXT_JULIAN)
                return read_julian_zoned(r, field);
        if (r->time_only) {
                bool leads = i == 0 && r->f.n >= 2 &&
                             (r->f.fields[r->f.n - 1].kind == MF_DATE ||
                              r->f.fields[1].kind == MF_CLOCK);
                if (leads)
                        return moment_read_date(&r->m, field, r->m.seen);
                return read_run_zoned(r, field, r->m.seen | SEEN_DATE);
        }
        if (what == NEXT_ANY && (r->m.seen & month_and_day) != month_and_day)
                return moment_read_date(&r->m, field, r->m.seen);
        return read_run_zoned(r, field, r->m.seen);
}

static int read_clock_field(struct reading *r, const char *field)
{
        if (r->next == NEXT_JULIAN)
                return ERR_FORMAT;
        r->next = NEXT_ANY;
        int found = moment_read_clock(&r->m, field);
        return found > 0 && !r->time_only && is_past_midnight(&r->m) ? ERR_RANGE : found;
}

static int read_labelled(struct reading *r, char *field)
{
        enum next what = r->next;
        const char *end;
        int number;
        r->next = NEXT_ANY;
        if (what == NEXT_JULIAN)
                return read_julian(r, field);
        if (!moment_int(field, &end, &number))
                return ERR_RANGE;
        int found = moment_read_run(&r->m, field, r->m.seen | SEEN_DATE);
        return found < 0 || found == SEEN_TIME ? found : ERR_FORMAT;
}

static int read_number_of_time(struct reading *r, int i)
{
        char *field = r->f.fields[i].text, *point = strchr(field, '.');
        unsigned seen = r->m.seen | SEEN_DATE;
        if (point && i == 0 && r->f.n >= 2 && r->f.fields[r->f.n - 1].kind == MF_DATE)
                return moment_read_date(&r->m, field, r->m.seen);
        if (point)
                return point - field > 2 ? moment_read_run(&r->m, field, seen) : ERR_FORMAT;
        if (strlen(field) > 4)
                return moment_read_run(&r->m, field, seen);
        return moment_read_number(&r->m, field, false, seen);
}

static int read_number_field(struct reading *r, int i)
{
        char *field = r->f.fields[i].text, *point = strchr(field, '.');
        unsigned seen = r->m.seen;
        if (r->next != NEXT_ANY)
                return read_labelled(r, field);
        if (r->time_only)
                return read_number_of_time(r, i);
        if (point && !(seen & SEEN_DATE))
                return moment_read_date(&r->m, field, seen);
        if (point && point - field > 2)
                return moment_read_run(&r->m, field, seen);
        if (strlen(field) >= 6 && (!(seen & SEEN_DATE) || !(seen & SEEN_TIME)))
                return moment_read_run(&r->m, field, seen);
        return moment_read_number(&r->m, field, r->m.text_month, seen);
}

static int read_month(struct moment *m, int month)
{
        int found = SEEN_MONTH;
        /* The number before was the day. */
        if ((m->seen & SEEN_MONTH) && !m->text_month && !(m->seen & SEEN_DAY) && m->month >= 1 &&
            m->month <= 31) {
                m->day = m->month;
                found = SEEN_DAY;
        }
        m->text_month = true;
        m->month = month;
        return found;
}

/* The `t` of 2024-01-01T12:00. */
static int read_t(struct reading *r, int i)
{
        if (!r->time_only && (r->m.seen & SEEN_DATE) != SEEN_DATE)
                return ERR_FORMAT;
        if (i + 1 >= r->f.n || r->f.fields[i + 1].kind > MF_CLOCK)
                return ERR_FORMAT;
        r->next = NEXT_TIME;
        return 0;
}

static int read_word_field(struct reading *r, int i)
{
        const struct moment_word *w = moment_word_find(slice_cstr(r->f.fields[i].text));
        switch (w ? w->kind : MW_NONE) {
        case MW_MONTH:
                return r->time_only ? ERR_FORMAT : read_month(&r->m, w->value);
        case MW_DAY:
                return SEEN_WEEKDAY;
        case MW_AM:
                r->m.am = true;
                return SEEN_HALF;
        case MW_PM:
                r->m.pm = true;
                return SEEN_HALF;
        case MW_AD:
                return SEEN_ERA;
        case MW_BC:
                r->m.bc = true;
                return SEEN_ERA;
        case MW_IGNORED:
                return 0;
        case MW_JULIAN:
                r->next = NEXT_JULIAN;
                return 0;
        case MW_T:
                return read_t(r, i);
        case MW_UTC:
                r->m.east = 0;
                return SEEN_ZONE;
        case MW_NONE:
        default:
                return ERR_FORMAT;
        }
}

static int read_field(struct reading *r, int i)
{
        char *field = r->f.fields[i].text;
        switch (r->f.fields[i].kind) {
        case MF_DATE:
                return read_date_field(r, i);
        case MF_CLOCK:
                return read_clock_field(r, field);
        case MF_ZONE: {
                int err = moment_read_zone(&r->m, field);
                return err ? err : SEEN_ZONE;
        }
        case MF_NUMBER:
                return read_number_field(r, i);
        case MF_WORD:
        default:
                return read_word_field(r, i);
        }
}

/* ---- what it makes together */

static int finish_year(struct moment *m)
{
        if (!(m->seen & SEEN_YEAR) || m->julian)
                return 0;
        if (m->bc) {
                if (m->year <= 0)
                        return ERR_RANGE;
                m->year = -(m->year - 1);
        } else if (m->two_digits) {
                if (m->year < 0)
                        return ERR_RANGE;
                m->year += m->year < 70 ? 2000 : m->year < 100 ? 1900 : 0;
        } else if (m->year <= 0) {
                return ERR_RANGE;
        }
        return 0;
}

static int finish_date(struct moment *m)
{
        int err = finish_year(m);
        if (err)
                return err;
        if (m->seen & SEEN_DAY_OF_YEAR) {
                struct time_day d = time_day_of(time_days_of(m->year, 1, 1) + m->day_of_year - 1);
                m->year = (int)d.year;
                m->month = d.month;
                m->day = d.day;
        }
        if ((m->seen & SEEN_MONTH) && (m->month < 1 || m->month > 12))
                return ERR_RANGE;
        if ((m->seen & SEEN_DAY) && (m->day < 1 || m->day > 31))
                return ERR_RANGE;
        if ((m->seen & SEEN_DATE) == SEEN_DATE && m->day > time_month_days(m->year, m->month))
                return ERR_RANGE;
        return 0;
}

static int finish_half(struct moment *m)
{
        if ((m->am || m->pm) && m->hour > 12)
                return ERR_RANGE;
        if (m->am && m->hour == 12)
                m->hour = 0;
        else if (m->pm && m->hour != 12)
                m->hour += 12;
        return 0;
}

static int read_fields(struct reading *r)
{
        for (int i = 0; i < r->f.n; i++) {
                int found = read_field(r, i);
                if (found < 0)
                        return found;
                if (r->m.seen & (unsigned)found)
                        return ERR_FORMAT;
                r->m.seen |= (unsigned)found;
        }
        int err = finish_date(&r->m);
        return err ? err : finish_half(&r->m);
}

/* The day must be one that Postgres can count: from 4714-11-24 BC, or some days before. */
static bool is_countable(const struct moment *m)
{
        enum { FIRST_YEAR = -4713, LAST_YEAR = 5874898 };
        return (m->year > FIRST_YEAR || (m->year == FIRST_YEAR && m->month >= 11)) &&
               (m->year < LAST_YEAR || (m->year == LAST_YEAR && m->month < 6));
}

static int make_moment(const struct moment *m, enum where_type t, int64_t *out)
{
        if ((m->seen & SEEN_DATE) != SEEN_DATE)
                return ERR_FORMAT;
        if (!is_countable(m))
                return ERR_RANGE;
        int64_t days = time_days_of(m->year, m->month, m->day), v;
        if (t == WT_DATE) {
                if (!time_date_is_valid(days))
                        return ERR_RANGE;
                *out = days;
                return 0;
        }
        int64_t east = t == WT_TIMESTAMPTZ ? m->east * USECS_PER_SEC : 0;
        if (__builtin_mul_overflow(days, USECS_PER_DAY, &v) ||
            __builtin_add_overflow(v, clock_of(m), &v) || __builtin_sub_overflow(v, east, &v) ||
            !time_timestamp_is_valid(v))
                return ERR_RANGE;
        *out = v;
        return 0;
}

static bool is_word(struct slice s, const char *word)
{
        return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

/* Texts that are one word. */
static bool read_alone(enum where_type t, struct slice text, int64_t *out)
{
        struct slice s = where_trim(text);
        bool negative = s.len && s.p[0] == '-';
        if (t == WT_TIME) {
                *out = 0;
                return is_word(s, "allballs");
        }
        *out = -TIME_DAYS_1970_TO_2000 * (t == WT_DATE ? 1 : USECS_PER_DAY);
        if (is_word(s, "epoch"))
                return true;
        *out = negative ? TIME_NINFINITY : TIME_INFINITY;
        return is_word(negative ? where_trim(slice_of(s.p + 1, s.len - 1)) : s, "infinity");
}

int where_moment_read(enum where_type t, struct slice text, int64_t *out)
{
        struct reading r = {.time_only = t == WT_TIME};
        bool is_stamp = t == WT_TIMESTAMP || t == WT_TIMESTAMPTZ;
        size_t room = is_stamp ? sizeof(r.f.bytes) : sizeof(r.f.bytes) - MOMENT_MAX_FIELDS + 1;
        int64_t alone;
        if (read_alone(t, text, &alone)) {
                *out = alone;
                return 0;
        }
        if (!moment_is_judged(text, r.time_only))
                return ERR_FORMAT;
        int err = moment_split(text, room, &r.f);
        err = err ? err : read_fields(&r);
        if (err || !r.time_only)
                return err ? err : make_moment(&r.m, t, out);
        if (is_past_midnight(&r.m))
                return ERR_RANGE;
        if (!(r.m.seen & SEEN_TIME))
                return ERR_FORMAT;
        *out = clock_of(&r.m);
        return 0;
}

/* ---- casts */

const char *where_cast_filter(enum where_type to)
{
        return to == WT_INTERVAL ? time_interval_filter() : where_moment_filter(to == WT_TIME);
}

int where_cast_read(enum where_type to, struct slice text, struct where_value *out)
{
        out->null = false;
        if (to == WT_INTERVAL)
                return time_cast_interval(text, &out->interval);
        return where_moment_read(to, text, &out->i);
}
