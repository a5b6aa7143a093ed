/* LSNs and log offsets (protocol §2.3, invariant I1). Values that must not be mixed are types. */
#ifndef COMMON_BASE_OFFSET_H
#define COMMON_BASE_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

/* A position in Postgres' WAL, in bytes. */
typedef struct {
        uint64_t v;
} lsn_t;

/* A position in a shape's log: `<tx>_<op>`. tx is the commit LSN of the transaction, op counts the
 * transaction's operations by two; tx 0 is snapshot space. Ordered by (tx, op). */
struct log_offset {
        uint64_t tx;
        uint64_t op;
};

#define OFFSET_OP_INF       UINT64_MAX
#define OFFSET_SNAPSHOT_END ((struct log_offset){0, OFFSET_OP_INF}) /* `0_inf` */

static inline int offset_cmp(struct log_offset a, struct log_offset b)
{
        if (a.tx != b.tx)
                return a.tx < b.tx ? -1 : 1;
        return (a.op > b.op) - (a.op < b.op);
}

static inline int lsn_cmp(lsn_t a, lsn_t b)
{
        return (a.v > b.v) - (a.v < b.v);
}

/* What a request's `offset` may be. */
enum offset_kind { OFFSET_BEFORE_ALL /* -1 */, OFFSET_NOW /* now */, OFFSET_AT /* tx_op */ };

struct offset_request {
        enum offset_kind kind;
        struct log_offset at; /* valid for OFFSET_AT */
};

/* Grammar of protocol §2.3; ERR_FORMAT for anything else. `-1_0` is -1, `0_02` is `0_2`. */
int offset_parse(struct slice text, struct offset_request *out);
/* `tx_op`, `tx_inf`. */
void offset_print(struct buf *out, struct log_offset at);
/* `-1`, `now` or the offset. */
void offset_request_print(struct buf *out, const struct offset_request *at);

/* Postgres' own notation, `16/B374D848`. ERR_FORMAT. */
int lsn_parse(struct slice text, lsn_t *out);
void lsn_print(struct buf *out, lsn_t lsn);

#endif
