/* Decoder of pgoutput messages, protocol versions 1 and 2 without streaming (PostgreSQL
 * documentation, "Logical Replication Message Formats"). Pure: it knows nothing of connections and
 * keeps no relation: what a message says is handed on, and what it means is batch.h's business.
 *
 * It never trusts a length: every read is checked against the bytes left, column counts against
 * Postgres' own maximum, and a message with bytes left over is refused (I8). It allocates nothing
 * per message. */
#ifndef SERVICES_INGEST_PGOUTPUT_H
#define SERVICES_INGEST_PGOUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/offset.h"
#include "common/base/slice.h"
#include "common/wire/change.h"

enum pgoutput_kind {
        PGOUTPUT_BEGIN = 'B',
        PGOUTPUT_COMMIT = 'C',
        PGOUTPUT_ORIGIN = 'O',
        PGOUTPUT_RELATION = 'R',
        PGOUTPUT_TYPE = 'Y',
        PGOUTPUT_INSERT = 'I',
        PGOUTPUT_UPDATE = 'U',
        PGOUTPUT_DELETE = 'D',
        PGOUTPUT_TRUNCATE = 'T',
        PGOUTPUT_MESSAGE = 'M'
};

/* Which members are set depends on `kind`; all slices borrow from the message's bytes, the arrays
 * from the decoder. */
struct pgoutput_msg {
        enum pgoutput_kind kind;
        /* begin, commit */
        lsn_t commit_lsn;        /* start of the commit record: tx of the offsets (I1) */
        lsn_t end_lsn;           /* commit: end of the commit record */
        uint64_t commit_time_us; /* since 1970 */
        uint32_t xid;            /* begin */
        /* relation; `encoded` is not set */
        struct change_relation relation;
        /* insert, update, delete */
        uint32_t relation_oid;
        struct change_tuple new_row; /* VALUE_SAME: unchanged TOAST */
        struct change_tuple old_row; /* n == 0: absent */
        bool old_is_key; /* the old row has the key's columns only, the others are NULL */
        /* truncate: see pgoutput_truncated() */
        uint32_t n_truncated;
        const unsigned char *truncated;
};

struct pgoutput; /* scratch room for the widest row */

struct pgoutput *pgoutput_new(void);
void pgoutput_free(struct pgoutput *d);
/* ERR_FORMAT for anything malformed or unknown. *out is written only on success; it is valid until
 * the next call. */
int pgoutput_decode(struct pgoutput *d, struct slice bytes, struct pgoutput_msg *out);
/* oid of the i-th truncated relation. */
uint32_t pgoutput_truncated(const struct pgoutput_msg *m, uint32_t i);

#endif
