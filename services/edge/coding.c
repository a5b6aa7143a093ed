#include "services/edge/coding.h"

#include <strings.h>

#include "common/base/assert.h"
#include "services/edge/text.h"

enum { WEIGHT_MOST = 1000, WEIGHT_DIGITS = 3 };

static const struct {
        struct slice name;
        enum coding coding;
} names[] = {{{"zstd", 4}, CODING_ZSTD},
             {{"br", 2}, CODING_BROTLI},
             {{"gzip", 4}, CODING_GZIP},
             {{"identity", 8}, CODING_IDENTITY},
             {{"x-gzip", 6}, CODING_GZIP}};

enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

struct slice coding_name(enum coding c)
{
        SLUICE_ASSERT(c < N_CODINGS && names[c].coding == c);
        return names[c].name;
}

static bool same_word(struct slice a, struct slice b)
{
        return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0;
}

void coding_wish_init(struct coding_wish *w)
{
        for (int i = 0; i < N_CODINGS; i++)
                w->weight[i] = -1;
        w->others = -1;
}

/* The part before the first `end`; `rest` becomes what follows it. False when nothing is left. */
static bool next_part(struct slice *rest, char end, struct slice *part)
{
        if (!rest->p)
                return false;
        const char *at = rest->len ? memchr(rest->p, end, rest->len) : NULL;
        size_t len = at ? (size_t)(at - rest->p) : rest->len;
        *part = text_trim(slice_of(rest->p, len));
        *rest = at ? slice_of(at + 1, rest->len - len - 1) : (struct slice){NULL, 0};
        return true;
}

/* qvalue: 0 or 1 with at most three digits behind the point, at most 1. -1: not well-formed. */
static int parse_weight(struct slice s)
{
        if (s.len == 0 || s.len > 2 + WEIGHT_DIGITS || (s.p[0] != '0' && s.p[0] != '1') ||
            (s.len > 1 && s.p[1] != '.'))
                return -1;
        int weight = (s.p[0] - '0') * WEIGHT_MOST, digit = WEIGHT_MOST / 10;
        for (size_t i = 2; i < s.len; i++, digit /= 10) {
                if (s.p[i] < '0' || s.p[i] > '9')
                        return -1;
                weight += (s.p[i] - '0') * digit;
        }
        return weight <= WEIGHT_MOST ? weight : -1;
}

/* Of the parameters behind a coding's name. */
static int weight_of(struct slice parameters)
{
        struct slice parameter, name;
        int weight = WEIGHT_MOST;
        while (next_part(&parameters, ';', &parameter)) {
                if (!next_part(&parameter, '=', &name) || !same_word(name, SLICE_LIT("q")))
                        continue;
                weight = parameter.p ? parse_weight(text_trim(parameter)) : -1;
        }
        return weight;
}

static void add_element(struct coding_wish *w, struct slice element)
{
        struct slice name;
        if (!next_part(&element, ';', &name))
                return;
        int weight = weight_of(element);
        if (weight < 0)
                return;
        if (slice_eq(name, SLICE_LIT("*")))
                w->others = (int16_t)weight;
        for (int i = 0; i < N_NAMES; i++)
                if (same_word(name, names[i].name))
                        w->weight[names[i].coding] = (int16_t)weight;
}

void coding_wish_add(struct coding_wish *w, struct slice line)
{
        struct slice element;
        while (next_part(&line, ',', &element))
                add_element(w, element);
}

enum coding coding_choose(const struct coding_wish *w)
{
        enum coding best = CODING_IDENTITY;
        int most = 0;
        for (int c = 0; c < CODING_IDENTITY; c++) {
                int weight = w->weight[c];
                if (weight < 0 && c == CODING_GZIP)
                        weight = w->others;
                if (weight > most) {
                        most = weight;
                        best = (enum coding)c;
                }
        }
        return w->weight[CODING_IDENTITY] > most ? CODING_IDENTITY : best;
}
