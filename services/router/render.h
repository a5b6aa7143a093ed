/* Rows to their final JSON bytes (protocol §3.1-3.6), done once per projection: shapes that agree
 * on table, columns and replica mode share the rendering. Pure; any thread. */
#ifndef SERVICES_ROUTER_RENDER_H
#define SERVICES_ROUTER_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/offset.h"
#include "common/base/slice.h"
#include "common/wire/change.h"
#include "common/wire/definition.h"
#include "services/router/table.h"

/* One row in the table's column order; VALUE_SAME never occurs here. */
struct row {
        const struct change_value *values;
        uint32_t n; /* == table->n_columns */
};

struct projection; /* immutable, with prebuilt JSON fragments */

/* `columns`: indexes of the selected columns, any order. Keeps a pointer to the table, which must
 * outlive it. */
struct projection *projection_new(const struct table *t, const uint32_t *columns, uint32_t n,
                                  enum replica_mode replica);
void projection_free(struct projection *p);
const struct table *projection_table(const struct projection *p);
/* The columns that a row must have for rendering: selected and key columns, by table column index.
 */
bool projection_needs(const struct projection *p, uint32_t column);
/* Value of the electric-schema header (§2.7). */
void projection_schema_json(const struct projection *p, struct buf *out);

/* `"public"."items"/"1"` as JSON string content is in the entries; this is the bare key (§3.4,
 * snapshot form: SQL quoting of names, `/` doubled in values, NULL as _). */
void render_key(const struct projection *p, struct row row, struct buf *out);

/* {"key":…,"value":{…},"headers":{"operation":"insert","relation":[…]}} (§3.1) */
void render_snapshot_row(const struct projection *p, struct row row, struct buf *out);
/* {"headers":{"control":"snapshot-end","xmin":"…","xmax":"…","xip_list":["…"]}} (§3.9) */
void render_snapshot_end(uint64_t xmin, uint64_t xmax, const uint64_t *xip, uint32_t n_xip,
                         struct buf *out);

/* A log entry without its last two bytes `}}`: the caller closes it with RENDER_CLOSE, or with
 * RENDER_CLOSE_LAST when it is the transaction's last of the shape (§3.2). */
#define RENDER_CLOSE      "}}"
#define RENDER_CLOSE_LAST ",\"last\":true}}"

struct render_at {
        uint32_t xid;
        lsn_t lsn;
        uint64_t op;
};

void render_insert(const struct projection *p, const struct render_at *at, struct row row,
                   struct buf *out);
void render_delete(const struct projection *p, const struct render_at *at, struct row old,
                   struct buf *out);
/* What an update becomes under this projection. */
enum render_update {
        RENDER_NOTHING /* no selected column changed */,
        RENDER_ONE,
        RENDER_PAIR /* the key changed, §3.6 */
};
/* RENDER_ONE: `first`. RENDER_PAIR: delete at op in `first`, insert at op+1 in `second`. */
enum render_update render_update(const struct projection *p, const struct render_at *at,
                                 struct row old, struct row new_row, struct buf *first,
                                 struct buf *second);

#endif
