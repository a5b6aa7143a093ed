/* The fields of digits: dates, times of the day, offsets. */
#include "services/router/where_moment_fields.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "services/router/where_time.h"

enum { JULIAN_OF_2000 = 2451545 };

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

bool moment_int(const char *from, const char **end, int *out)
{
        int64_t v = 0;
        bool fits = true;
        for (; is_digit(*from); from++) {
                if (v <= INT32_MAX)
                        v = v * 10 + (*from - '0');
        }
        fits = v <= INT32_MAX;
        *end = from;
        *out = fits ? (int)v : 0;
        return fits;
}

/* Of digits that are cut out of a run: what is too large wraps around. */
static int wrapped_int(const char *from, size_t n)
{
        int64_t v = 0;
        for (size_t i = 0; i < n; i++)
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, from[i] - '0', &v))
                        return -1;
        return (int)(uint32_t)(uint64_t)v;
}

int64_t moment_read_fraction(const char *from)
{
        const char *p = from + 1;
        while (is_digit(*p))
                p++;
        if (*p)
                return ERR_FORMAT;
        return (int64_t)rint(strtod(from, NULL) * 1000000);
}

void moment_set_julian(struct moment *m, int day)
{
        struct time_day d = time_day_of((int64_t)day - JULIAN_OF_2000);
        m->year = (int)d.year;
        m->month = d.month;
        m->day = d.day;
        m->julian = true;
}

/* ---- dates */

static int set_year(struct moment *m, int v, size_t len)
{
        m->year = v;
        m->two_digits = len <= 2;
        return SEEN_YEAR;
}

static int set_month(struct moment *m, int v)
{
        m->month = v;
        return SEEN_MONTH;
}

static int set_day(struct moment *m, int v)
{
        m->day = v;
        return SEEN_DAY;
}

/* The third number beside the name of a month: perhaps the first was the day after all. */
static int after_year_and_month(struct moment *m, int v, size_t len, bool text_month)
{
        if (!text_month || len < 3 || !m->two_digits)
                return set_day(m, v);
        m->day = m->year;
        m->year = v;
        m->two_digits = false;
        return SEEN_DAY;
}

/* Which of year, month and day a number is: three digits or more are a year, else days come first.
 */
static int place_number(struct moment *m, int v, size_t len, bool text_month, unsigned seen)
{
        switch (seen & SEEN_DATE) {
        case 0:
                return len >= 3 ? set_year(m, v, len) : set_day(m, v);
        case SEEN_YEAR:
                return set_month(m, v);
        case SEEN_MONTH:
                return text_month && len >= 3 ? set_year(m, v, len) : set_day(m, v);
        case SEEN_YEAR | SEEN_MONTH:
                return after_year_and_month(m, v, len, text_month);
        case SEEN_DAY:
                return set_month(m, v);
        case SEEN_MONTH | SEEN_DAY:
                return set_year(m, v, len);
        default:
                return ERR_FORMAT;
        }
}

int moment_read_number(struct moment *m, char *field, bool text_month, unsigned seen)
{
        enum { DAYS_OF_LEAP_YEAR = 366 };
        const char *end;
        int v;
        size_t len = strlen(field);
        if (!moment_int(field, &end, &v))
                return ERR_RANGE;
        if (end == field)
                return ERR_FORMAT;
        if (*end == '.') {
                if (end - field > 2)
                        return moment_read_run(m, field, seen | SEEN_DATE);
                int64_t usecs = moment_read_fraction(end);
                if (usecs < 0)
                        return ERR_FORMAT;
                m->usecs = usecs;
        } else if (*end) {
                return ERR_FORMAT;
        }
        if (len == 3 && (seen & SEEN_DATE) == SEEN_YEAR && v >= 1 && v <= DAYS_OF_LEAP_YEAR) {
                m->day_of_year = v;
                return SEEN_DAY_OF_YEAR | SEEN_MONTH | SEEN_DAY;
        }
        if ((seen & SEEN_DATE) == SEEN_DATE)
                return moment_read_run(m, field, seen);
        return place_number(m, v, len, text_month, seen);
}

int moment_read_run(struct moment *m, char *field, unsigned seen)
{
        char *point = strchr(field, '.');
        size_t len = point ? (size_t)(point - field) : strlen(field);
        if (point) {
                m->usecs = (int64_t)rint(strtod(point, NULL) * 1000000);
                *point = '\0';
        } else if ((seen & SEEN_DATE) != SEEN_DATE && len >= 6) {
                m->day = wrapped_int(field + len - 2, 2);
                m->month = wrapped_int(field + len - 4, 2);
                m->year = wrapped_int(field, len - 4);
                m->two_digits |= len == 6;
                return SEEN_DATE;
        }
        if ((seen & SEEN_TIME) || (len != 6 && len != 4))
                return ERR_FORMAT;
        m->hour = wrapped_int(field, 2);
        m->minute = wrapped_int(field + 2, 2);
        m->second = len == 6 ? wrapped_int(field + 4, 2) : 0;
        return SEEN_TIME;
}

enum { MAX_PIECES = MOMENT_MAX_FIELDS };

/* Digits or letters with something between them; negative: an error. */
static int split_date(char *field, char *pieces[MAX_PIECES])
{
        int n = 0;
        while (*field && n < MAX_PIECES) {
                while (*field && !is_digit(*field) && !(*field >= 'a' && *field <= 'z'))
                        field++;
                if (!*field)
                        return ERR_FORMAT;
                pieces[n++] = field;
                bool digits = is_digit(*field);
                while (digits ? is_digit(*field) : *field >= 'a' && *field <= 'z')
                        field++;
                if (*field)
                        *field++ = '\0';
        }
        return n;
}

/* The names among the pieces: one of a month, and it settles what the numbers are. */
static int read_names(struct moment *m, char *pieces[MAX_PIECES], int n, unsigned seen, bool *text)
{
        unsigned found = 0;
        for (int i = 0; i < n; i++) {
                if (is_digit(*pieces[i]))
                        continue;
                const struct moment_word *w = moment_word_find(slice_cstr(pieces[i]));
                if (w && w->kind == MW_IGNORED)
                        continue;
                if (!w || w->kind != MW_MONTH || ((seen | found) & SEEN_MONTH))
                        return ERR_FORMAT;
                m->month = w->value;
                found |= SEEN_MONTH;
                *text = true;
                pieces[i] = NULL;
        }
        return (int)found;
}

int moment_read_date(struct moment *m, char *field, unsigned seen)
{
        char *pieces[MAX_PIECES];
        bool text_month = false;
        int n = split_date(field, pieces);
        int found = n < 0 ? n : read_names(m, pieces, n, seen, &text_month);
        if (found < 0)
                return found;
        for (int i = 0; i < n; i++) {
                if (!pieces[i])
                        continue;
                unsigned known = seen | (unsigned)found;
                int more = moment_read_number(m, pieces[i], text_month, known);
                if (more < 0 || (known & (unsigned)more))
                        return more < 0 ? more : ERR_FORMAT;
                found |= more;
        }
        unsigned all = seen | (unsigned)found;
        if ((all & ~(unsigned)(SEEN_DAY_OF_YEAR | SEEN_ZONE)) != SEEN_DATE)
                return ERR_FORMAT;
        return found;
}

/* ---- times of the day, offsets */

/* hh:mm[:ss[.fff]], or mm:ss.fff; each number may be missing. */
int moment_read_clock(struct moment *m, const char *field)
{
        const char *end;
        m->second = 0;
        m->usecs = 0;
        if (!moment_int(field, &end, &m->hour) || *end != ':' ||
            !moment_int(end + 1, &end, &m->minute))
                return ERR_RANGE;
        bool is_short = *end == '.';
        if (*end == ':' && !moment_int(end + 1, &end, &m->second))
                return ERR_RANGE;
        if (*end == '.') {
                m->usecs = moment_read_fraction(end);
                if (m->usecs < 0)
                        return ERR_FORMAT;
        } else if (*end) {
                return ERR_FORMAT;
        }
        if (is_short) {
                m->second = m->minute;
                m->minute = m->hour;
                m->hour = 0;
        }
        if (m->minute > 59 || m->second > 60 || m->usecs > USECS_PER_SEC)
                return ERR_RANGE;
        return SEEN_TIME;
}

/* Of an offset: zero may have a sign of its own. */
static bool read_offset(const char *from, const char **end, int *out)
{
        bool is_signed = *from == '-' && is_digit(from[1]);
        return moment_int(from + is_signed, end, out) && (!is_signed || *out == 0);
}

int moment_read_zone(struct moment *m, const char *field)
{
        enum { MAX_HOURS = 15 };
        const char *end;
        int hours, minutes = 0, seconds = 0;
        if ((*field != '+' && *field != '-') || !read_offset(field + 1, &end, &hours))
                return ERR_FORMAT;
        if (*end == ':') {
                if (!read_offset(end + 1, &end, &minutes) ||
                    (*end == ':' && !read_offset(end + 1, &end, &seconds)))
                        return ERR_RANGE;
        } else if (!*end && strlen(field) > 3) {
                minutes = hours % 100;
                hours /= 100;
        }
        if (*end || hours > MAX_HOURS || minutes > 59 || seconds > 59)
                return ERR_RANGE;
        int64_t east = (hours * 60 + minutes) * 60 + seconds;
        m->east = *field == '-' ? -east : east;
        return 0;
}
