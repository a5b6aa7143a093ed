/* AT TIME ZONE, with a zone that says its own offset or that the time zone database knows.
 * Abbreviations are a setting of the server. */
#include "services/router/where_time_fn.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where_time.h"
#include "services/router/zone.h"

typedef struct where_value value;

static bool is_word(struct slice s, const char *word)
{
        return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

static void skip(struct slice *s, size_t n)
{
        *s = slice_of(s->p + n, s->len - n);
}

/* False: not as many digits as there must be, or a number beyond `max`. */
static bool take_number(struct slice *s, size_t most, int64_t max, int64_t *out)
{
        size_t n = 0;
        *out = 0;
        for (; n < s->len && n < most && s->p[n] >= '0' && s->p[n] <= '9'; n++)
                *out = *out * 10 + (s->p[n] - '0');
        skip(s, n);
        return n > 0 && *out <= max;
}

static bool take_colon(struct slice *s)
{
        if (!s->len || s->p[0] != ':')
                return false;
        skip(s, 1);
        return true;
}

/* hh[:mm[:ss]], all of it. */
static bool read_clock(struct slice s, int64_t *usecs)
{
        enum { MAX_HOURS = 24 };
        int64_t hours, minutes = 0, seconds = 0;
        if (!take_number(&s, 2, MAX_HOURS, &hours))
                return false;
        if (take_colon(&s)) {
                if (!take_number(&s, 2, 59, &minutes))
                        return false;
                if (take_colon(&s) && !take_number(&s, 2, 59, &seconds))
                        return false;
        }
        *usecs = ((hours * 60 + minutes) * 60 + seconds) * USECS_PER_SEC;
        return s.len == 0;
}

int where_zone_read(struct slice zone, int64_t *west)
{
        static const char *const names[] = {"UTC", "GMT", "Etc/UTC", "Z", "Zulu"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (!is_word(zone, names[i]))
                        continue;
                *west = 0;
                return 0;
        }
        if (zone.len > 3 &&
            (is_word(slice_of(zone.p, 3), "UTC") || is_word(slice_of(zone.p, 3), "GMT")))
                skip(&zone, 3);
        if (!zone.len || (zone.p[0] != '+' && zone.p[0] != '-'))
                return ERR_FORMAT;
        int64_t usecs;
        if (!read_clock(slice_of(zone.p + 1, zone.len - 1), &usecs))
                return ERR_FORMAT;
        *west = zone.p[0] == '+' ? usecs : -usecs;
        return 0;
}

static bool shift(struct where_ctx *c, int64_t stamp, int64_t usecs, value *out)
{
        if (time_is_finite(stamp) &&
            (__builtin_add_overflow(stamp, usecs, &stamp) || !time_timestamp_is_valid(stamp)))
                return where_fail(c, "timestamp out of range");
        out->i = stamp;
        return true;
}

static int64_t west_of(const value *zone)
{
        int64_t west;
        int rc = where_zone_read(zone->s, &west);
        SLUICE_ASSERT(rc == 0); /* the checker has read it */
        return west;
}

bool where_to_zone(struct where_ctx *c, const value *a, value *out)
{
        int64_t stamp = a[1].i;
        if (!c->zone)
                return shift(c, stamp, -west_of(&a[0]), out);
        int64_t east = time_is_finite(stamp) ? zone_east_at(c->zone, stamp) : 0;
        return shift(c, stamp, east * USECS_PER_SEC, out);
}

bool where_from_zone(struct where_ctx *c, const value *a, value *out)
{
        int64_t stamp = a[1].i;
        if (!c->zone)
                return shift(c, stamp, west_of(&a[0]), out);
        int64_t east = time_is_finite(stamp) ? zone_east_of_local(c->zone, stamp) : 0;
        return shift(c, stamp, -east * USECS_PER_SEC, out);
}

/* East, in whole seconds. */
static bool shift_by(struct where_ctx *c, const value *a, int sign, value *out)
{
        const struct where_interval *v = &a[0].interval;
        int64_t usecs;
        if (!time_is_finite(a[1].i)) {
                out->i = a[1].i;
                return true;
        }
        if (v->month || v->day)
                return where_fail(c, "interval time zone must not include months or days");
        if (__builtin_mul_overflow(v->time / USECS_PER_SEC * USECS_PER_SEC, sign, &usecs))
                return where_fail(c, "timestamp out of range");
        return shift(c, a[1].i, usecs, out);
}

bool where_to_offset(struct where_ctx *c, const value *a, value *out)
{
        return shift_by(c, a, 1, out);
}

bool where_from_offset(struct where_ctx *c, const value *a, value *out)
{
        return shift_by(c, a, -1, out);
}
