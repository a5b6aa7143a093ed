#include "common/wire/definition.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/wire/rd.h"
#include "common/wire/wr.h"

enum { DEFINITION_FIELDS = 9 };

static void put_list(struct buf *out, bool present, const struct slice *items, uint32_t n)
{
        if (!present) {
                wr_nil(out);
                return;
        }
        wr_array(out, n);
        for (uint32_t i = 0; i < n; i++)
                wr_str(out, items[i]);
}

static int by_bytes(const void *a, const void *b)
{
        return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void put_sorted(struct buf *out, bool present, const struct slice *items, uint32_t n)
{
        struct slice *sorted = mem_array(n, sizeof(*sorted));
        if (n)
                memcpy(sorted, items, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), by_bytes);
        put_list(out, present, sorted, n);
        mem_free(sorted);
}

void definition_encode(struct buf *out, const struct definition *d)
{
        wr_array(out, DEFINITION_FIELDS);
        wr_u64(out, DEFINITION_VERSION);
        wr_str(out, d->schema);
        wr_str(out, d->table);
        put_sorted(out, d->has_columns, d->columns, d->n_columns);
        put_sorted(out, d->has_queryable, d->queryable, d->n_queryable);
        wr_str(out, d->where);
        put_list(out, true, d->params, d->n_params);
        wr_u64(out, (uint64_t)d->replica);
        wr_u64(out, (uint64_t)d->log);
}

static struct slice *read_list(struct rd *r, bool *present, uint32_t *n)
{
        *present = !rd_nil(r);
        if (!*present)
                return NULL;
        uint32_t count = rd_array(r);
        if (count > DEFINITION_MAX_PARAMS) {
                rd_fail(r);
                return NULL;
        }
        struct slice *items = mem_array(count, sizeof(*items));
        for (uint32_t i = 0; i < count; i++)
                items[i] = rd_bytes(r);
        *n = count;
        return items;
}

int definition_decode(struct slice bytes, struct definition *out)
{
        struct rd r;
        struct definition d = {0};
        bool has_params;
        if (bytes.len > DEFINITION_MAX_BYTES)
                return ERR_LIMIT;
        rd_init(&r, bytes);
        uint32_t count = rd_array(&r);
        uint64_t version = rd_u64(&r);
        if (!r.err && version != DEFINITION_VERSION)
                return ERR_VERSION;
        d.schema = rd_bytes(&r);
        d.table = rd_bytes(&r);
        d.columns = read_list(&r, &d.has_columns, &d.n_columns);
        d.queryable = read_list(&r, &d.has_queryable, &d.n_queryable);
        d.where = rd_bytes(&r);
        d.params = read_list(&r, &has_params, &d.n_params);
        uint64_t replica = rd_u64(&r), log = rd_u64(&r);
        if (count != DEFINITION_FIELDS || !has_params || replica > REPLICA_FULL ||
            log > LOG_CHANGES_ONLY || !rd_at_end(&r))
                rd_fail(&r);
        d.replica = (enum replica_mode)replica;
        d.log = (enum log_mode)log;
        if (r.err) {
                definition_fini(&d);
                return r.err;
        }
        *out = d;
        return 0;
}

void definition_fini(struct definition *d)
{
        mem_free(d->columns);
        mem_free(d->queryable);
        mem_free(d->params);
        *d = (struct definition){0};
}

uint64_t definition_hash(struct slice encoded)
{
        return hash64(encoded);
}

uint32_t definition_shard(uint64_t hash, uint32_t n)
{
        SLUICE_ASSERT(n > 0);
        uint32_t best = 0;
        uint64_t best_weight = 0;
        for (uint32_t i = 0; i < n; i++) {
                uint64_t weight = hash64_seeded(slice_of((const char *)&hash, sizeof(hash)), i + 1);
                if (weight > best_weight) {
                        best = i;
                        best_weight = weight;
                }
        }
        return best;
}
