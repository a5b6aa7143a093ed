/* What a snapshot sees, by Postgres' own rules (I2): every transaction before xmin, none from xmax
 * on, and between them those that are not in the list of transactions in progress. */
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/snapshot.h"

/* The number before `separator`, or before the end when there is none; `text` moves behind it. */
static int take_number(struct slice *text, char separator, uint64_t *out)
{
        const char *end = memchr(text->p, separator, text->len);
        size_t len = end ? (size_t)(end - text->p) : text->len;
        int err = slice_parse_u64(slice_of(text->p, len), out);
        size_t used = end ? len + 1 : len;
        *text = slice_of(text->p + used, text->len - used);
        return err ? ERR_FORMAT : 0;
}

static uint32_t count_numbers(struct slice list)
{
        uint32_t n = list.len > 0;
        for (size_t i = 0; i < list.len; i++)
                n += list.p[i] == ',';
        return n;
}

/* Ascending and within [xmin, xmax), as Postgres prints it. */
static int parse_list(struct slice list, struct pg_snapshot *s)
{
        uint64_t least = s->xmin;
        uint32_t n = count_numbers(list);
        s->xip = mem_array(n, sizeof(*s->xip));
        while (s->n_xip < n) {
                uint64_t *xid = &s->xip[s->n_xip];
                if (take_number(&list, ',', xid) != 0 || *xid < least || *xid >= s->xmax)
                        return ERR_FORMAT;
                least = *xid + 1;
                s->n_xip++;
        }
        return 0;
}

int pg_snapshot_parse(struct slice text, struct pg_snapshot *out)
{
        struct pg_snapshot s = {0};
        if (take_number(&text, ':', &s.xmin) != 0 || take_number(&text, ':', &s.xmax) != 0 ||
            s.xmin > s.xmax || text.p[-1] != ':' || parse_list(text, &s) != 0) {
                pg_snapshot_fini(&s);
                return ERR_FORMAT;
        }
        *out = s;
        return 0;
}

void pg_snapshot_fini(struct pg_snapshot *s)
{
        mem_free(s->xip);
        s->xip = NULL;
        s->n_xip = 0;
}

static int by_value(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

/* Of all 64-bit xids with these low bits, the one nearest to xmax is meant. It lies before the
 * first transaction ever when the stream shows one from before the counter wrapped: such a one is
 * visible. */
bool pg_snapshot_sees(const struct pg_snapshot *s, uint32_t xid)
{
        SLUICE_ASSERT(s != NULL);
        int64_t distance = (int32_t)(xid - (uint32_t)s->xmax);
        if (distance >= 0)
                return false;
        uint64_t before = (uint64_t)-distance;
        if (before > s->xmax || s->xmax - before < s->xmin)
                return true;
        uint64_t full = s->xmax - before;
        return !bsearch(&full, s->xip, s->n_xip, sizeof(*s->xip), by_value);
}
