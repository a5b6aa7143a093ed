#include "common/base/offset.h"

#include <inttypes.h>

#include "common/base/err.h"

int offset_parse(struct slice text, struct offset_request *out)
{
        if (slice_eq(text, SLICE_LIT("-1")) || slice_eq(text, SLICE_LIT("-1_0"))) {
                *out = (struct offset_request){.kind = OFFSET_BEFORE_ALL};
                return 0;
        }
        if (slice_eq(text, SLICE_LIT("now"))) {
                *out = (struct offset_request){.kind = OFFSET_NOW};
                return 0;
        }
        const char *bar = text.len == 0 ? NULL : memchr(text.p, '_', text.len);
        if (!bar)
                return ERR_FORMAT;
        struct slice tx = slice_of(text.p, (size_t)(bar - text.p));
        struct slice op = slice_of(bar + 1, text.len - tx.len - 1);
        struct log_offset at;
        if (slice_parse_u64(tx, &at.tx) != 0)
                return ERR_FORMAT;
        if (slice_eq(op, SLICE_LIT("inf")))
                at.op = OFFSET_OP_INF;
        else if (slice_parse_u64(op, &at.op) != 0)
                return ERR_FORMAT;
        *out = (struct offset_request){.kind = OFFSET_AT, .at = at};
        return 0;
}

void offset_print(struct buf *out, struct log_offset at)
{
        buf_put_u64(out, at.tx);
        buf_putc(out, '_');
        if (at.op == OFFSET_OP_INF)
                buf_puts(out, "inf");
        else
                buf_put_u64(out, at.op);
}

void offset_request_print(struct buf *out, const struct offset_request *at)
{
        switch (at->kind) {
        case OFFSET_BEFORE_ALL:
                buf_puts(out, "-1");
                return;
        case OFFSET_NOW:
                buf_puts(out, "now");
                return;
        case OFFSET_AT:
                offset_print(out, at->at);
                return;
        }
}

static int parse_hex32(struct slice s, uint64_t *out)
{
        uint64_t value = 0;
        if (s.len == 0 || s.len > 8)
                return ERR_FORMAT;
        for (size_t i = 0; i < s.len; i++) {
                char c = s.p[i];
                unsigned digit;
                if (c >= '0' && c <= '9')
                        digit = (unsigned)(c - '0');
                else if ((c | 32) >= 'a' && (c | 32) <= 'f')
                        digit = (unsigned)((c | 32) - 'a') + 10;
                else
                        return ERR_FORMAT;
                value = value << 4 | digit;
        }
        *out = value;
        return 0;
}

int lsn_parse(struct slice text, lsn_t *out)
{
        const char *slash = text.len ? memchr(text.p, '/', text.len) : NULL;
        if (!slash)
                return ERR_FORMAT;
        size_t high_len = (size_t)(slash - text.p);
        uint64_t high, low;
        if (parse_hex32(slice_of(text.p, high_len), &high) != 0 ||
            parse_hex32(slice_of(slash + 1, text.len - high_len - 1), &low) != 0)
                return ERR_FORMAT;
        out->v = high << 32 | low;
        return 0;
}

void lsn_print(struct buf *out, lsn_t lsn)
{
        buf_printf(out, "%" PRIX64 "/%" PRIX64, lsn.v >> 32, lsn.v & 0xffffffff);
}
