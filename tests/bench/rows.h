/* Reads the messages of a shape response as they arrive: a JSON array in pieces of any size, or an
 * event stream. A broken or truncated response cannot count as rows. */
#ifndef TESTS_BENCH_ROWS_H
#define TESTS_BENCH_ROWS_H

#include <stddef.h>

#include "common/base/buf.h"
#include "tests/bench/row.h"

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
