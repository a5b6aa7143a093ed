/* As in Postgres' date.c and timestamp.c, with the session's zone UTC. */
#include "services/router/where_time_fn.h"

#include <math.h>

#include "services/router/where_time.h"

typedef struct where_value value;
typedef struct where_interval interval;

#define DATE_RANGE     "date out of range"
#define STAMP_RANGE    "timestamp out of range"
#define INTERVAL_RANGE "interval out of range"

enum { DAYS_PER_MONTH = 30, SECS_PER_DAY = 86400 };

/* ---- conversions */

bool where_date_to_stamp(struct where_ctx *c, const value *a, value *out)
{
        int64_t v = a->i;
        if (time_is_finite(v) &&
            (__builtin_mul_overflow(v, USECS_PER_DAY, &v) || !time_timestamp_is_valid(v)))
                return where_fail(c, "date out of range for timestamp");
        out->i = v;
        return true;
}

bool where_stamp_to_date(struct where_ctx *c, const value *a, value *out)
{
        (void)c;
        out->i = time_is_finite(a->i) ? time_floor_div(a->i, USECS_PER_DAY) : a->i;
        return true;
}

/* Between with and without a zone, which is UTC. */
bool where_stamp_to_stamp(struct where_ctx *c, const value *a, value *out)
{
        if (time_is_finite(a->i) && !time_timestamp_is_valid(a->i))
                return where_fail(c, STAMP_RANGE);
        out->i = a->i;
        return true;
}

static int64_t time_of_day(int64_t v)
{
        return v - time_floor_div(v, USECS_PER_DAY) * USECS_PER_DAY;
}

bool where_stamp_to_time(struct where_ctx *c, const value *a, value *out)
{
        (void)c;
        out->null = !time_is_finite(a->i);
        if (!out->null)
                out->i = time_of_day(a->i);
        return true;
}

bool where_time_to_interval(struct where_ctx *c, const value *a, value *out)
{
        int64_t time = a->i;
        (void)c;
        out->interval = (interval){.time = time};
        return true;
}

bool where_interval_to_time(struct where_ctx *c, const value *a, value *out)
{
        int64_t time = a->interval.time;
        (void)c;
        out->i = time_of_day(time);
        return true;
}

/* A date beyond the range of timestamps is later than all of them but infinity. */
int where_cmp_date_stamp(const value *a, const value *b)
{
        int64_t v = a->i;
        if (time_is_finite(v) &&
            (__builtin_mul_overflow(v, USECS_PER_DAY, &v) || !time_timestamp_is_valid(v)))
                return b->i == TIME_INFINITY ? -1 : 1;
        return (v > b->i) - (v < b->i);
}

int where_cmp_stamp_date(const value *a, const value *b)
{
        return -where_cmp_date_stamp(b, a);
}

/* A timestamp that was rounded out of the range has no counterpart with a zone. */
int where_cmp_stamp_zoned(const value *a, const value *b)
{
        if (time_is_finite(a->i) && !time_timestamp_is_valid(a->i))
                return b->i == TIME_INFINITY ? -1 : 1;
        return (a->i > b->i) - (a->i < b->i);
}

int where_cmp_zoned_stamp(const value *a, const value *b)
{
        return -where_cmp_stamp_zoned(b, a);
}

/* ---- dates */

static bool put_date(struct where_ctx *c, int64_t date, int64_t days, value *out)
{
        if (time_is_finite(date)) {
                date += days; /* both are of 32 bits */
                if (!time_date_is_valid(date))
                        return where_fail(c, DATE_RANGE);
        }
        out->i = date;
        return true;
}

bool where_date_add_int(struct where_ctx *c, const value *a, value *out)
{
        return put_date(c, a[0].i, a[1].i, out);
}

bool where_int_add_date(struct where_ctx *c, const value *a, value *out)
{
        return put_date(c, a[1].i, a[0].i, out);
}

bool where_date_sub_int(struct where_ctx *c, const value *a, value *out)
{
        return put_date(c, a[0].i, -a[1].i, out);
}

bool where_date_sub(struct where_ctx *c, const value *a, value *out)
{
        if (!time_is_finite(a[0].i) || !time_is_finite(a[1].i))
                return where_fail(c, "cannot subtract infinite dates");
        out->i = a[0].i - a[1].i;
        return true;
}

static bool add_time(struct where_ctx *c, const value *date, const value *time, value *out)
{
        value stamp;
        if (!where_date_to_stamp(c, date, &stamp))
                return false;
        if (time_is_finite(stamp.i)) {
                stamp.i += time->i;
                if (!time_timestamp_is_valid(stamp.i))
                        return where_fail(c, STAMP_RANGE);
        }
        out->i = stamp.i;
        return true;
}

bool where_date_add_time(struct where_ctx *c, const value *a, value *out)
{
        return add_time(c, &a[0], &a[1], out);
}

bool where_time_add_date(struct where_ctx *c, const value *a, value *out)
{
        return add_time(c, &a[1], &a[0], out);
}

/* ---- timestamps and intervals */

static bool add_days(struct where_ctx *c, int64_t days, int64_t *stamp)
{
        int64_t date = time_floor_div(*stamp, USECS_PER_DAY), rest = time_of_day(*stamp), v;
        if (__builtin_mul_overflow(date + days, USECS_PER_DAY, &v) ||
            __builtin_add_overflow(v, rest, &v) || !time_timestamp_is_valid(v))
                return where_fail(c, STAMP_RANGE);
        *stamp = v;
        return true;
}

/* The day becomes the month's last when the month is too short for it. */
static bool add_months(struct where_ctx *c, int64_t months, int64_t *stamp)
{
        int64_t date = time_floor_div(*stamp, USECS_PER_DAY);
        struct time_day d = time_day_of(date);
        int64_t month = d.year * 12 + d.month - 1 + months;
        d.year = time_floor_div(month, 12);
        d.month = (int)(month - d.year * 12) + 1;
        if (d.day > time_month_days(d.year, d.month))
                d.day = time_month_days(d.year, d.month);
        return add_days(c, time_days_of(d.year, d.month, d.day) - date, stamp);
}

static bool add_interval(struct where_ctx *c, int64_t stamp, const interval *v, value *out)
{
        if (time_is_finite(stamp)) {
                if (v->month && !add_months(c, v->month, &stamp))
                        return false;
                if (v->day && !add_days(c, v->day, &stamp))
                        return false;
                if (__builtin_add_overflow(stamp, v->time, &stamp) ||
                    !time_timestamp_is_valid(stamp))
                        return where_fail(c, STAMP_RANGE);
        }
        out->i = stamp;
        return true;
}

static bool negate(struct where_ctx *c, const interval *v, interval *out)
{
        if (v->time == INT64_MIN || v->day == INT32_MIN || v->month == INT32_MIN)
                return where_fail(c, INTERVAL_RANGE);
        *out = (interval){.time = -v->time, .day = -v->day, .month = -v->month};
        return true;
}

bool where_stamp_add_interval(struct where_ctx *c, const value *a, value *out)
{
        return add_interval(c, a[0].i, &a[1].interval, out);
}

bool where_interval_add_stamp(struct where_ctx *c, const value *a, value *out)
{
        return add_interval(c, a[1].i, &a[0].interval, out);
}

bool where_stamp_sub_interval(struct where_ctx *c, const value *a, value *out)
{
        interval v;
        return negate(c, &a[1].interval, &v) && add_interval(c, a[0].i, &v, out);
}

bool where_date_add_interval(struct where_ctx *c, const value *a, value *out)
{
        value stamp;
        return where_date_to_stamp(c, &a[0], &stamp) &&
               add_interval(c, stamp.i, &a[1].interval, out);
}

bool where_interval_add_date(struct where_ctx *c, const value *a, value *out)
{
        value swapped[] = {a[1], a[0]};
        return where_date_add_interval(c, swapped, out);
}

bool where_date_sub_interval(struct where_ctx *c, const value *a, value *out)
{
        value stamp;
        interval v;
        return where_date_to_stamp(c, &a[0], &stamp) && negate(c, &a[1].interval, &v) &&
               add_interval(c, stamp.i, &v, out);
}

static void justify_hours(interval *v)
{
        v->day += (int32_t)(v->time / USECS_PER_DAY);
        v->time %= USECS_PER_DAY;
        if (v->day > 0 && v->time < 0) {
                v->time += USECS_PER_DAY;
                v->day--;
        } else if (v->day < 0 && v->time > 0) {
                v->time -= USECS_PER_DAY;
                v->day++;
        }
}

bool where_stamp_sub(struct where_ctx *c, const value *a, value *out)
{
        interval v = {0};
        if (!time_is_finite(a[0].i) || !time_is_finite(a[1].i))
                return where_fail(c, "cannot subtract infinite timestamps");
        if (__builtin_sub_overflow(a[0].i, a[1].i, &v.time))
                return where_fail(c, INTERVAL_RANGE);
        justify_hours(&v);
        out->interval = v;
        return true;
}

/* ---- times */

bool where_time_add_interval(struct where_ctx *c, const value *a, value *out)
{
        (void)c;
        out->i = time_of_day(a[0].i + a[1].interval.time % USECS_PER_DAY);
        return true;
}

bool where_interval_add_time(struct where_ctx *c, const value *a, value *out)
{
        value swapped[] = {a[1], a[0]};
        return where_time_add_interval(c, swapped, out);
}

bool where_time_sub_interval(struct where_ctx *c, const value *a, value *out)
{
        (void)c;
        out->i = time_of_day(a[0].i - a[1].interval.time % USECS_PER_DAY);
        return true;
}

bool where_time_sub(struct where_ctx *c, const value *a, value *out)
{
        int64_t time = a[0].i - a[1].i;
        (void)c;
        out->interval = (interval){.time = time};
        return true;
}

/* ---- intervals */

bool where_interval_add(struct where_ctx *c, const value *a, value *out)
{
        const interval *x = &a[0].interval, *y = &a[1].interval;
        interval v;
        if (__builtin_add_overflow(x->time, y->time, &v.time) ||
            __builtin_add_overflow(x->day, y->day, &v.day) ||
            __builtin_add_overflow(x->month, y->month, &v.month))
                return where_fail(c, INTERVAL_RANGE);
        out->interval = v;
        return true;
}

bool where_interval_sub(struct where_ctx *c, const value *a, value *out)
{
        const interval *x = &a[0].interval, *y = &a[1].interval;
        interval v;
        if (__builtin_sub_overflow(x->time, y->time, &v.time) ||
            __builtin_sub_overflow(x->day, y->day, &v.day) ||
            __builtin_sub_overflow(x->month, y->month, &v.month))
                return where_fail(c, INTERVAL_RANGE);
        out->interval = v;
        return true;
}

bool where_interval_neg(struct where_ctx *c, const value *a, value *out)
{
        interval v;
        if (!negate(c, &a[0].interval, &v))
                return false;
        out->interval = v;
        return true;
}

static bool scale_int(double product, int32_t *out)
{
        if (isnan(product) || product > INT32_MAX || product < INT32_MIN)
                return false;
        *out = (int32_t)product;
        return true;
}

static double to_usecs(double seconds)
{
        return rint(seconds * 1000000.0) / 1000000.0;
}

/* What is left of a month becomes days, what is left of a day seconds; never the other way. */
static bool multiply(struct where_ctx *c, const interval *v, double by, value *out)
{
        interval r;
        if (!scale_int(v->month * by, &r.month) || !scale_int(v->day * by, &r.day))
                return where_fail(c, INTERVAL_RANGE);
        double days = to_usecs((v->month * by - r.month) * DAYS_PER_MONTH);
        double seconds = to_usecs((v->day * by - r.day + days - (int)days) * SECS_PER_DAY);
        if (fabs(seconds) >= SECS_PER_DAY) {
                int whole = (int)(seconds / SECS_PER_DAY);
                if (__builtin_add_overflow(r.day, whole, &r.day))
                        return where_fail(c, INTERVAL_RANGE);
                seconds -= whole * SECS_PER_DAY;
        }
        if (__builtin_add_overflow(r.day, (int32_t)days, &r.day))
                return where_fail(c, INTERVAL_RANGE);
        double time = rint((double)v->time * by + seconds * (double)USECS_PER_SEC);
        if (isnan(time) || time < -0x1p63 || time >= 0x1p63)
                return where_fail(c, INTERVAL_RANGE);
        r.time = (int64_t)time;
        out->interval = r;
        return true;
}

bool where_interval_mul(struct where_ctx *c, const value *a, value *out)
{
        return multiply(c, &a[0].interval, a[1].d, out);
}

bool where_interval_mul_left(struct where_ctx *c, const value *a, value *out)
{
        return multiply(c, &a[1].interval, a[0].d, out);
}

bool where_justify_hours(struct where_ctx *c, const value *a, value *out)
{
        interval v = a[0].interval;
        int32_t day;
        if (__builtin_add_overflow(v.day, v.time / USECS_PER_DAY, &day))
                return where_fail(c, INTERVAL_RANGE);
        justify_hours(&v);
        out->interval = v;
        return true;
}

bool where_justify_days(struct where_ctx *c, const value *a, value *out)
{
        interval v = a[0].interval;
        if (__builtin_add_overflow(v.month, v.day / DAYS_PER_MONTH, &v.month))
                return where_fail(c, INTERVAL_RANGE);
        v.day %= DAYS_PER_MONTH;
        if (v.month > 0 && v.day < 0) {
                v.day += DAYS_PER_MONTH;
                v.month--;
        } else if (v.month < 0 && v.day > 0) {
                v.day -= DAYS_PER_MONTH;
                v.month++;
        }
        out->interval = v;
        return true;
}

static bool carry_months(interval *v)
{
        int32_t months = v->day / DAYS_PER_MONTH;
        v->day %= DAYS_PER_MONTH;
        return !__builtin_add_overflow(v->month, months, &v->month);
}

bool where_justify_interval(struct where_ctx *c, const value *a, value *out)
{
        interval v = a[0].interval;
        bool alike = (v.day > 0 && v.time > 0) || (v.day < 0 && v.time < 0);
        if (alike && !carry_months(&v))
                return where_fail(c, INTERVAL_RANGE);
        v.day += (int32_t)(v.time / USECS_PER_DAY);
        v.time %= USECS_PER_DAY;
        if (!carry_months(&v))
                return where_fail(c, INTERVAL_RANGE);
        if (v.month > 0 && (v.day < 0 || (v.day == 0 && v.time < 0))) {
                v.day += DAYS_PER_MONTH;
                v.month--;
        } else if (v.month < 0 && (v.day > 0 || (v.day == 0 && v.time > 0))) {
                v.day -= DAYS_PER_MONTH;
                v.month++;
        }
        justify_hours(&v); /* the time is less than a day: only the signs */
        out->interval = v;
        return true;
}
