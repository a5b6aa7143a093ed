#include "services/router/where_type.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/router/where_text.h"

/* Postgres' limits (numeric.h): what is larger does not exist there. */
enum { MAX_DIGITS_BEFORE = 131072, MAX_DIGITS_AFTER = 16383, MAX_EXPONENT_DIGITS = 9 };

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool word_is(struct slice s, const char *word)
{
        return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

static int read_special(struct slice s, struct where_num *out)
{
        bool negative = s.len && s.p[0] == '-';
        bool sign = negative || (s.len && s.p[0] == '+');
        *out = (struct where_num){0};
        if (!sign && word_is(s, "nan")) {
                out->kind = NUM_NAN;
                return 0;
        }
        if (sign)
                s = slice_of(s.p + 1, s.len - 1);
        if (!word_is(s, "inf") && !word_is(s, "infinity"))
                return ERR_FORMAT;
        out->kind = negative ? NUM_NINF : NUM_PINF;
        return 0;
}

/* [eE][+-]digits at the end of a number. */
static int read_exponent(struct slice s, int32_t *out)
{
        size_t at = 1;
        bool negative = false;
        int32_t e = 0;
        if (at < s.len && (s.p[at] == '+' || s.p[at] == '-'))
                negative = s.p[at++] == '-';
        if (at == s.len)
                return ERR_FORMAT;
        for (size_t from = at; at < s.len; at++) {
                if (!is_digit(s.p[at]))
                        return ERR_FORMAT;
                if (at - from >= MAX_EXPONENT_DIGITS)
                        return ERR_RANGE;
                e = e * 10 + (s.p[at] - '0');
        }
        *out = negative ? -e : e;
        return 0;
}

/* Drops zeros at both ends and checks the limits. */
static int normalize(uint8_t *digits, uint32_t n, int64_t point, int64_t dscale,
                     struct where_num *out)
{
        while (n && digits[0] == 0) {
                digits++;
                n--;
                point--;
        }
        while (n && digits[n - 1] == 0)
                n--;
        if (n == 0)
                point = 0;
        if (dscale < 0)
                dscale = 0;
        if (point > MAX_DIGITS_BEFORE || dscale > MAX_DIGITS_AFTER)
                return ERR_RANGE;
        *out = (struct where_num){
                .point = (int32_t)point, .dscale = (int32_t)dscale, .n = n, .digits = digits};
        return 0;
}

int where_num_read(struct slice text, struct where_scratch *scratch, struct where_num *out)
{
        struct slice s = where_trim(text);
        size_t at = 0;
        uint32_t n = 0;
        int64_t before = 0, after = 0;
        int32_t exponent = 0;
        bool negative = false, point = false;
        if (s.len > UINT32_MAX / 2)
                return ERR_RANGE;
        if (at < s.len && (s.p[at] == '+' || s.p[at] == '-'))
                negative = s.p[at++] == '-';
        if (at == s.len || !(is_digit(s.p[at]) || s.p[at] == '.'))
                return read_special(s, out);
        uint8_t *digits = where_alloc(scratch, s.len + 1);
        for (; at < s.len; at++) {
                if (s.p[at] == '.' && !point) {
                        point = true;
                } else if (is_digit(s.p[at])) {
                        digits[n++] = (uint8_t)(s.p[at] - '0');
                        *(point ? &after : &before) += 1;
                } else {
                        break;
                }
        }
        if (n == 0)
                return ERR_FORMAT;
        if (at < s.len) {
                if (s.p[at] != 'e' && s.p[at] != 'E')
                        return ERR_FORMAT;
                int rc = read_exponent(slice_of(s.p + at, s.len - at), &exponent);
                if (rc)
                        return rc;
        }
        int rc = normalize(digits, n, before + exponent, after - exponent, out);
        if (rc == 0)
                out->negative = negative && out->n > 0;
        return rc;
}

void where_num_print(const struct where_num *v, struct buf *out)
{
        static const char *const special[] = {
                [NUM_PINF] = "Infinity", [NUM_NINF] = "-Infinity", [NUM_NAN] = "NaN"};
        if (v->kind != NUM_FINITE) {
                buf_puts(out, special[v->kind]);
                return;
        }
        if (v->negative)
                buf_putc(out, '-');
        if (v->point <= 0)
                buf_putc(out, '0');
        for (int32_t i = 0; i < v->point; i++)
                buf_putc(out, i < (int32_t)v->n ? (char)('0' + v->digits[i]) : '0');
        if (v->dscale > 0)
                buf_putc(out, '.');
        for (int32_t i = v->point; i < v->point + v->dscale; i++)
                buf_putc(out, i >= 0 && i < (int32_t)v->n ? (char)('0' + v->digits[i]) : '0');
}

/* -Infinity, finite numbers, Infinity, NaN. */
static int kind_rank(const struct where_num *v)
{
        switch (v->kind) {
        case NUM_NINF:
                return -1;
        case NUM_PINF:
                return 1;
        case NUM_NAN:
                return 2;
        case NUM_FINITE:
        default:
                return 0;
        }
}

static int cmp_magnitude(const struct where_num *a, const struct where_num *b)
{
        if (a->n == 0 || b->n == 0)
                return (a->n > 0) - (b->n > 0);
        if (a->point != b->point)
                return a->point < b->point ? -1 : 1;
        int c = memcmp(a->digits, b->digits, a->n < b->n ? a->n : b->n);
        return c ? c : (a->n > b->n) - (a->n < b->n);
}

int where_num_cmp(const struct where_num *a, const struct where_num *b)
{
        if (a->kind != NUM_FINITE || b->kind != NUM_FINITE)
                return kind_rank(a) - kind_rank(b);
        if (a->negative != b->negative)
                return a->negative ? -1 : 1;
        return a->negative ? cmp_magnitude(b, a) : cmp_magnitude(a, b);
}

void where_num_of_int(int64_t i, struct where_scratch *s, struct where_num *out)
{
        enum { INT8_DIGITS = 20 };
        uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
        uint8_t *digits = where_alloc(s, INT8_DIGITS);
        uint32_t at = INT8_DIGITS;
        while (u) {
                digits[--at] = (uint8_t)(u % 10);
                u /= 10;
        }
        int rc = normalize(digits + at, INT8_DIGITS - at, INT8_DIGITS - at, 0, out);
        SLUICE_ASSERT(rc == 0);
        out->negative = i < 0;
}

int where_num_to_int(const struct where_num *v, int64_t *out)
{
        enum { INT8_MAX_DIGITS = 19 };
        if (v->kind != NUM_FINITE)
                return ERR_INVAL;
        if (v->point > INT8_MAX_DIGITS)
                return ERR_RANGE;
        unsigned __int128 u = 0;
        for (int32_t i = 0; i < v->point; i++)
                u = u * 10 + (i < (int32_t)v->n ? v->digits[i] : 0);
        if (v->point >= 0 && v->point < (int32_t)v->n && v->digits[v->point] >= 5)
                u++;
        if (u > (unsigned __int128)INT64_MAX + v->negative)
                return ERR_RANGE;
        *out = v->negative ? (int64_t)(0 - (uint64_t)u) : (int64_t)u;
        return 0;
}

int where_num_to_double(const struct where_num *v, bool single, struct where_scratch *s,
                        double *out)
{
        if (v->kind != NUM_FINITE) {
                *out = v->kind == NUM_NAN    ? __builtin_nan("")
                       : v->kind == NUM_PINF ? __builtin_inf()
                                             : -__builtin_inf();
                return 0;
        }
        size_t room = v->n + 32;
        char *text = where_alloc(s, room);
        size_t at = 0;
        if (v->negative)
                text[at++] = '-';
        text[at++] = '.';
        for (uint32_t i = 0; i < v->n; i++)
                text[at++] = (char)('0' + v->digits[i]);
        if (v->n == 0)
                text[at++] = '0';
        int e = snprintf(text + at, room - at, "e%d", v->point);
        return where_float_read(slice_of(text, at + (size_t)e), single, out);
}

void where_num_round(const struct where_num *v, int32_t scale, struct where_scratch *s,
                     struct where_num *out)
{
        int64_t keep = (int64_t)v->point + scale;
        *out = *v;
        out->dscale = scale;
        if (v->kind != NUM_FINITE || keep >= (int64_t)v->n)
                return;
        uint32_t n = keep > 0 ? (uint32_t)keep : 0;
        bool up = keep >= 0 && v->digits[keep] >= 5;
        uint8_t *digits = where_alloc(s, n + 1);
        digits[0] = 0; /* for the carry */
        memcpy(digits + 1, v->digits, n);
        for (uint32_t at = n; up; at--) {
                up = digits[at] == 9;
                digits[at] = up ? 0 : (uint8_t)(digits[at] + 1);
        }
        int rc = normalize(digits, n + 1, (int64_t)n - scale + 1, scale, out);
        SLUICE_ASSERT(rc == 0 || rc == ERR_RANGE);
        out->negative = v->negative && out->n > 0;
}
