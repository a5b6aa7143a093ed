/* The payload of the router -> edge stream: what happened to shapes, lossy but never wrong.
 *
 *   frame  = [version, lsn, notice...]
 *   notice = [kind, handle, prev_tx, prev_op, tail_tx, tail_op, flags, bytes, reason]
 *
 * `lsn`: every transaction up to it has been applied by this router (global_last_seen_lsn). A frame
 * without notices says just that; one is sent at least every NOTICE_HEARTBEAT_MS. Nothing is
 * announced before it can be fetched (I5). */
#ifndef COMMON_WIRE_NOTICE_H
#define COMMON_WIRE_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"
#include "common/wire/rd.h"

enum { NOTICE_VERSION = 1, NOTICE_HEARTBEAT_MS = 500, NOTICE_INLINE_MAX_BYTES = 64 * 1024 };

enum notice_kind {
        NOTICE_APPEND = 1,   /* the log grew from prev to tail */
        NOTICE_SNAPSHOT = 2, /* the snapshot made progress: it started, grew or ended */
        NOTICE_GONE = 3,     /* the shape was deleted or failed; `reason` says why */
        NOTICE_SCHEMA = 4    /* the electric-schema header changed, the handle did not */
};

enum notice_flags {
        NOTICE_INLINE = 1, /* `bytes` are exactly the entries (prev, tail], none ends a chunk */
        NOTICE_FAILED =
                2 /* with GONE: the snapshot failed; `reason` is the encoded `failed` message */
};

struct notice {
        enum notice_kind kind;
        struct slice handle;
        struct log_offset prev, tail;
        uint32_t flags;
        struct slice bytes;
        struct slice reason;
};

/* Appends one notice object. */
void notice_encode(struct buf *out, const struct notice *n);
/* Appends a frame around `n` notices already encoded in `notices`. */
void notice_frame(struct buf *out, lsn_t lsn, uint32_t n, struct slice notices);

struct notice_reader {
        struct rd rd;
        lsn_t lsn;
        uint32_t left;
};

/* ERR_FORMAT, ERR_VERSION. Borrows `frame`. */
int notice_reader_start(struct notice_reader *r, struct slice frame);
/* False at the end or on an error (r->rd.err). */
bool notice_reader_next(struct notice_reader *r, struct notice *out);
/* One notice object. False on nil (consumed) or on an error. */
bool notice_read(struct rd *rd, struct notice *out);

#endif
