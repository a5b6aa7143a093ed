/* Reading intervals: `P1Y2M3DT4H5M6.7S` and `1 year 2 mons 3 days 04:05:06.7`, each part with a
 * sign of its own. */
#include "services/router/where_time.h"

#include "common/base/err.h"

enum unit { YEAR = 1, MONTH = 2, WEEK = 4, DAY = 8, HOUR = 16, MINUTE = 32, SECOND = 64 };

struct parts {
        struct slice s;
        int64_t month, day, time;
        unsigned seen;
};

static void skip(struct parts *p, size_t n)
{
        p->s = slice_of(p->s.p + n, p->s.len - n);
}

/* value × microseconds/days/months of the unit; once for each unit. */
static int add(struct parts *p, enum unit unit, int64_t v, int64_t usecs)
{
        static const int64_t clock[] = {[0] = 3600, [1] = 60, [2] = 1};
        int64_t scaled;
        if (p->seen & unit)
                return ERR_FORMAT;
        p->seen |= unit;
        bool bad = false;
        switch (unit) {
        case YEAR:
                bad = __builtin_mul_overflow(v, 12, &scaled) ||
                      __builtin_add_overflow(p->month, scaled, &p->month);
                break;
        case MONTH:
                bad = __builtin_add_overflow(p->month, v, &p->month);
                break;
        case WEEK:
                bad = __builtin_mul_overflow(v, 7, &scaled) ||
                      __builtin_add_overflow(p->day, scaled, &p->day);
                break;
        case DAY:
                bad = __builtin_add_overflow(p->day, v, &p->day);
                break;
        case HOUR:
        case MINUTE:
        case SECOND:
        default:
                scaled = clock[unit == HOUR ? 0 : unit == MINUTE ? 1 : 2] * USECS_PER_SEC;
                bad = __builtin_mul_overflow(v, scaled, &scaled) ||
                      __builtin_add_overflow(scaled, usecs, &scaled) ||
                      __builtin_add_overflow(p->time, scaled, &p->time);
        }
        return bad ? ERR_RANGE : 0;
}

/* [+-]digits[.ffffff]; a fraction only where `usecs` may have one. */
static int number(struct parts *p, int64_t *v, int64_t *usecs)
{
        enum { MAX_DIGITS = 18 };
        bool negative = p->s.len && p->s.p[0] == '-';
        size_t n = 0;
        int64_t whole = 0, scale = USECS_PER_SEC, fraction = 0;
        if (p->s.len && (p->s.p[0] == '-' || p->s.p[0] == '+'))
                skip(p, 1);
        for (; n < p->s.len && n < MAX_DIGITS && p->s.p[n] >= '0' && p->s.p[n] <= '9'; n++)
                whole = whole * 10 + (p->s.p[n] - '0');
        if (n == 0)
                return ERR_FORMAT;
        skip(p, n);
        if (p->s.len > 1 && p->s.p[0] == '.') {
                for (n = 1; n < p->s.len && p->s.p[n] >= '0' && p->s.p[n] <= '9'; n++) {
                        scale /= 10;
                        fraction += (p->s.p[n] - '0') * scale;
                }
                if (n < 2 || n > 7)
                        return ERR_FORMAT;
                skip(p, n);
        }
        *v = negative ? -whole : whole;
        *usecs = negative ? -fraction : fraction;
        return 0;
}

static int read_iso(struct parts *p)
{
        bool clock = false;
        skip(p, 1);
        if (p->s.len == 0)
                return ERR_FORMAT;
        while (p->s.len) {
                int64_t v, usecs;
                if (!clock && p->s.p[0] == 'T') {
                        clock = true;
                        skip(p, 1);
                        if (p->s.len == 0)
                                return ERR_FORMAT;
                        continue;
                }
                int rc = number(p, &v, &usecs);
                if (rc)
                        return rc;
                char c = p->s.len ? p->s.p[0] : '\0';
                const char *letters = clock ? "HMS" : "YMWD";
                const char *at = c ? strchr(letters, c) : NULL;
                if (!at || (usecs && c != 'S'))
                        return ERR_FORMAT;
                skip(p, 1);
                unsigned unit = (clock ? (unsigned)HOUR : (unsigned)YEAR) << (at - letters);
                if ((rc = add(p, (enum unit)unit, v, usecs)) != 0)
                        return rc;
        }
        return 0;
}

static enum unit unit_of(struct slice word)
{
        static const struct {
                const char *name;
                enum unit unit;
        } units[] = {{"year", YEAR},     {"month", MONTH}, {"mon", MONTH},     {"week", WEEK},
                     {"day", DAY},       {"hour", HOUR},   {"minute", MINUTE}, {"min", MINUTE},
                     {"second", SECOND}, {"sec", SECOND}};
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
                size_t len = strlen(units[i].name);
                if ((word.len == len || (word.len == len + 1 && (word.p[len] | 0x20) == 's')) &&
                    strncasecmp(word.p, units[i].name, len) == 0)
                        return units[i].unit;
        }
        return 0;
}

/* [-]hh:mm:ss[.ffffff], of which hh and its sign have been read. */
static int read_clock(struct parts *p, int64_t hours, bool negative)
{
        int64_t minutes, seconds, usecs, none;
        skip(p, 1);
        if (p->s.len < 5 || p->s.p[2] != ':' || p->s.p[0] < '0' || p->s.p[0] > '9' ||
            p->s.p[3] < '0' || p->s.p[3] > '9')
                return ERR_FORMAT;
        int rc = number(p, &minutes, &none);
        if (rc || minutes > 59 || none)
                return ERR_FORMAT;
        skip(p, 1);
        rc = number(p, &seconds, &usecs);
        if (rc || seconds > 59)
                return ERR_FORMAT;
        int sign = negative ? -1 : 1;
        rc = add(p, HOUR, hours, 0);
        rc = rc ? rc : add(p, MINUTE, sign * minutes, 0);
        return rc ? rc : add(p, SECOND, sign * seconds, sign * usecs);
}

static void skip_blanks(struct parts *p)
{
        while (p->s.len && p->s.p[0] == ' ')
                skip(p, 1);
}

static int read_words(struct parts *p)
{
        for (skip_blanks(p); p->s.len; skip_blanks(p)) {
                bool negative = p->s.p[0] == '-';
                int64_t v, usecs;
                int rc = number(p, &v, &usecs);
                if (rc)
                        return rc;
                if (p->s.len && p->s.p[0] == ':') {
                        if (usecs || (rc = read_clock(p, v, negative)) != 0)
                                return usecs ? ERR_FORMAT : rc;
                        continue;
                }
                skip_blanks(p);
                size_t n = 0;
                while (n < p->s.len && (p->s.p[n] | 0x20) >= 'a' && (p->s.p[n] | 0x20) <= 'z')
                        n++;
                enum unit unit = unit_of(slice_of(p->s.p, n));
                if (!unit || (usecs && unit != SECOND))
                        return ERR_FORMAT;
                skip(p, n);
                if ((rc = add(p, unit, v, usecs)) != 0)
                        return rc;
        }
        return p->seen ? 0 : ERR_FORMAT;
}

int time_read_interval(struct slice text, struct where_interval *out)
{
        struct parts p = {.s = text};
        int rc = text.len && text.p[0] == 'P' ? read_iso(&p) : read_words(&p);
        if (rc)
                return rc;
        if (p.month < INT32_MIN || p.month > INT32_MAX || p.day < INT32_MIN || p.day > INT32_MAX)
                return ERR_RANGE;
        *out = (struct where_interval){
                .time = p.time, .day = (int32_t)p.day, .month = (int32_t)p.month};
        return 0;
}
