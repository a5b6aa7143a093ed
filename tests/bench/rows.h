/* Reads the messages of a shape response as they arrive: a JSON array in pieces of any size, or an
 * event stream. Only what a benchmark needs is taken out: the operation, `value.id`, and the time
 * of writing that leads `value.payload`. What is not needed is skipped, but the structure around it
 * is checked, so that a broken or truncated response cannot count as rows. */
#ifndef TESTS_BENCH_ROWS_H
#define TESTS_BENCH_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum row_kind {
        ROW_INSERT,
        ROW_UPDATE,
        ROW_DELETE,
        ROW_UP_TO_DATE,
        ROW_SNAPSHOT_END,
        ROW_MUST_REFETCH,
        ROW_OTHER
};

struct row {
        enum row_kind kind;
        bool has_id;
        uint64_t id;
        uint64_t stamp_ns; /* leading digits of value.payload, 0 when none */
        struct slice lsn;  /* headers.global_last_seen_lsn, borrowed; empty when absent */
};

/* Parses one whole message at the start of the bytes: its length, 0 when it is incomplete, or
 * ERR_FORMAT. */
ssize_t row_parse(const char *bytes, size_t len, struct row *out);

typedef void row_callback(void *arg, const struct row *row);

struct rows {
        int state;
        struct buf carry; /* a message that came in part */
        row_callback *cb;
        void *arg;
};

void rows_init(struct rows *r, row_callback *cb, void *arg);
void rows_fini(struct rows *r);
/* For the next response. */
void rows_reset(struct rows *r);
/* ERR_FORMAT, ERR_LIMIT (one message above 64 MiB). */
int rows_feed(struct rows *r, const char *bytes, size_t len);
/* The same for `text/event-stream`. */
int rows_feed_sse(struct rows *r, const char *bytes, size_t len);
/* ERR_FORMAT unless the array is closed; for event streams, unless no line is half there. */
int rows_end(const struct rows *r);

#endif
