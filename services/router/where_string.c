/* Functions on strings. Case is mapped character by character as Postgres does under libc's
 * C.UTF-8.
 */
#include "services/router/where_fn.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

#include "common/base/assert.h"
#include "services/router/where_like.h"
#include "services/router/where_text.h"

static locale_t ctype;

static void open_ctype(void)
{
        ctype = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
        SLUICE_ASSERT(ctype != (locale_t)0);
}

static locale_t utf8_ctype(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        int rc = pthread_once(&once, open_ctype);
        SLUICE_ASSERT(rc == 0);
        return ctype;
}

static bool is_ascii(struct slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if ((unsigned char)s.p[i] >= 0x80)
                        return false;
        return true;
}

static struct slice map_ascii(struct where_ctx *c, struct slice s, char from, char to)
{
        char *mapped = where_alloc(c->scratch, s.len + 1);
        for (size_t i = 0; i < s.len; i++)
                mapped[i] = s.p[i] >= from && s.p[i] <= to ? (char)(s.p[i] ^ 0x20) : s.p[i];
        return slice_of(mapped, s.len);
}

static bool map_wide(struct where_ctx *c, struct slice s, wint_t (*map)(wint_t, locale_t),
                     struct slice *out)
{
        enum { MAX_CHAR = 4 };
        if (s.len > WHERE_TEXT_MAX / MAX_CHAR)
                return where_fail(c, "a text is too long");
        char *mapped = where_alloc(c->scratch, s.len * MAX_CHAR + 1);
        size_t n = 0;
        for (size_t at = 0; at < s.len;) {
                uint32_t code;
                size_t len = where_char_decode(slice_of(s.p + at, s.len - at), &code);
                if (len == 0)
                        return where_fail(c, "a value of the row is not UTF-8");
                n += where_char_encode((uint32_t)map((wint_t)code, utf8_ctype()), mapped + n);
                at += len;
        }
        *out = slice_of(mapped, n);
        return true;
}

static bool ascii_lower(struct where_ctx *c, struct slice s, struct slice *out)
{
        *out = map_ascii(c, s, 'A', 'Z');
        return true;
}

static bool lower(struct where_ctx *c, struct slice s, struct slice *out)
{
        return is_ascii(s) ? ascii_lower(c, s, out) : map_wide(c, s, towlower_l, out);
}

bool where_text_lower(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return lower(c, a[0].s, &out->s);
}

bool where_text_upper(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        if (!is_ascii(a[0].s))
                return map_wide(c, a[0].s, towupper_l, &out->s);
        out->s = map_ascii(c, a[0].s, 'a', 'z');
        return true;
}

bool where_text_cat(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        size_t len = a[0].s.len + a[1].s.len;
        if (len > WHERE_TEXT_MAX)
                return where_fail(c, "a text is too long");
        char *both = where_alloc(c->scratch, len + 1);
        memcpy(both, a[0].s.p, a[0].s.len);
        memcpy(both + a[0].s.len, a[1].s.p, a[1].s.len);
        out->s = slice_of(both, len);
        return true;
}

/* ---- LIKE */

bool where_text_like(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return where_like(c, a[0].s, a[1].s, &out->b);
}

bool where_text_not_like(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        if (!where_text_like(c, a, out))
                return false;
        out->b = !out->b;
        return true;
}

typedef bool map_case(struct where_ctx *c, struct slice s, struct slice *out);

static bool ilike(struct where_ctx *c, const struct where_value *a, map_case *map, bool negated,
                  struct where_value *out)
{
        struct slice text, pattern;
        bool matches;
        if (!map(c, a[1].s, &pattern) || !map(c, a[0].s, &text) ||
            !where_like(c, text, pattern, &matches))
                return false;
        out->b = matches != negated;
        return true;
}

bool where_text_ilike(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return ilike(c, a, lower, false, out);
}

bool where_text_not_ilike(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return ilike(c, a, lower, true, out);
}

/* ---- under the collation C */

static bool c_lower(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return ascii_lower(c, a[0].s, &out->s);
}

static bool c_upper(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        out->s = map_ascii(c, a[0].s, 'a', 'z');
        return true;
}

static bool c_ilike(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return ilike(c, a, ascii_lower, false, out);
}

static bool c_not_ilike(struct where_ctx *c, const struct where_value *a, struct where_value *out)
{
        return ilike(c, a, ascii_lower, true, out);
}

where_fn *where_text_c_cases(where_fn *fn)
{
        static where_fn *const pairs[][2] = {{where_text_lower, c_lower},
                                             {where_text_upper, c_upper},
                                             {where_text_ilike, c_ilike},
                                             {where_text_not_ilike, c_not_ilike}};
        size_t i = 0;
        while (pairs[i][0] != fn)
                SLUICE_ASSERT(++i < sizeof(pairs) / sizeof(pairs[0]));
        return pairs[i][1];
}

bool where_text_like_escape(struct where_ctx *c, const struct where_value *a,
                            struct where_value *out)
{
        return where_like_escape(c, a[0].s, a[1].s, &out->s);
}
