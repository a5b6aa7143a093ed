/* The value is read into a tree, as Postgres stores it: of members with one key the last one, keys
 * by length and then bytes, strings without escapes. Then the tree is printed twice. */
#include "services/router/where_json.h"

#include <stdlib.h>

#include "common/base/err.h"
#include "services/router/where_text.h"

enum { MAX_DEPTH = 1000, MIN_ROOM = 4 };

enum kind { JSON_NULL, JSON_TRUE, JSON_FALSE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct item {
        enum kind kind;
        struct slice text; /* of a string */
        struct where_num number;
        struct member *members; /* of an array without keys */
        uint32_t n;
};

struct member {
        struct slice key;
        uint32_t order;
        struct item value;
};

struct reader {
        struct slice s;
        struct where_scratch *scratch;
        int depth;
};

static int read_item(struct reader *r, struct item *out);

static void skip(struct reader *r, size_t n)
{
        r->s = slice_of(r->s.p + n, r->s.len - n);
}

static char peek(const struct reader *r)
{
        return r->s.len ? r->s.p[0] : '\0';
}

static void skip_space(struct reader *r)
{
        while (r->s.len && strchr(" \t\n\r", peek(r)) && peek(r))
                skip(r, 1);
}

static bool take(struct reader *r, const char *word)
{
        size_t n = strlen(word);
        if (r->s.len < n || memcmp(r->s.p, word, n) != 0)
                return false;
        skip(r, n);
        return true;
}

/* ---- scalars */

static int read_hex(struct reader *r, uint32_t *out)
{
        *out = 0;
        if (r->s.len < 4)
                return ERR_FORMAT;
        for (int i = 0; i < 4; i++) {
                static const char digits[] = "0123456789abcdef";
                char c = r->s.p[i];
                const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;
                if (!at)
                        return ERR_FORMAT;
                *out = *out << 4 | (uint32_t)(at - digits);
        }
        skip(r, 4);
        return 0;
}

/* Behind \u. A NUL has no place in a text. */
static int read_unicode(struct reader *r, char *out, size_t *n)
{
        uint32_t code, low;
        int rc = read_hex(r, &code);
        if (rc)
                return rc;
        if (code >= 0xd800 && code < 0xdc00) {
                if (!take(r, "\\u") || read_hex(r, &low) != 0 || low < 0xdc00 || low > 0xdfff)
                        return ERR_FORMAT;
                code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
        } else if (code == 0 || (code >= 0xdc00 && code < 0xe000)) {
                return ERR_FORMAT;
        }
        *n += where_char_encode(code, out + *n);
        return 0;
}

static int read_escape(struct reader *r, char *out, size_t *n)
{
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        char c = peek(r);
        const char *at = c ? strchr(letters, c) : NULL;
        if (!r->s.len)
                return ERR_FORMAT;
        skip(r, 1);
        if (c == 'u')
                return read_unicode(r, out, n);
        if (!at)
                return ERR_FORMAT;
        out[(*n)++] = meanings[at - letters];
        return 0;
}

/* Behind the quote. What is read is never longer than what it is read from. */
static int read_string(struct reader *r, struct slice *out)
{
        const char *end = r->s.len ? memchr(r->s.p, '"', r->s.len) : NULL;
        if (!end)
                return ERR_FORMAT;
        bool plain = !memchr(r->s.p, '\\', (size_t)(end - r->s.p));
        char *text = plain ? NULL : where_alloc(r->scratch, r->s.len);
        size_t n = 0;
        const char *start = r->s.p;
        while (r->s.len && peek(r) != '"') {
                if ((unsigned char)peek(r) < 0x20)
                        return ERR_FORMAT;
                if (plain) {
                        n++;
                        skip(r, 1);
                } else if (peek(r) != '\\') {
                        text[n++] = peek(r);
                        skip(r, 1);
                } else {
                        skip(r, 1);
                        int rc = read_escape(r, text, &n);
                        if (rc)
                                return rc;
                }
        }
        *out = slice_of(plain ? start : text, n);
        return take(r, "\"") ? 0 : ERR_FORMAT;
}

static size_t count_digits(struct slice s, size_t at)
{
        size_t n = 0;
        while (at + n < s.len && s.p[at + n] >= '0' && s.p[at + n] <= '9')
                n++;
        return n;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static int read_number(struct reader *r, struct where_num *out)
{
        struct slice s = r->s;
        size_t at = peek(r) == '-', n = count_digits(s, at);
        if (n == 0 || (n > 1 && s.p[at] == '0'))
                return ERR_FORMAT;
        at += n;
        if (at < s.len && s.p[at] == '.') {
                n = count_digits(s, at + 1);
                if (n == 0)
                        return ERR_FORMAT;
                at += 1 + n;
        }
        if (at < s.len && (s.p[at] | 0x20) == 'e') {
                at++;
                at += at < s.len && (s.p[at] == '+' || s.p[at] == '-');
                n = count_digits(s, at);
                if (n == 0)
                        return ERR_FORMAT;
                at += n;
        }
        skip(r, at);
        return where_num_read(slice_of(s.p, at), r->scratch, out);
}

/* ---- arrays and objects */

static struct member *add_member(struct reader *r, struct item *out, uint32_t *room)
{
        if (out->n == *room) {
                *room = *room ? *room * 2 : MIN_ROOM;
                struct member *more = where_alloc(r->scratch, *room * sizeof(*more));
                if (out->n)
                        memcpy(more, out->members, out->n * sizeof(*more));
                out->members = more;
        }
        struct member *m = &out->members[out->n];
        *m = (struct member){.order = out->n++};
        return m;
}

static int by_key(const void *a, const void *b)
{
        const struct member *x = a, *y = b;
        if (x->key.len != y->key.len)
                return x->key.len < y->key.len ? -1 : 1;
        int c = slice_cmp(x->key, y->key);
        return c ? c : (x->order > y->order) - (x->order < y->order);
}

static void sort_members(struct item *object)
{
        uint32_t kept = 0;
        if (object->n == 0)
                return;
        qsort(object->members, object->n, sizeof(*object->members), by_key);
        for (uint32_t i = 1; i < object->n; i++) {
                if (!slice_eq(object->members[kept].key, object->members[i].key))
                        kept++;
                object->members[kept] = object->members[i];
        }
        object->n = kept + 1;
}

static int read_key(struct reader *r, struct slice *key)
{
        skip_space(r);
        if (!take(r, "\""))
                return ERR_FORMAT;
        int rc = read_string(r, key);
        skip_space(r);
        return rc ? rc : take(r, ":") ? 0 : ERR_FORMAT;
}

/* Behind the bracket. */
static int read_members(struct reader *r, struct item *out)
{
        bool object = out->kind == JSON_OBJECT;
        const char *end = object ? "}" : "]";
        uint32_t room = 0;
        skip_space(r);
        if (take(r, end))
                return 0;
        do {
                struct member *m = add_member(r, out, &room);
                int rc = object ? read_key(r, &m->key) : 0;
                if (!rc)
                        rc = read_item(r, &m->value);
                if (rc)
                        return rc;
        } while (take(r, ","));
        if (object)
                sort_members(out);
        return take(r, end) ? 0 : ERR_FORMAT;
}

static int read_nested(struct reader *r, struct item *out)
{
        if (r->depth == MAX_DEPTH)
                return ERR_RANGE;
        r->depth++;
        int rc = read_members(r, out);
        r->depth--;
        return rc;
}

static int read_item(struct reader *r, struct item *out)
{
        static const struct {
                const char *start;
                enum kind kind;
        } starts[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE},
                      {"\"", JSON_STRING}, {"[", JSON_ARRAY},   {"{", JSON_OBJECT}};
        size_t i = 0, n = sizeof(starts) / sizeof(starts[0]);
        int rc = 0;
        skip_space(r);
        while (i < n && !take(r, starts[i].start))
                i++;
        *out = (struct item){.kind = i < n ? starts[i].kind : JSON_NUMBER};
        if (out->kind == JSON_NUMBER)
                rc = read_number(r, &out->number);
        else if (out->kind == JSON_STRING)
                rc = read_string(r, &out->text);
        else if (out->kind == JSON_ARRAY || out->kind == JSON_OBJECT)
                rc = read_nested(r, out);
        skip_space(r);
        return rc;
}

/* ---- printing */

static void put_string(struct slice s, struct buf *out)
{
        static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";
        buf_putc(out, '"');
        for (size_t i = 0; i < s.len; i++) {
                char c = s.p[i];
                const char *at = strchr(meanings, c);
                if (at && c)
                        buf_printf(out, "\\%c", letters[at - meanings]);
                else if ((unsigned char)c < 0x20)
                        buf_printf(out, "\\u%04x", (unsigned)c);
                else
                        buf_putc(out, c);
        }
        buf_putc(out, '"');
}

static void put_number(struct where_num n, bool as_key, struct buf *out)
{
        int64_t digits = (int64_t)n.n - n.point;
        if (as_key)
                n.dscale = digits > 0 ? (int32_t)digits : 0;
        where_num_print(&n, out);
}

static void put_item(const struct item *v, bool as_key, struct buf *out)
{
        static const char *const words[] = {
                [JSON_NULL] = "null", [JSON_TRUE] = "true", [JSON_FALSE] = "false"};
        bool object = v->kind == JSON_OBJECT;
        if (v->kind == JSON_STRING) {
                put_string(v->text, out);
        } else if (v->kind == JSON_NUMBER) {
                put_number(v->number, as_key, out);
        } else if (v->kind != JSON_ARRAY && !object) {
                buf_puts(out, words[v->kind]);
        } else {
                buf_putc(out, object ? '{' : '[');
                for (uint32_t i = 0; i < v->n; i++) {
                        if (i)
                                buf_puts(out, ", ");
                        if (object) {
                                put_string(v->members[i].key, out);
                                buf_puts(out, ": ");
                        }
                        put_item(&v->members[i].value, as_key, out);
                }
                buf_putc(out, object ? '}' : ']');
        }
}

static int print(const struct item *v, bool as_key, struct where_scratch *s, struct slice *out)
{
        struct buf text;
        buf_init(&text, WHERE_TEXT_MAX);
        put_item(v, as_key, &text);
        int rc = buf_status(&text);
        if (!rc) {
                char *copy = where_alloc(s, text.len + 1);
                memcpy(copy, buf_slice(&text).p, text.len);
                *out = slice_of(copy, text.len);
        }
        buf_fini(&text);
        return rc ? ERR_RANGE : 0;
}

int where_json_read(struct slice text, struct where_scratch *s, struct where_json *out)
{
        struct reader r = {.s = text, .scratch = s};
        struct item root;
        struct where_json v;
        int rc = read_item(&r, &root);
        if (!rc && r.s.len)
                rc = ERR_FORMAT;
        if (!rc)
                rc = print(&root, false, s, &v.text);
        if (!rc)
                rc = print(&root, true, s, &v.key);
        if (!rc)
                *out = v;
        return rc;
}
