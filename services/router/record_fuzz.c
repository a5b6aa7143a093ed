/* libFuzzer: what the router reads back from its records and from the database. The first byte
 * chooses. A table that is accepted must survive its own encoding and be fit for rendering. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "services/router/render.h"
#include "services/router/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_table(const struct table *t)
{
        struct projection *p = projection_new(t, t->pk, t->n_pk, REPLICA_FULL);
        struct buf header;
        buf_init(&header, 1 << 24);
        projection_schema_json(p, &header);
        buf_fini(&header);
        projection_free(p);
}

static void fuzz_table(struct slice bytes)
{
        struct table *t, *again;
        struct buf encoded;
        if (table_decode(bytes, &t) != 0)
                return;
        buf_init(&encoded, 1 << 24);
        table_encode(t, &encoded);
        SLUICE_ASSERT(buf_status(&encoded) == 0);
        SLUICE_ASSERT(table_decode(buf_slice(&encoded), &again) == 0);
        use_table(again);
        table_free(again);
        table_free(t);
        buf_fini(&encoded);
}

static void fuzz_snapshot(struct slice bytes)
{
        struct pg_snapshot s;
        if (pg_snapshot_parse(bytes, &s) != 0)
                return;
        SLUICE_ASSERT(s.xmin == 0 || pg_snapshot_sees(&s, (uint32_t)s.xmin - 1) ||
                      s.xmax - s.xmin >= UINT32_MAX / 2);
        SLUICE_ASSERT(!pg_snapshot_sees(&s, (uint32_t)s.xmax));
        pg_snapshot_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        struct slice bytes = slice_of((const char *)data + 1, size - 1);
        if (data[0] % 2)
                fuzz_table(bytes);
        else
                fuzz_snapshot(bytes);
        return 0;
}
