#include "services/router/where_type.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/where_text.h"

enum { TEXT_ROOM = 64, DIGITS_DOUBLE = 17, DIGITS_SINGLE = 9 };

/* ---- reading */

static bool word_is(struct slice s, const char *word)
{
        return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

static bool read_special(struct slice s, double *out)
{
        bool negative = s.len && s.p[0] == '-';
        if (word_is(s, "nan")) {
                *out = (double)NAN;
                return true;
        }
        if (negative || (s.len && s.p[0] == '+'))
                s = slice_of(s.p + 1, s.len - 1);
        if (!word_is(s, "inf") && !word_is(s, "infinity"))
                return false;
        *out = negative ? -(double)INFINITY : (double)INFINITY;
        return true;
}

/* Out of range as Postgres has it: what became zero or infinite; denormal numbers are fine. */
static int convert(const char *text, bool single, double *out)
{
        char *end;
        errno = 0;
        double d = single ? (double)strtof(text, &end) : strtod(text, &end);
        if (end == text || *end != '\0')
                return ERR_FORMAT;
        if (errno == ERANGE && (d == 0 || isinf(d)))
                return ERR_RANGE;
        *out = d;
        return 0;
}

/* Few digits and a small power of ten are both exact, and so one division rounds correctly. False:
 * the text is another one. */
static bool read_simple(struct slice s, bool single, double *out)
{
        static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10};
        enum { MAX_CHARS = 16 };
        uint64_t digits = 0;
        size_t at = s.p[0] == '-', after = 0;
        bool point = false;
        if (at == s.len || s.len > MAX_CHARS)
                return false;
        for (; at < s.len; at++) {
                unsigned d = (unsigned)(s.p[at] - '0');
                if (s.p[at] == '.' && !point && at + 1 < s.len) {
                        point = true;
                        continue;
                }
                if (d > 9)
                        return false;
                digits = digits * 10 + d;
                after += point;
        }
        if (digits >= (single ? 1u << 24 : (uint64_t)1 << 53) || after > 10)
                return false;
        double d = single ? (double)((float)digits / (float)powers[after])
                          : (double)digits / powers[after];
        *out = s.p[0] == '-' ? -d : d;
        return true;
}

int where_float_read(struct slice text, bool single, double *out)
{
        char room[TEXT_ROOM];
        if (text.len && read_simple(text, single, out))
                return 0;
        struct slice s = where_trim(text);
        if (s.len == 0)
                return ERR_FORMAT;
        if (read_special(s, out))
                return 0;
        for (size_t i = 0; i < s.len; i++) /* no hexadecimal, no nan(…) */
                if (s.p[i] == '\0' || !strchr("0123456789+-.eE", s.p[i]))
                        return ERR_FORMAT;
        if (s.len < sizeof(room)) {
                memcpy(room, s.p, s.len);
                room[s.len] = '\0';
                return convert(room, single, out);
        }
        char *copy = slice_dup_cstr(s);
        int rc = convert(copy, single, out);
        mem_free(copy);
        return rc;
}

/* ---- printing */

struct shortest {
        char digits[DIGITS_DOUBLE + 2];
        int n;
        int exponent; /* of the first digit */
};

static bool reads_back(const struct shortest *s, double d, bool single)
{
        char text[TEXT_ROOM];
        snprintf(text, sizeof(text), "%c.%se%d", s->digits[0], s->digits + 1, s->exponent);
        return single ? strtof(text, NULL) == (float)d : strtod(text, NULL) == d;
}

/* The number's last digit one up or down; false when that would change its length. */
static bool nudge(struct shortest *s, int by)
{
        char *last = &s->digits[s->n - 1];
        if ((by > 0 && *last == '9') || (by < 0 && *last == '0'))
                return false;
        *last = (char)(*last + by);
        return true;
}

static void correctly_rounded(double d, int n, struct shortest *out)
{
        char text[TEXT_ROOM];
        snprintf(text, sizeof(text), "%.*e", n - 1, d);
        char *e = strchr(text, 'e');
        out->n = 0;
        for (char *p = text; p < e; p++)
                if (*p != '.')
                        out->digits[out->n++] = *p;
        out->digits[out->n] = '\0';
        out->exponent = atoi(e + 1);
}

/* At a power of two the interval that reads back is lopsided: a neighbour of the correctly rounded
 * number may be in it when that is not. */
static void find_shortest(double d, bool single, struct shortest *out)
{
        int max = single ? DIGITS_SINGLE : DIGITS_DOUBLE;
        for (int n = 1; n <= max; n++) {
                for (int by = 0; by < 3; by++) {
                        correctly_rounded(d, n, out);
                        if (by && !nudge(out, by == 1 ? 1 : -1))
                                continue;
                        if (reads_back(out, d, single))
                                return;
                }
        }
        correctly_rounded(d, max, out);
}

static void print_fixed(const struct shortest *s, struct buf *out)
{
        int before = s->exponent + 1;
        if (before <= 0)
                buf_putc(out, '0');
        for (int i = 0; i < before; i++)
                buf_putc(out, i < s->n ? s->digits[i] : '0');
        if (s->n > before)
                buf_putc(out, '.');
        for (int i = before; i < s->n; i++)
                buf_putc(out, i < 0 ? '0' : s->digits[i]);
}

void where_float_print(double d, bool single, struct buf *out)
{
        struct shortest s;
        if (isnan(d) || isinf(d)) {
                buf_puts(out, isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
                return;
        }
        if (signbit(d))
                buf_putc(out, '-');
        d = fabs(d);
        if (d == 0) {
                buf_putc(out, '0');
                return;
        }
        find_shortest(d, single, &s);
        while (s.n > 1 && s.digits[s.n - 1] == '0')
                s.n--;
        if (s.exponent >= -4 && s.exponent < (single ? 6 : 15)) {
                print_fixed(&s, out);
                return;
        }
        buf_putc(out, s.digits[0]);
        if (s.n > 1)
                buf_printf(out, ".%.*s", s.n - 1, s.digits + 1);
        buf_printf(out, "e%c%02d", s.exponent < 0 ? '-' : '+', abs(s.exponent));
}

/* NaN equals itself and is greater than everything else; -0 equals 0. */
int where_float_cmp(double a, double b)
{
        if (isnan(a) || isnan(b))
                return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
        return (a > b) - (a < b);
}
