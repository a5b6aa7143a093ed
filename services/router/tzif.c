/* A file has transitions up to some year and, in its footer, a rule for all years after it.
 * Postgres appends the rule's transitions of some centuries to the table, and takes a moment beyond
 * them for the one whole cycles of 400 years before. What it answers does not depend on how many
 * centuries: here it is one cycle. */
#include "services/router/tzif.h"

#include <string.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/tzrule.h"
#include "services/router/where_time.h"

#define SECS_PER_DAY   INT64_C(86400)
#define SECS_PER_CYCLE (INT64_C(146097) * SECS_PER_DAY)
#define MAX_AT         (INT64_C(1) << 60) /* older than the universe */

/* As many transitions as Postgres reads; of types a file cannot name more. */
enum { MAX_TIMES = 2000, MAX_TYPES = 256, MAX_EAST = 86400, HEAD_BYTES = 44, CYCLE_YEARS = 400 };

/* ---- the file */

struct head {
        uint32_t isutc, isstd, leap, times, types, chars;
        size_t width; /* of a time */
};

static uint32_t u32_at(const unsigned char *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t time_at(const unsigned char *p, size_t width)
{
        if (width == 4)
                return (int32_t)u32_at(p);
        return (int64_t)((uint64_t)u32_at(p) << 32 | u32_at(p + 4));
}

static size_t block_bytes(const struct head *h)
{
        return h->times * (h->width + 1) + h->types * (size_t)6 + h->chars +
               h->leap * (h->width + 4) + h->isstd + h->isutc;
}

static void skip(struct slice *s, size_t n)
{
        *s = slice_of(s->p + n, s->len - n);
}

/* Leaves in `rest` what comes after the head: at least the block. */
static int read_head(struct slice *rest, size_t width, struct head *out, char *version)
{
        const unsigned char *p = (const unsigned char *)rest->p;
        if (rest->len < HEAD_BYTES || memcmp(p, "TZif", 4) != 0)
                return ERR_FORMAT;
        *version = (char)p[4];
        *out = (struct head){.isutc = u32_at(p + 20),
                             .isstd = u32_at(p + 24),
                             .leap = u32_at(p + 28),
                             .times = u32_at(p + 32),
                             .types = u32_at(p + 36),
                             .chars = u32_at(p + 40),
                             .width = width};
        skip(rest, HEAD_BYTES);
        if (out->times > MAX_TIMES || out->types == 0 || out->types > MAX_TYPES ||
            out->isutc > MAX_TYPES || out->isstd > MAX_TYPES || out->chars > TZIF_MAX_BYTES ||
            out->leap > TZIF_MAX_BYTES || block_bytes(out) > rest->len)
                return ERR_FORMAT;
        return 0;
}

static int read_easts(const struct head *h, const unsigned char *types, int32_t *out)
{
        for (uint32_t i = 0; i < h->types; i++) {
                out[i] = (int32_t)u32_at(types + (size_t)i * 6);
                if (out[i] <= -MAX_EAST || out[i] >= MAX_EAST)
                        return ERR_FORMAT;
        }
        return 0;
}

static void make_room(struct tzif *z, uint32_t n)
{
        z->cap = n;
        z->at = mem_array(n ? n : 1, sizeof(*z->at));
        z->east = mem_array(n ? n : 1, sizeof(*z->east));
}

static void add(struct tzif *z, int64_t at, int32_t east)
{
        z->at[z->n] = at;
        z->east[z->n++] = east;
}

/* `ends_same`: how many of the last transitions have the type of the one before them. */
static int read_block(const struct head *h, struct slice rest, struct tzif *z, uint32_t *ends_same)
{
        const unsigned char *at = (const unsigned char *)rest.p, *type = at + h->times * h->width;
        int32_t easts[MAX_TYPES];
        if (h->leap || read_easts(h, type + h->times, easts) != 0)
                return ERR_FORMAT;
        z->first = easts[0];
        *ends_same = 0;
        for (uint32_t i = 0; i < h->times; i++) {
                int64_t t = time_at(at + i * h->width, h->width);
                if (type[i] >= h->types || t < -MAX_AT || t > MAX_AT || (i && t <= z->at[i - 1]))
                        return ERR_FORMAT;
                *ends_same = i && type[i] == type[i - 1] ? *ends_same + 1 : 0;
                add(z, t, easts[type[i]]);
        }
        return 0;
}

/* ---- the footer */

/* After the last of the file. Summer may end in the moment in which the next one begins. */
static void add_change(struct tzif *z, int64_t last, const struct tzrule_change *c)
{
        if (c->at <= last)
                return;
        if (c->at > z->at[z->n - 1])
                add(z, c->at, c->east);
        else
                z->east[z->n - 1] = c->east;
}

/* The rule's transitions, for a cycle and a year more than is needed. */
static void follow_rule(struct tzif *z, const struct tzrule *rule)
{
        int64_t last = z->at[z->n - 1], day = time_floor_div(last, SECS_PER_DAY);
        int64_t year = time_day_of(day - TIME_DAYS_1970_TO_2000).year;
        for (int64_t y = year - 1; y <= year + CYCLE_YEARS + 1; y++) {
                struct tzrule_change changes[2];
                uint32_t n = tzrule_year(rule, y, changes);
                for (uint32_t i = 0; i < n; i++)
                        add_change(z, last, &changes[i]);
        }
        z->repeats = z->at[z->n - 1] - last >= SECS_PER_CYCLE;
}

/* Nothing, or a rule between two line feeds. */
static int read_footer(struct slice rest, struct tzif *z, uint32_t ends_same)
{
        struct tzrule rule;
        if (rest.len == 0)
                return 0;
        if (rest.len < 2 || rest.p[0] != '\n' || rest.p[rest.len - 1] != '\n')
                return ERR_FORMAT;
        if (rest.len == 2)
                return 0;
        if (tzrule_read(slice_of(rest.p + 1, rest.len - 2), &rule) != 0)
                return ERR_FORMAT;
        z->n -= ends_same;
        if (!rule.changes)
                return 0;
        if (z->n == 0)
                return ERR_FORMAT; /* since when? No zone of the database is so */
        follow_rule(z, &rule);
        return 0;
}

static int read_zone(struct slice rest, struct tzif *z)
{
        struct head h;
        char version;
        uint32_t ends_same;
        if (read_head(&rest, 4, &h, &version) != 0)
                return ERR_FORMAT;
        if (version != '\0') {
                skip(&rest, block_bytes(&h));
                if (read_head(&rest, 8, &h, &version) != 0)
                        return ERR_FORMAT;
        }
        make_room(z, h.times + 2 * (CYCLE_YEARS + 3));
        if (read_block(&h, rest, z, &ends_same) != 0)
                return ERR_FORMAT;
        skip(&rest, block_bytes(&h));
        return h.width == 4 ? 0 : read_footer(rest, z, ends_same);
}

int tzif_read(struct slice bytes, struct tzif *out)
{
        struct tzif z = {0};
        if (bytes.len > TZIF_MAX_BYTES || read_zone(bytes, &z) != 0) {
                tzif_fini(&z);
                return ERR_FORMAT;
        }
        *out = z;
        return 0;
}

void tzif_fini(struct tzif *z)
{
        mem_free(z->at);
        mem_free(z->east);
        *z = (struct tzif){0};
}

/* ---- asking */

/* How many seconds, of whole cycles, `t` is beyond what the table tells. */
static int64_t cycles_beyond(const struct tzif *z, int64_t t)
{
        if (!z->repeats || t <= z->at[z->n - 1])
                return 0;
        return ((t - z->at[z->n - 1] - 1) / SECS_PER_CYCLE + 1) * SECS_PER_CYCLE;
}

/* How many transitions are at or before `t`. */
static uint32_t count_until(const struct tzif *z, int64_t t)
{
        uint32_t low = 0, high = z->n;
        while (low < high) {
                uint32_t middle = (low + high) / 2;
                if (z->at[middle] <= t)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static int32_t east_after(const struct tzif *z, uint32_t n)
{
        return n ? z->east[n - 1] : z->first;
}

int32_t tzif_east_at(const struct tzif *z, int64_t utc)
{
        return east_after(z, count_until(z, utc - cycles_beyond(z, utc)));
}

/* As in Postgres, the one transition that counts is the first after the day before. */
int32_t tzif_east_of_local(const struct tzif *z, int64_t local)
{
        int64_t from = local - SECS_PER_DAY, beyond = cycles_beyond(z, from);
        uint32_t n = count_until(z, from - beyond);
        int32_t before = east_after(z, n);
        if (n == z->n)
                return before;
        int32_t after = z->east[n];
        int64_t boundary = z->at[n] + beyond, if_before = local - before, if_after = local - after;
        if (if_before < boundary && if_after < boundary)
                return before;
        if (if_before > boundary && if_after >= boundary)
                return after;
        return if_before > if_after ? before : after;
}
