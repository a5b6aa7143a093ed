#include "common/wire/notice.h"

#include "common/base/err.h"
#include "common/wire/wr.h"

enum { NOTICE_FIELDS = 9, FRAME_FIXED = 2 };

void notice_encode(struct buf *out, const struct notice *n)
{
        wr_array(out, NOTICE_FIELDS);
        wr_u64(out, (uint64_t)n->kind);
        wr_str(out, n->handle);
        wr_u64(out, n->prev.tx);
        wr_u64(out, n->prev.op);
        wr_u64(out, n->tail.tx);
        wr_u64(out, n->tail.op);
        wr_u64(out, n->flags);
        wr_bin(out, n->bytes);
        wr_bin(out, n->reason);
}

void notice_frame(struct buf *out, lsn_t lsn, uint32_t n, struct slice notices)
{
        wr_array(out, FRAME_FIXED + n);
        wr_u64(out, NOTICE_VERSION);
        wr_u64(out, lsn.v);
        buf_put_slice(out, notices);
}

int notice_reader_start(struct notice_reader *r, struct slice frame)
{
        *r = (struct notice_reader){0};
        rd_init(&r->rd, frame);
        uint32_t count = rd_array(&r->rd);
        uint64_t version = rd_u64(&r->rd);
        if (!r->rd.err && version != NOTICE_VERSION)
                return ERR_VERSION;
        if (count < FRAME_FIXED)
                rd_fail(&r->rd);
        r->lsn.v = rd_u64(&r->rd);
        if (!r->rd.err)
                r->left = count - FRAME_FIXED;
        return r->rd.err;
}

bool notice_reader_next(struct notice_reader *r, struct notice *out)
{
        if (r->rd.err)
                return false;
        if (r->left == 0) {
                if (!rd_at_end(&r->rd))
                        rd_fail(&r->rd);
                return false;
        }
        r->left--;
        if (notice_read(&r->rd, out))
                return true;
        rd_fail(&r->rd); /* nil is no notice here */
        return false;
}

bool notice_read(struct rd *rd, struct notice *out)
{
        if (rd_nil(rd))
                return false;
        if (rd_array(rd) != NOTICE_FIELDS)
                rd_fail(rd);
        uint64_t kind = rd_u64(rd);
        out->handle = rd_bytes(rd);
        out->prev.tx = rd_u64(rd);
        out->prev.op = rd_u64(rd);
        out->tail.tx = rd_u64(rd);
        out->tail.op = rd_u64(rd);
        uint64_t flags = rd_u64(rd);
        out->bytes = rd_bytes(rd);
        out->reason = rd_bytes(rd);
        if (kind < NOTICE_APPEND || kind > NOTICE_SCHEMA || flags > UINT32_MAX)
                rd_fail(rd);
        out->kind = (enum notice_kind)kind;
        out->flags = (uint32_t)flags;
        return !rd->err;
}
