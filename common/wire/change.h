/* The payload of the ingest -> router stream: batches of transactions, or of parts of one.
 *
 * A batch is a sequence of msgpack objects:
 *
 *   batch    = [version, end_lsn, relation-list, transaction...]
 *   relation = [oid, schema, table, replica_identity, told, [column...], [ancestor...]]
 *   column   = [name, type_oid, type_mod, is_key]
 *   ancestor = [oid, since, born]
 *   txn      = [xid, commit_lsn, commit_time_us, first_part, last_part, change...]
 *   change   = [kind, op, oid, new, old]      kind: 'I' 'U' 'D' 'T'
 *   tuple    = nil | array of value           value: nil | bin | true
 *
 * `end_lsn`: when this batch is applied every transaction that commits at or before it is applied.
 * A batch describes every relation that its changes name: it can be decoded alone. `ancestors` are
 * the partitioned tables that the relation is a partition of, the nearest first: shapes of theirs
 * see its changes, too.
 * `op` is the operation's place in the transaction, by two, counted over everything that is
 * published (I1). In the `new` tuple of an update, `true` stands for "as in the old tuple": the
 * text is identical, or it is an unchanged TOAST value. `old` is the whole old row of an update or
 * a delete (REPLICA IDENTITY FULL), or nil when the stream does not have all of it. Values are
 * Postgres' text output under the display settings of protocol §3.3. A truncate has neither tuple;
 * one change per table truncated. */
#ifndef COMMON_WIRE_CHANGE_H
#define COMMON_WIRE_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"
#include "common/wire/rd.h"

enum {
        CHANGE_VERSION = 4,
        CHANGE_MAX_COLUMNS = 1664, /* Postgres' own limit */
        CHANGE_MAX_ANCESTORS = 64  /* Postgres has none */
};

enum change_kind {
        CHANGE_INSERT = 'I',
        CHANGE_UPDATE = 'U',
        CHANGE_DELETE = 'D',
        CHANGE_TRUNCATE = 'T'
};

enum value_kind { VALUE_NULL, VALUE_TEXT, VALUE_SAME };

struct change_value {
        enum value_kind kind;
        struct slice text; /* VALUE_TEXT */
};

/* A row as it was received: `n` values, borrowed from the batch; n == 0: absent. */
struct change_tuple {
        struct change_value *values;
        uint32_t n;
};

struct change_column {
        struct slice name;
        uint32_t type_oid;
        int32_t type_mod;
        bool is_key;
};

/* One step up: how what is below became part of it. */
struct change_ancestor {
        uint32_t oid;
        uint32_t since; /* xid that attached what is below */
        bool born;      /* what is below was created attached: it had no rows before */
};

struct change_relation {
        uint32_t oid;
        struct slice schema, table;
        char replica_identity; /* 'd' 'n' 'f' 'i' */
        /* How often the stream has described it before. It does so again when the table was
         * altered, whether or not that shows here: that a column may be NULL does not. */
        uint64_t told;
        struct change_column *columns;
        uint32_t n_columns;
        struct change_ancestor *ancestors;
        uint32_t n_ancestors;
        struct slice encoded; /* its own msgpack object: equal bytes, equal relation */
};

struct change_txn {
        uint32_t xid;
        lsn_t commit_lsn;
        uint64_t commit_time_us; /* since 1970 */
        bool first_part, last_part;
};

struct change {
        enum change_kind kind;
        uint64_t op;
        uint32_t relation_oid;
        struct change_tuple new_row, old_row;
};

/* ---- writing (ingest)
 * Sequence: begin; for each transaction part: txn_begin, changes, txn_end; finish. */

struct change_writer {
        struct buf relations; /* encoded relation list of this batch */
        struct buf txns;
        uint32_t n_relations, n_txns, n_changes; /* n_changes: of the open part */
        size_t txn_at;
        bool in_txn;
};

/* max_bytes bounds each of the two buffers. */
void change_writer_init(struct change_writer *w, size_t max_bytes);
void change_writer_fini(struct change_writer *w);
/* `relation->encoded` must be set, see change_relation_encode(); once per batch and relation. */
void change_writer_relation(struct change_writer *w, const struct change_relation *relation);
void change_writer_txn_begin(struct change_writer *w, const struct change_txn *txn);
void change_writer_change(struct change_writer *w, const struct change *c);
/* last_part is what txn_begin could not know. */
void change_writer_txn_end(struct change_writer *w, bool last_part);
size_t change_writer_bytes(const struct change_writer *w);
/* Appends the whole batch to `out` and empties the writer. ERR_LIMIT when it did not fit. */
int change_writer_finish(struct change_writer *w, lsn_t end_lsn, struct buf *out);

/* Appends the msgpack object of a relation, `encoded` apart. */
void change_relation_encode(struct buf *out, const struct change_relation *relation);

/* ---- reading (router) */

struct change_reader {
        struct rd rd;
        lsn_t end_lsn;
        uint32_t relations_left, txns_left, changes_left;
        struct change_column *columns; /* of the relation last read */
        struct change_ancestor *ancestors;
        struct change_value *values; /* two rows' room */
};

/* Borrows `batch`. ERR_FORMAT, ERR_VERSION. The reader owns scratch memory until fini. */
void change_reader_init(struct change_reader *r);
int change_reader_start(struct change_reader *r, struct slice batch);
void change_reader_fini(struct change_reader *r);
/* Each: true and *out filled (valid until the next call of the same function), false at the end of
 * the list or on an error; change_reader_status() tells which. Relations come first, then for each
 * txn its changes. Changes of a transaction that are not read are skipped by the next
 * change_reader_txn(). */
bool change_reader_relation(struct change_reader *r, struct change_relation *out);
bool change_reader_txn(struct change_reader *r, struct change_txn *out);
bool change_reader_change(struct change_reader *r, struct change *out);
int change_reader_status(const struct change_reader *r);

#endif
