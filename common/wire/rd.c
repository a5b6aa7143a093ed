#include "common/wire/rd.h"

#include "common/base/err.h"

enum { MAX_DEPTH = 16 };

/* The format bytes of the msgpack specification. */
enum {
        FIXMAP = 0x80,
        FIXARRAY = 0x90,
        FIXSTR = 0xa0,
        NIL = 0xc0,
        FALSE_ = 0xc2,
        TRUE_ = 0xc3,
        BIN8 = 0xc4,
        BIN16 = 0xc5,
        BIN32 = 0xc6,
        UINT8 = 0xcc,
        UINT64 = 0xcf,
        INT8 = 0xd0,
        INT64 = 0xd3,
        STR8 = 0xd9,
        STR16 = 0xda,
        STR32 = 0xdb,
        ARRAY16 = 0xdc,
        ARRAY32 = 0xdd,
        NEGATIVE_FIXINT = 0xe0
};

void rd_init(struct rd *r, struct slice bytes)
{
        const unsigned char *p = (const unsigned char *)bytes.p;
        *r = (struct rd){.p = p, .end = p + bytes.len};
}

void rd_fail(struct rd *r)
{
        r->err = ERR_FORMAT;
        r->p = r->end;
}

bool rd_at_end(const struct rd *r)
{
        return r->p == r->end;
}

static size_t left(const struct rd *r)
{
        return (size_t)(r->end - r->p);
}

enum rd_type rd_peek(const struct rd *r)
{
        if (rd_at_end(r))
                return RD_END;
        unsigned char c = *r->p;
        if (c < FIXMAP || (c >= UINT8 && c <= UINT64))
                return RD_UINT;
        if (c >= NEGATIVE_FIXINT || (c >= INT8 && c <= INT64))
                return RD_INT;
        if ((c >= FIXSTR && c < NIL) || (c >= STR8 && c <= STR32))
                return RD_STR;
        if (c >= BIN8 && c <= BIN32)
                return RD_BIN;
        if ((c >= FIXARRAY && c < FIXSTR) || c == ARRAY16 || c == ARRAY32)
                return RD_ARRAY;
        if (c == NIL)
                return RD_NIL;
        return c == FALSE_ || c == TRUE_ ? RD_BOOL : RD_OTHER;
}

/* The format byte; 0xc1 (never used by msgpack) after a failure. */
static unsigned char take_byte(struct rd *r)
{
        if (rd_at_end(r)) {
                rd_fail(r);
                return 0xc1;
        }
        return *r->p++;
}

/* A big-endian integer of 1, 2, 4 or 8 bytes. */
static uint64_t take_be(struct rd *r, size_t bytes)
{
        uint64_t v = 0;
        if (left(r) < bytes) {
                rd_fail(r);
                return 0;
        }
        for (size_t i = 0; i < bytes; i++)
                v = v << 8 | r->p[i];
        r->p += bytes;
        return v;
}

uint64_t rd_u64(struct rd *r)
{
        int64_t v;
        if (rd_peek(r) == RD_UINT) {
                unsigned char c = take_byte(r);
                return c < FIXMAP ? c : take_be(r, (size_t)1 << (c - UINT8));
        }
        v = rd_i64(r);
        if (v < 0) {
                rd_fail(r);
                return 0;
        }
        return (uint64_t)v;
}

int64_t rd_i64(struct rd *r)
{
        if (rd_peek(r) == RD_UINT) {
                uint64_t v = rd_u64(r);
                if (v > INT64_MAX) {
                        rd_fail(r);
                        return 0;
                }
                return (int64_t)v;
        }
        unsigned char c = take_byte(r);
        if (c >= NEGATIVE_FIXINT)
                return (int8_t)c;
        switch (c) {
        case INT8:
                return (int8_t)take_be(r, 1);
        case INT8 + 1:
                return (int16_t)take_be(r, 2);
        case INT8 + 2:
                return (int32_t)take_be(r, 4);
        case INT64:
                return (int64_t)take_be(r, 8);
        default:
                rd_fail(r);
                return 0;
        }
}

bool rd_bool(struct rd *r)
{
        unsigned char c = take_byte(r);
        if (c != FALSE_ && c != TRUE_)
                rd_fail(r);
        return c == TRUE_;
}

struct slice rd_bytes(struct rd *r)
{
        unsigned char c = take_byte(r);
        uint64_t len;
        if (c >= FIXSTR && c < NIL)
                len = c & 31;
        else if (c >= STR8 && c <= STR32)
                len = take_be(r, (size_t)1 << (c - STR8));
        else if (c >= BIN8 && c <= BIN32)
                len = take_be(r, (size_t)1 << (c - BIN8));
        else
                len = UINT64_MAX;
        if (len > left(r)) {
                rd_fail(r);
                return SLICE_EMPTY;
        }
        struct slice s = slice_of((const char *)r->p, (size_t)len);
        r->p += len;
        return s;
}

bool rd_nil(struct rd *r)
{
        if (rd_peek(r) != RD_NIL)
                return false;
        r->p++;
        return true;
}

uint32_t rd_array(struct rd *r)
{
        unsigned char c = take_byte(r);
        uint64_t count;
        if (c >= FIXARRAY && c < FIXSTR)
                count = c & 15;
        else if (c == ARRAY16)
                count = take_be(r, 2);
        else if (c == ARRAY32)
                count = take_be(r, 4);
        else
                count = UINT64_MAX;
        if (count > left(r)) { /* every element has at least one byte */
                rd_fail(r);
                return 0;
        }
        return (uint32_t)count;
}

static void skip(struct rd *r, int depth)
{
        switch (rd_peek(r)) {
        case RD_NIL:
        case RD_BOOL:
                r->p++;
                return;
        case RD_UINT:
                (void)rd_u64(r);
                return;
        case RD_INT:
                (void)rd_i64(r);
                return;
        case RD_STR:
        case RD_BIN:
                (void)rd_bytes(r);
                return;
        case RD_ARRAY: {
                uint32_t count = rd_array(r);
                if (depth == MAX_DEPTH)
                        rd_fail(r);
                for (uint32_t i = 0; i < count && !r->err; i++)
                        skip(r, depth + 1);
                return;
        }
        case RD_END:
        case RD_OTHER:
                rd_fail(r);
                return;
        }
}

void rd_skip(struct rd *r)
{
        skip(r, 0);
}
