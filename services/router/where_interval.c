/* Reading intervals: `P1Y2M3DT4H5M6.7S`, `P0001-02-03T04:05:06`, `1 year 2 mons 3 days 04:05:06.7`,
 * `1-2 3 4:05`. What else Postgres takes depends on its version, or on its floating point numbers.
 */
#include "services/router/where_time.h"

#include <math.h>

#include "common/base/err.h"
#include "services/router/where_text.h"

enum { DAYS_PER_MONTH = 30, MAX_DIGITS = 18, FRACTION_DIGITS = 6, FRACTION = 1000000 };
/* In texts that are cast: sums of these fit into Postgres' fields in every version. */
enum { CAST_DIGITS = 9, CAST_BIG_DIGITS = 6, CAST_POINT_DIGITS = 4 };

enum unit_kind { MONTHS, DAYS, USECS };

struct unit {
        const char *name; /* and with an s, if plural */
        bool plural;
        enum unit_kind kind;
        int64_t scale;
        unsigned bit; /* each can be there once */
        bool fraction, big;
};

enum { SEC = 1 << 6, MSEC = 1 << 7, USEC = 1 << 8, CLOCK = 0x1f0, MONTH = 2, DAY = 8 };
#define HOUR_USECS   (3600 * USECS_PER_SEC)
#define MINUTE_USECS (60 * USECS_PER_SEC)

static const struct unit units[] = {
        {"y", false, MONTHS, 12, 1, false, false},
        {"yr", true, MONTHS, 12, 1, false, false},
        {"year", true, MONTHS, 12, 1, false, false},
        {"mon", true, MONTHS, 1, MONTH, true, false},
        {"month", true, MONTHS, 1, MONTH, true, false},
        {"w", false, DAYS, 7, 4, true, true},
        {"week", true, DAYS, 7, 4, true, true},
        {"d", false, DAYS, 1, DAY, true, false},
        {"day", true, DAYS, 1, DAY, true, false},
        {"h", false, USECS, HOUR_USECS, 16, true, false},
        {"hr", true, USECS, HOUR_USECS, 16, true, false},
        {"hour", true, USECS, HOUR_USECS, 16, true, false},
        {"m", false, USECS, MINUTE_USECS, 32, true, false},
        {"min", true, USECS, MINUTE_USECS, 32, true, false},
        {"minute", true, USECS, MINUTE_USECS, 32, true, false},
        {"s", false, USECS, USECS_PER_SEC, SEC, true, false},
        {"sec", true, USECS, USECS_PER_SEC, SEC, true, false},
        {"second", true, USECS, USECS_PER_SEC, SEC, true, false},
        {"ms", false, USECS, 1000, MSEC, false, false},
        {"msec", true, USECS, 1000, MSEC, false, false},
        {"millisecond", true, USECS, 1000, MSEC, false, false},
        {"us", false, USECS, 1, USEC, false, false},
        {"usec", true, USECS, 1, USEC, false, false},
        {"microsecond", true, USECS, 1, USEC, false, false},
        {"decade", true, MONTHS, 120, 1 << 9, false, true},
        {"century", false, MONTHS, 1200, 1 << 10, false, true},
        {"centuries", false, MONTHS, 1200, 1 << 10, false, true},
        {"millennium", false, MONTHS, 12000, 1 << 11, false, true},
        {"millennia", false, MONTHS, 12000, 1 << 11, false, true},
};

#define UNSIGNED_ "[0-9]{1,9}"
#define NUMBER_   "[-+]?\\s*" UNSIGNED_ "(?:[.][0-9]{1,6})?"
#define SMALL_    "(?:mons?|months?|d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)"
#define WHOLE_    "(?:y|yrs?|years?|ms|msecs?|milliseconds?|us|usecs?|microseconds?)"
#define LARGE_    "(?:decades?|century|centuries|millennium|millennia)"
#define PART_                                                                                      \
        "(?:" NUMBER_ "\\s*" SMALL_ "|[-+]?\\s*[0-9]{1,6}(?:[.][0-9]{1,6})?\\s*(?:w|weeks?)"       \
        "|[-+]?\\s*" UNSIGNED_ "\\s*" WHOLE_ "|[-+]?\\s*[0-9]{1,6}\\s*" LARGE_                     \
        "|[-+]?\\s*[0-9]{1,6}-[0-9]{1,2})"
#define CLOCK_ "[-+]?\\s*" UNSIGNED_ ":" UNSIGNED_ "(?::" UNSIGNED_ ")?(?:[.][0-9]{1,6})?"
/* With a point no more digits than a floating point number has room for. */
#define ISO_ "-?(?:" UNSIGNED_ "|[0-9]{1,4}[.][0-9]{1,6})"

const char *time_interval_filter(void)
{
        return "^(?:P(?:-?(?:[0-9]{1,6}|[0-9]{1,4}[.][0-9]{1,6})W|" ISO_ "[MD]|-?" UNSIGNED_ "Y)*"
               "(?:T(?:" ISO_ "[HMS]|-?" UNSIGNED_ "[.][0-9]{1,6}S)*)?"
               "|P[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:T[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}"
               "(?:[.][0-9]{1,6})?)?"
               "|[\\s@]*(?:" PART_ "[\\s,]+)*(?:" PART_ "|" NUMBER_ "|(?:" NUMBER_ "\\s+)?" CLOCK_
               ")(?:\\s+ago)?\\s*)$";
}

struct parts {
        struct slice s; /* what is left */
        int64_t month, day, time;
        unsigned seen;
        bool is_cast;
};

/* ±whole.millionths */
struct number {
        bool negative, has_fraction, from_whole;
        int64_t whole, millionths;
        uint32_t digits;
};

/* As Postgres has it: behind ISO's letters it is what a whole number leaves of the sum, with the
 * error that this makes. */
static double fraction_of(const struct number *n)
{
        double v = n->from_whole ? (double)(n->whole * FRACTION + n->millionths) / FRACTION -
                                           (double)n->whole
                                 : (double)n->millionths / FRACTION;
        return n->negative ? -v : v;
}

static char peek(const struct parts *p)
{
        return p->s.len ? p->s.p[0] : '\0';
}

static void skip(struct parts *p, size_t n)
{
        p->s = slice_of(p->s.p + n, p->s.len - n);
}

static bool take(struct parts *p, char c)
{
        if (peek(p) != c)
                return false;
        skip(p, 1);
        return true;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static void skip_blanks(struct parts *p)
{
        while (where_is_space(peek(p)))
                skip(p, 1);
}

/* ---- adding up */

static bool add_scaled(int64_t *sum, int64_t v, int64_t scale)
{
        return !__builtin_mul_overflow(v, scale, &v) && !__builtin_add_overflow(*sum, v, sum);
}

/* What is left of a month or a week becomes days, what is left of a day time. */
static bool add_fraction_of_days(struct parts *p, double days)
{
        int whole = (int)days;
        double rest = days - whole;
        return add_scaled(&p->day, whole, 1) &&
               add_scaled(&p->time, (int64_t)rint(rest * (double)USECS_PER_DAY), 1);
}

static int add(struct parts *p, const struct number *n, enum unit_kind kind, int64_t scale)
{
        int64_t sign = n->negative ? -1 : 1;
        double fraction = kind != USECS && n->has_fraction ? fraction_of(n) : 0;
        bool ok = true;
        switch (kind) {
        case MONTHS:
                ok = add_scaled(&p->month, sign * n->whole, scale) &&
                     add_fraction_of_days(p, fraction * DAYS_PER_MONTH);
                break;
        case DAYS:
                ok = add_scaled(&p->day, sign * n->whole, scale) &&
                     (scale == 1
                              ? add_scaled(&p->time, sign * n->millionths, USECS_PER_DAY / FRACTION)
                              : add_fraction_of_days(p, fraction * (double)scale));
                break;
        case USECS:
        default:
                ok = add_scaled(&p->time, sign * n->whole, scale) &&
                     add_scaled(&p->time, sign * n->millionths, scale / FRACTION);
        }
        return ok ? 0 : ERR_RANGE;
}

static int note(struct parts *p, unsigned bits)
{
        if (p->seen & bits)
                return ERR_FORMAT;
        p->seen |= bits;
        return 0;
}

/* ---- numbers */

static bool read_digits(struct parts *p, uint32_t most, int64_t *v, uint32_t *n)
{
        *v = 0;
        for (*n = 0; *n < most && is_digit(peek(p)); (*n)++) {
                *v = *v * 10 + (peek(p) - '0');
                skip(p, 1);
        }
        return *n > 0 && !is_digit(peek(p));
}

static bool read_whole(struct parts *p, int64_t *v)
{
        uint32_t n;
        return read_digits(p, p->is_cast ? CAST_DIGITS : MAX_DIGITS, v, &n);
}

static bool read_fraction(struct parts *p, struct number *n)
{
        uint32_t digits;
        n->millionths = 0;
        n->has_fraction = take(p, '.');
        if (!n->has_fraction)
                return true;
        bool ok = read_digits(p, FRACTION_DIGITS, &n->millionths, &digits);
        for (; digits < FRACTION_DIGITS; digits++)
                n->millionths *= 10;
        return ok;
}

/* Behind the sign. */
static bool read_number(struct parts *p, struct number *n)
{
        return read_digits(p, p->is_cast ? CAST_DIGITS : MAX_DIGITS, &n->whole, &n->digits) &&
               read_fraction(p, n);
}

/* ---- ISO 8601 */

static bool iso_fits(const struct parts *p, const struct number *n, enum unit_kind kind,
                     int64_t scale)
{
        bool is_second = kind == USECS && scale == USECS_PER_SEC;
        bool is_year = kind == MONTHS && scale > 1;
        if (n->has_fraction && (is_year || (!is_second && n->digits > CAST_POINT_DIGITS)))
                return false;
        return !(p->is_cast && kind == DAYS && scale > 1 && n->digits > CAST_BIG_DIGITS);
}

static int read_iso_part(struct parts *p, bool clock)
{
        static const struct {
                char letter;
                bool clock;
                enum unit_kind kind;
                int64_t scale;
        } letters[] = {{'Y', false, MONTHS, 12},
                       {'M', false, MONTHS, 1},
                       {'W', false, DAYS, 7},
                       {'D', false, DAYS, 1},
                       {'H', true, USECS, HOUR_USECS},
                       {'M', true, USECS, MINUTE_USECS},
                       {'S', true, USECS, USECS_PER_SEC}};
        struct number n = {.negative = take(p, '-'), .from_whole = true};
        if (!read_number(p, &n))
                return ERR_FORMAT;
        for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
                if (letters[i].clock != clock || !take(p, letters[i].letter))
                        continue;
                if (!iso_fits(p, &n, letters[i].kind, letters[i].scale))
                        return ERR_FORMAT;
                return add(p, &n, letters[i].kind, letters[i].scale);
        }
        return ERR_FORMAT;
}

static int read_iso(struct parts *p)
{
        bool clock = false;
        if (!p->s.len)
                return ERR_FORMAT;
        while (p->s.len) {
                if (!clock && take(p, 'T')) {
                        clock = true;
                        continue;
                }
                int err = read_iso_part(p, clock);
                if (err)
                        return err;
        }
        return 0;
}

static bool read_up_to(struct parts *p, uint32_t least, uint32_t most, int64_t *v)
{
        uint32_t n;
        return read_digits(p, most, v, &n) && n >= least;
}

/* 0001-02-03[T04:05:06[.7]] */
static int read_iso_alternative(struct parts *p)
{
        int64_t year, hour, minute;
        struct number second = {0};
        if (!read_up_to(p, 4, 4, &year) || !take(p, '-') || !read_up_to(p, 1, 2, &p->month) ||
            !take(p, '-') || !read_up_to(p, 1, 2, &p->day))
                return ERR_FORMAT;
        p->month += year * 12;
        if (!p->s.len)
                return 0;
        if (!take(p, 'T') || !read_up_to(p, 1, 2, &hour) || !take(p, ':') ||
            !read_up_to(p, 1, 2, &minute) || !take(p, ':') || !read_up_to(p, 1, 2, &second.whole) ||
            !read_fraction(p, &second) || p->s.len)
                return ERR_FORMAT;
        p->time = hour * HOUR_USECS + minute * MINUTE_USECS;
        return add(p, &second, USECS, USECS_PER_SEC);
}

static bool is_iso_alternative(struct slice s)
{
        return s.len > 5 && s.p[5] == '-' && is_digit(s.p[1]) && is_digit(s.p[2]) &&
               is_digit(s.p[3]) && is_digit(s.p[4]);
}

/* ---- words */

static const struct unit *take_unit(struct parts *p)
{
        size_t n = 0;
        while (n < p->s.len && (p->s.p[n] | 0x20) >= 'a' && (p->s.p[n] | 0x20) <= 'z')
                n++;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
                size_t len = strlen(units[i].name);
                bool plural = units[i].plural && n == len + 1 && (p->s.p[len] | 0x20) == 's';
                if ((n != len && !plural) || strncasecmp(p->s.p, units[i].name, len) != 0)
                        continue;
                skip(p, n);
                return &units[i];
        }
        return NULL;
}

static int read_unit(struct parts *p, const struct number *n)
{
        const struct unit *u = take_unit(p);
        char next = peek(p);
        if (!u || (next && next != ',' && !where_is_space(next)) ||
            (n->has_fraction && !u->fraction) ||
            (p->is_cast && u->big && n->digits > CAST_BIG_DIGITS))
                return ERR_FORMAT;
        bool parts_of_second = u->bit == SEC && n->millionths;
        int err = note(p, parts_of_second ? SEC | MSEC | USEC : u->bit);
        return err ? err : add(p, n, u->kind, u->scale);
}

static bool is_ago(const struct parts *p)
{
        struct slice s = where_trim(p->s);
        return s.len == 3 && strncasecmp(s.p, "ago", 3) == 0;
}

static bool is_at_end(struct parts *p)
{
        skip_blanks(p);
        return !p->s.len || is_ago(p);
}

/* [hh:]mm:ss[.fff] or hh:mm, of which the first number has been read. */
static int read_clock(struct parts *p, const struct number *first)
{
        struct number n = {.negative = first->negative};
        int64_t fields[3] = {first->whole, 0, 0};
        bool is_short = true;
        if (first->has_fraction || !take(p, ':') || !read_whole(p, &fields[1]))
                return ERR_FORMAT;
        if (take(p, ':')) {
                is_short = false;
                if (!read_whole(p, &fields[2]))
                        return ERR_FORMAT;
        }
        if (!read_fraction(p, &n))
                return ERR_FORMAT;
        if (is_short && n.has_fraction) {
                fields[2] = fields[1];
                fields[1] = fields[0];
                fields[0] = 0;
        }
        if (fields[1] > 59 || fields[2] > 60)
                return ERR_RANGE;
        int err = note(p, CLOCK);
        n.whole = fields[2] + fields[1] * 60;
        err = err ? err : add(p, &n, USECS, USECS_PER_SEC);
        struct number hours = {.negative = first->negative, .whole = fields[0]};
        err = err ? err : add(p, &hours, USECS, HOUR_USECS);
        if (p->s.len && !where_is_space(peek(p)))
                return ERR_FORMAT;
        return err || is_at_end(p) ? err : ERR_FORMAT;
}

/* years-months */
static int read_year_month(struct parts *p, const struct number *n)
{
        enum { MONTHS_PER_YEAR = 12 };
        int64_t months;
        if (n->has_fraction || n->digits > CAST_BIG_DIGITS || !read_up_to(p, 1, 2, &months))
                return ERR_FORMAT;
        if (months >= MONTHS_PER_YEAR)
                return ERR_RANGE;
        struct number all = {.negative = n->negative, .whole = n->whole * MONTHS_PER_YEAR + months};
        int err = note(p, MONTH);
        return err ? err : add(p, &all, MONTHS, 1);
}

/* A number that stands alone counts seconds, or days before a time. */
static int read_bare(struct parts *p, const struct number *n)
{
        bool blank = where_is_space(peek(p));
        if (is_at_end(p)) {
                if (p->s.len) /* ago */
                        return ERR_FORMAT;
                int err = note(p, n->millionths ? SEC | MSEC | USEC : SEC);
                return err ? err : add(p, n, USECS, USECS_PER_SEC);
        }
        if (!blank)
                return ERR_FORMAT;
        struct number first = {.negative = peek(p) == '-'};
        if (peek(p) == '-' || peek(p) == '+')
                skip(p, 1);
        skip_blanks(p);
        if (!read_whole(p, &first.whole))
                return ERR_FORMAT;
        int err = read_clock(p, &first);
        err = err ? err : note(p, DAY);
        return err ? err : add(p, n, DAYS, 1);
}

/* False: a number without a unit, at which the caller goes on. */
static bool is_unit_next(const struct parts *p)
{
        struct parts ahead = *p;
        skip_blanks(&ahead);
        return take_unit(&ahead) != NULL;
}

static int read_word_part(struct parts *p)
{
        struct number n = {.negative = peek(p) == '-'};
        if (peek(p) == '-' || peek(p) == '+') {
                skip(p, 1);
                skip_blanks(p);
        }
        if (!read_number(p, &n))
                return ERR_FORMAT;
        if (peek(p) == ':')
                return read_clock(p, &n);
        if (take(p, '-')) {
                int err = read_year_month(p, &n);
                char next = peek(p);
                return err || !next || next == ',' || where_is_space(next) ? err : ERR_FORMAT;
        }
        if (!is_unit_next(p))
                return read_bare(p, &n);
        skip_blanks(p);
        return read_unit(p, &n);
}

static int read_words(struct parts *p)
{
        while (peek(p) == '@' || where_is_space(peek(p)))
                skip(p, 1);
        while (!is_at_end(p) || !p->seen) {
                int err = read_word_part(p);
                if (err)
                        return err;
                bool comma = false;
                while (peek(p) == ',' || where_is_space(peek(p))) {
                        comma |= peek(p) == ',';
                        skip(p, 1);
                }
                if (comma && is_at_end(p))
                        return ERR_FORMAT;
        }
        if (is_ago(p)) {
                p->month = -p->month;
                p->day = -p->day;
                p->time = p->time == INT64_MIN ? p->time : -p->time;
        }
        return 0;
}

static int read_interval(struct slice text, bool is_cast, struct where_interval *out)
{
        struct parts p = {.s = text, .is_cast = is_cast};
        bool iso = take(&p, 'P');
        int err = iso ? is_iso_alternative(text) ? read_iso_alternative(&p) : read_iso(&p)
                      : read_words(&p);
        if (err)
                return err;
        if (p.month < INT32_MIN || p.month > INT32_MAX || p.day < INT32_MIN || p.day > INT32_MAX)
                return ERR_RANGE;
        *out = (struct where_interval){
                .time = p.time, .day = (int32_t)p.day, .month = (int32_t)p.month};
        return 0;
}

int time_read_interval(struct slice text, struct where_interval *out)
{
        return read_interval(text, false, out);
}

int time_cast_interval(struct slice text, struct where_interval *out)
{
        return read_interval(text, true, out);
}
