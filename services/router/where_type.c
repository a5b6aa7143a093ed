#include "services/router/where_type.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/where_array.h"
#include "services/router/where_bytea.h"
#include "services/router/where_json.h"
#include "services/router/where_text.h"
#include "services/router/where_time.h"
#include "services/router/where_time_fn.h"

enum { FIRST_BLOCK_BYTES = 1024, BLOCK_BYTES = 8192, NAME_MAX_BYTES = 63, UUID_BYTES = 16 };

/* ---- scratch */

struct where_block {
        struct where_block *next;
        size_t used, size;
        _Alignas(16) char bytes[];
};

void where_scratch_fini(struct where_scratch *s)
{
        while (s->blocks) {
                struct where_block *b = s->blocks;
                s->blocks = b->next;
                mem_free(b);
        }
        s->used = 0;
}

/* There are as many compiled clauses as shapes, so they start small. */
static size_t next_size(const struct where_block *last)
{
        if (!last)
                return FIRST_BLOCK_BYTES;
        return last->size < BLOCK_BYTES / 2 ? last->size * 2 : BLOCK_BYTES;
}

void *where_alloc(struct where_scratch *s, size_t bytes)
{
        SLUICE_ASSERT(bytes < SIZE_MAX / 2);
        bytes = (bytes + 15) & ~(size_t)15;
        if (bytes <= sizeof(s->first) - s->used) {
                char *p = s->first + s->used;
                s->used += bytes;
                return p;
        }
        struct where_block *b = s->blocks;
        if (!b || bytes > b->size - b->used) {
                size_t size = next_size(b);
                if (size < bytes)
                        size = bytes;
                b = mem_array(1, sizeof(*b) + size);
                *b = (struct where_block){.next = s->blocks, .size = size};
                s->blocks = b;
        }
        char *p = b->bytes + b->used;
        b->used += bytes;
        return p;
}

bool where_keep_text(struct where_ctx *c, const struct buf *b, struct slice *out)
{
        if (buf_status(b) != 0)
                return where_fail(c, "a text is too long");
        char *copy = where_alloc(c->scratch, b->len + 1);
        memcpy(copy, buf_slice(b).p, b->len);
        *out = slice_of(copy, b->len);
        return true;
}

/* ---- the table */

struct type_row {
        struct slice name, array_name;
        uint32_t oid, array_oid;
        char category;
        bool preferred;
};

static const struct type_row types[WT_COUNT] = {
#define X(id, name, oid, array_oid, category, preferred)                                           \
        [WT_##id] = {SLICE_LIT(name), SLICE_LIT(name "[]"), oid, array_oid, category, preferred},
        WHERE_TYPES(X)
#undef X
};

struct slice where_type_name(enum where_type t)
{
        return where_type_is_array(t) ? types[where_type_element(t)].array_name : types[t].name;
}

char where_type_category(enum where_type t)
{
        return where_type_is_array(t) ? 'A' : types[t].category;
}

bool where_type_preferred(enum where_type t)
{
        return !where_type_is_array(t) && types[t].preferred;
}

enum where_type where_type_of_oid(uint32_t oid)
{
        for (int t = WT_BOOL; t < WT_TIMETZ; t++) {
                if (types[t].oid == oid)
                        return (enum where_type)t;
                if (types[t].array_oid == oid)
                        return where_type_array_of((enum where_type)t);
        }
        return WT_OTHER;
}

enum where_type where_type_of_name(struct slice name)
{
        for (int t = WT_BOOL; t < WT_TIMETZ; t++)
                if (slice_eq(types[t].name, name))
                        return (enum where_type)t;
        return WT_COUNT;
}

bool where_type_text_is_identity(enum where_type t)
{
        switch (t) {
        case WT_BOOL:
        case WT_INT2:
        case WT_INT4:
        case WT_INT8:
        case WT_TEXT:
        case WT_VARCHAR:
        case WT_NAME:
        case WT_UUID:
        case WT_DATE:
        case WT_TIME:
        case WT_TIMESTAMP:
        case WT_TIMESTAMPTZ:
        case WT_ENUM:
        case WT_BYTEA:
                return true;
        case WT_UNKNOWN:
        case WT_JSONB:
        case WT_FLOAT4:
        case WT_FLOAT8:
        case WT_NUMERIC:
        case WT_BPCHAR:
        case WT_INTERVAL:
        case WT_TIMETZ:
        case WT_OTHER:
        case WT_COUNT:
        default:
                return false;
        }
}

/* ---- reading */

static int read_bool(struct slice text, struct where_value *out)
{
        static const struct {
                const char *word;
                size_t least;
                bool value;
        } words[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                     {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
        struct slice s = where_trim(text);
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
                if (s.len < words[i].least || s.len > strlen(words[i].word) ||
                    strncasecmp(s.p, words[i].word, s.len) != 0)
                        continue;
                out->b = words[i].value;
                return 0;
        }
        return ERR_FORMAT;
}

static int read_int(struct slice text, int64_t min, int64_t max, struct where_value *out)
{
        struct slice s = where_trim(text);
        size_t at = 0;
        bool negative = false;
        int64_t v = 0;
        if (at < s.len && (s.p[at] == '-' || s.p[at] == '+'))
                negative = s.p[at++] == '-';
        if (at == s.len)
                return ERR_FORMAT;
        bool range = false;
        for (; at < s.len; at++) {
                if (s.p[at] < '0' || s.p[at] > '9')
                        return ERR_FORMAT;
                /* counted downwards: there is one more below zero */
                range |= __builtin_mul_overflow(v, 10, &v);
                range |= __builtin_sub_overflow(v, s.p[at] - '0', &v);
        }
        if (range || (!negative && v == INT64_MIN))
                return ERR_RANGE;
        v = negative ? v : -v;
        if (v < min || v > max)
                return ERR_RANGE;
        out->i = v;
        return 0;
}

/* Hyphens may follow each group of four digits, braces may surround it all. */
static int read_uuid(struct slice text, struct where_scratch *scratch, struct where_value *out)
{
        struct slice s = text;
        uint8_t *bytes = where_alloc(scratch, UUID_BYTES);
        size_t at = 0;
        if (s.len >= 2 && s.p[0] == '{') {
                if (s.p[s.len - 1] != '}')
                        return ERR_FORMAT;
                s = slice_of(s.p + 1, s.len - 2);
        }
        for (int i = 0; i < UUID_BYTES; i++) {
                int high = at < s.len ? where_hex_digit(s.p[at]) : -1;
                int low = at + 1 < s.len ? where_hex_digit(s.p[at + 1]) : -1;
                if (high < 0 || low < 0)
                        return ERR_FORMAT;
                bytes[i] = (uint8_t)(high << 4 | low);
                at += 2;
                if (i % 2 == 1 && i < UUID_BYTES - 1 && at < s.len && s.p[at] == '-')
                        at++;
        }
        out->s = slice_of((char *)bytes, UUID_BYTES);
        return at == s.len ? 0 : ERR_FORMAT;
}

/* At most 63 bytes, cut between characters. */
static struct slice clip_name(struct slice s)
{
        if (s.len <= NAME_MAX_BYTES)
                return s;
        s.len = NAME_MAX_BYTES;
        while (s.len && ((unsigned char)s.p[s.len] & 0xc0) == 0x80)
                s.len--;
        return s;
}

static int read_num(struct slice text, struct where_scratch *s, struct where_value *out)
{
        struct where_num *n = where_alloc(s, sizeof(*n));
        out->n = n;
        return where_num_read(text, s, n);
}

static int read_json(struct slice text, struct where_scratch *s, struct where_value *out)
{
        struct where_json *json = where_alloc(s, sizeof(*json));
        out->json = json;
        return where_json_read(text, s, json);
}

static int read_array(enum where_type element, struct slice text, struct where_scratch *s,
                      struct where_value *out)
{
        struct where_array *a = where_alloc(s, sizeof(*a));
        out->array = a;
        return where_array_read(element, text, s, a);
}

int where_value_read(enum where_type t, struct slice text, struct where_scratch *s,
                     struct where_value *out)
{
        out->null = false;
        if (where_type_is_array(t))
                return read_array(where_type_element(t), text, s, out);
        switch (t) {
        case WT_BOOL:
                return read_bool(text, out);
        case WT_INT2:
                return read_int(text, INT16_MIN, INT16_MAX, out);
        case WT_INT4:
                return read_int(text, INT32_MIN, INT32_MAX, out);
        case WT_INT8:
                return read_int(text, INT64_MIN, INT64_MAX, out);
        case WT_FLOAT4:
        case WT_FLOAT8:
                return where_float_read(text, t == WT_FLOAT4, &out->d);
        case WT_NUMERIC:
                return read_num(text, s, out);
        case WT_NAME:
                out->s = clip_name(text);
                return 0;
        case WT_UUID:
                return read_uuid(text, s, out);
        case WT_DATE:
                return time_read_date(text, &out->i);
        case WT_TIME:
                return time_read_time(text, &out->i);
        case WT_TIMESTAMP:
        case WT_TIMESTAMPTZ:
                return time_read_timestamp(text, t == WT_TIMESTAMPTZ, &out->i);
        case WT_INTERVAL:
                return time_read_interval(text, &out->interval);
        case WT_BYTEA:
                return where_bytea_read(text, s, &out->s);
        case WT_JSONB:
                return read_json(text, s, out);
        case WT_TEXT:
        case WT_VARCHAR:
        case WT_BPCHAR:
        case WT_UNKNOWN:
        case WT_ENUM:
        case WT_OTHER:
                out->s = text;
                return 0;
        case WT_TIMETZ:
        case WT_COUNT:
        default:
                return ERR_INVAL;
        }
}

/* ---- printing */

static void print_uuid(struct slice bytes, struct buf *out)
{
        static const char hex[] = "0123456789abcdef";
        for (size_t i = 0; i < bytes.len; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        buf_putc(out, '-');
                buf_putc(out, hex[(unsigned char)bytes.p[i] >> 4]);
                buf_putc(out, hex[(unsigned char)bytes.p[i] & 15]);
        }
}

void where_value_print(enum where_type t, const struct where_value *v, struct buf *out)
{
        SLUICE_ASSERT(!v->null);
        if (where_type_is_array(t)) {
                where_array_print(v->array, out);
                return;
        }
        switch (t) {
        case WT_BOOL:
                buf_putc(out, v->b ? 't' : 'f');
                return;
        case WT_INT2:
        case WT_INT4:
        case WT_INT8:
                buf_printf(out, "%lld", (long long)v->i);
                return;
        case WT_FLOAT4:
        case WT_FLOAT8:
                where_float_print(v->d, t == WT_FLOAT4, out);
                return;
        case WT_NUMERIC:
                where_num_print(v->n, out);
                return;
        case WT_UUID:
                print_uuid(v->s, out);
                return;
        case WT_DATE:
                time_print_date(v->i, out);
                return;
        case WT_TIME:
                time_print_time(v->i, out);
                return;
        case WT_TIMESTAMP:
        case WT_TIMESTAMPTZ:
                time_print_timestamp(v->i, t == WT_TIMESTAMPTZ, out);
                return;
        case WT_INTERVAL:
                time_print_interval(&v->interval, out);
                return;
        case WT_BYTEA:
                where_bytea_print(v->s, out);
                return;
        case WT_JSONB:
                buf_put_slice(out, v->json->text);
                return;
        case WT_TEXT:
        case WT_VARCHAR:
        case WT_BPCHAR:
        case WT_NAME:
        case WT_UNKNOWN:
        case WT_ENUM:
        case WT_OTHER:
                buf_put_slice(out, v->s);
                return;
        case WT_TIMETZ:
        case WT_COUNT:
        default:
                SLUICE_ASSERT(!"a type");
        }
}

static bool is_stamp(enum where_type t)
{
        return t == WT_TIMESTAMP || t == WT_TIMESTAMPTZ;
}

bool where_value_is_readable(enum where_type t, const struct where_value *v)
{
        if (v->null)
                return true;
        if (!where_type_is_array(t))
                return !is_stamp(t) || !time_is_finite(v->i) || time_timestamp_is_valid(v->i);
        for (uint32_t i = 0; i < v->array->n; i++)
                if (!where_value_is_readable(where_type_element(t), &v->array->values[i]))
                        return false;
        return true;
}

/* ---- order */

static int cmp_bool(const struct where_value *a, const struct where_value *b)
{
        return a->b - b->b;
}

static int cmp_int(const struct where_value *a, const struct where_value *b)
{
        return (a->i > b->i) - (a->i < b->i);
}

static int cmp_float(const struct where_value *a, const struct where_value *b)
{
        return where_float_cmp(a->d, b->d);
}

static int cmp_num(const struct where_value *a, const struct where_value *b)
{
        return where_num_cmp(a->n, b->n);
}

static int cmp_bytes(const struct where_value *a, const struct where_value *b)
{
        return slice_cmp(a->s, b->s);
}

static struct slice without_padding(struct slice s)
{
        while (s.len && s.p[s.len - 1] == ' ')
                s.len--;
        return s;
}

static int cmp_bpchar(const struct where_value *a, const struct where_value *b)
{
        return slice_cmp(without_padding(a->s), without_padding(b->s));
}

static int cmp_interval(const struct where_value *a, const struct where_value *b)
{
        return time_interval_cmp(&a->interval, &b->interval);
}

/* Only for being equal: of its own order. */
static int cmp_json(const struct where_value *a, const struct where_value *b)
{
        return slice_cmp(a->json->key, b->json->key);
}

static int cmp_array(const struct where_value *a, const struct where_value *b)
{
        return where_array_cmp(a->array, b->array);
}

where_cmp *where_type_cmp(enum where_type t)
{
        static where_cmp *const cmps[WT_COUNT] = {
                [WT_BOOL] = cmp_bool,       [WT_INT2] = cmp_int,          [WT_INT4] = cmp_int,
                [WT_INT8] = cmp_int,        [WT_FLOAT4] = cmp_float,      [WT_FLOAT8] = cmp_float,
                [WT_NUMERIC] = cmp_num,     [WT_TEXT] = cmp_bytes,        [WT_VARCHAR] = cmp_bytes,
                [WT_BPCHAR] = cmp_bpchar,   [WT_NAME] = cmp_bytes,        [WT_UUID] = cmp_bytes,
                [WT_DATE] = cmp_int,        [WT_TIME] = cmp_int,          [WT_TIMESTAMP] = cmp_int,
                [WT_TIMESTAMPTZ] = cmp_int, [WT_INTERVAL] = cmp_interval, [WT_ENUM] = cmp_bytes,
                [WT_BYTEA] = cmp_bytes,     [WT_JSONB] = cmp_json,
        };
        return where_type_is_array(t) ? cmp_array : cmps[t];
}

bool where_type_has_order(enum where_type t)
{
        enum where_type element = where_type_element(t);
        return element != WT_JSONB && element != WT_ENUM;
}

where_cmp *where_cmp_of(enum where_type left, enum where_type right)
{
        if (left == WT_DATE && is_stamp(right))
                return where_cmp_date_stamp;
        if (is_stamp(left) && right == WT_DATE)
                return where_cmp_stamp_date;
        if (left == WT_TIMESTAMP && right == WT_TIMESTAMPTZ)
                return where_cmp_stamp_zoned;
        if (left == WT_TIMESTAMPTZ && right == WT_TIMESTAMP)
                return where_cmp_zoned_stamp;
        return where_type_cmp(left);
}
