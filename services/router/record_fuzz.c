/* libFuzzer: what the router reads back from its records and from the database. The first byte
 * chooses. A table that is accepted must survive its own encoding and be fit for rendering; a run's
 * checksum is made right first, so that what lies behind it is reached. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "services/router/copytext.h"
#include "services/router/render.h"
#include "services/router/run.h"
#include "services/router/sealed.h"
#include "services/router/shape.h"
#include "services/router/snapshot.h"
#include "services/router/xidset.h"

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

static void fuzz_run(struct slice bytes)
{
        enum { SUM_BYTES = 8 };
        struct run r;
        struct slice entries;
        if (bytes.len < SUM_BYTES)
                return;
        char *value = slice_dup_cstr(bytes);
        uint64_t sum = hash64(slice_of(value + SUM_BYTES, bytes.len - SUM_BYTES));
        memcpy(value, &sum, SUM_BYTES);
        if (run_parse(slice_of(value, bytes.len), &r) == 0) {
                for (uint32_t i = 0; i < r.n; i++) {
                        SLUICE_ASSERT(run_find(&r, run_offset(&r, i)) <= r.n);
                        if (run_slice(&r, i, run_fit(&r, i, r.n, 100), &entries) == 0)
                                (void)hash64(entries);
                }
        }
        mem_free(value);
}

static void fuzz_shape(struct slice bytes)
{
        struct shape_record_head head;
        struct shape_record record;
        if (shape_record_head(bytes, &head) != 0 || shape_record_decode(bytes, &record) != 0)
                return;
        fuzz_table(record.table);
        shape_record_fini(&record);
}

/* Whatever the store returns for a key: it is never taken for sound, unless it is. */
static void fuzz_sealed(struct slice bytes)
{
        struct slice payload, key = SLICE_LIT("T\0\0\0\0\0\0\0\7");
        char *value = slice_dup_cstr(bytes);
        SLUICE_ASSERT(sealed_open(key, slice_of(value, bytes.len), &payload) != 0 ||
                      payload.len == bytes.len - SEALED_HEAD_BYTES);
        if (bytes.len >= SEALED_HEAD_BYTES) {
                struct slice rest =
                        slice_of(value + SEALED_HEAD_BYTES, bytes.len - SEALED_HEAD_BYTES);
                uint64_t sum = hash64_seeded(rest, hash64(key));
                memcpy(value, &sum, sizeof(sum));
                SLUICE_ASSERT(sealed_open(key, slice_of(value, bytes.len), &payload) == 0);
                SLUICE_ASSERT(payload.p == rest.p && payload.len == rest.len);
        }
        mem_free(value);
}

static void fuzz_xids(struct slice bytes)
{
        struct xidset *x = xidset_new();
        uint32_t xid = 0;
        struct slice record = slice_dup(bytes); /* a block of its own */
        if (bytes.len > 0 && xidset_load(x, (unsigned char)bytes.p[0] % XIDSET_SLOTS, record) == 0)
                (void)xidset_next(x, &xid);
        mem_free((void *)(uintptr_t)record.p);
        xidset_free(x);
}

static void fuzz_copy_line(struct slice bytes)
{
        enum { FIELDS = 3 };
        static const uint32_t to[FIELDS] = {0, 1, 2};
        struct change_value values[FIELDS];
        struct slice line = slice_dup(bytes); /* a block of its own, so that a step too far shows */
        char *p = (char *)(uintptr_t)line.p;
        bool ok = copytext_parse(p, line.len, to, FIELDS, values) == 0;
        for (uint32_t i = 0; ok && i < FIELDS; i++)
                SLUICE_ASSERT(values[i].kind == VALUE_NULL || values[i].text.len < bytes.len);
        mem_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const targets[])(struct slice) = {fuzz_snapshot, fuzz_table,     fuzz_run,
                                                        fuzz_shape,    fuzz_copy_line, fuzz_sealed,
                                                        fuzz_xids};
        if (size == 0)
                return 0;
        struct slice bytes = slice_of((const char *)data + 1, size - 1);
        targets[data[0] % (sizeof(targets) / sizeof(targets[0]))](bytes);
        return 0;
}
