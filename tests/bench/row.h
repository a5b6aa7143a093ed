/* One message of a shape response. Only what a benchmark needs is taken out: the operation,
 * `value.id`, and the time of writing that leads `value.payload`. What is not needed is skipped,
 * but the structure around it is checked. */
#ifndef TESTS_BENCH_ROW_H
#define TESTS_BENCH_ROW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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

#endif
