#include "services/router/pending.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/fault/fault.h"
#include "services/router/render.h"
#include "services/router/run.h"

struct pending_entry {
        struct log_offset at;
        uint32_t end; /* in bytes */
        bool closes_chunk;
};

struct pending_end {
        struct log_offset at;
        uint64_t size, number;
};

/* Ends are 32 bits wide; a buffer never gets near, it is written out long before. */
#define MAX_BYTES ((size_t)3 << 30)

struct pending *pending_new(struct shape *shape, const struct log_tail *tail)
{
        struct pending *p = mem_new(struct pending);
        p->magic = PENDING_MAGIC;
        p->shape = shape;
        p->settled = p->working = *tail;
        list_init(&p->touched);
        buf_init(&p->index, MAX_BYTES);
        buf_init(&p->bytes, MAX_BYTES);
        buf_init(&p->ends, MAX_BYTES);
        return p;
}

void pending_free(struct pending *p)
{
        CHECK_OBJ(p, PENDING_MAGIC);
        list_remove(&p->touched);
        buf_fini(&p->index);
        buf_fini(&p->bytes);
        buf_fini(&p->ends);
        p->magic = 0;
        mem_free(p);
}

static const struct pending_entry *entries(const struct pending *p)
{
        return (const struct pending_entry *)(const void *)p->index.p;
}

/* The open entry becomes part of the log. */
static void close_entry(struct pending *p, const char *closing, uint64_t chunk_bytes)
{
        struct log_tail *w = &p->working;
        buf_puts(&p->bytes, closing);
        SLUICE_ASSERT(offset_cmp(p->open_at, w->at) > 0);
        w->at = p->open_at;
        w->open_bytes += p->bytes.len - p->open_start;
        struct pending_entry entry = {.at = p->open_at,
                                      .end = (uint32_t)p->bytes.len,
                                      .closes_chunk = w->open_bytes >= chunk_bytes};
        buf_put(&p->index, &entry, sizeof(entry));
        if (entry.closes_chunk) {
                struct pending_end end = {w->at, w->open_bytes, w->chunks};
                buf_put(&p->ends, &end, sizeof(end));
                w->chunk_start = w->at;
                w->open_bytes = 0;
                w->chunks++;
        }
        p->n++;
        p->has_open = false;
}

size_t pending_add(struct pending *p, struct log_offset at, struct slice entry,
                   uint64_t chunk_bytes)
{
        CHECK_OBJ(p, PENDING_MAGIC);
        SLUICE_ASSERT(p->open_tx == 0 || p->open_tx == at.tx);
        size_t before = p->bytes.len;
        p->open_tx = at.tx;
        if (p->has_open)
                close_entry(p, RENDER_CLOSE, chunk_bytes);
        if (p->bytes.len > 0)
                buf_putc(&p->bytes, ',');
        p->open_start = p->bytes.len;
        p->open_at = at;
        p->has_open = true;
        buf_put_slice(&p->bytes, entry);
        return p->bytes.len - before + sizeof(struct pending_entry);
}

void pending_settle(struct pending *p, uint64_t chunk_bytes)
{
        CHECK_OBJ(p, PENDING_MAGIC);
        if (p->has_open)
                close_entry(p, RENDER_CLOSE_LAST, chunk_bytes);
        p->settled = p->working;
        p->n_settled = p->n;
        p->open_tx = 0;
        p->behind |= p->spilled;
        p->spilled = false;
}

void pending_rollback(struct pending *p)
{
        CHECK_OBJ(p, PENDING_MAGIC);
        p->n = p->n_settled;
        p->index.len = p->n * sizeof(struct pending_entry);
        p->bytes.len = p->n ? entries(p)[p->n - 1].end : 0;
        while (p->ends.len > 0) {
                struct pending_end last;
                memcpy(&last, p->ends.p + p->ends.len - sizeof(last), sizeof(last));
                if (offset_cmp(last.at, p->settled.at) <= 0)
                        break;
                p->ends.len -= sizeof(last);
        }
        p->working = p->settled;
        p->has_open = false;
        p->open_tx = 0;
        if (p->spilled && !p->trim) {
                p->trim = true;
                p->trim_at = p->settled.at;
        }
        p->spilled = false;
}

int pending_status(const struct pending *p)
{
        return buf_status(&p->bytes) || buf_status(&p->index) || buf_status(&p->ends) ? ERR_LIMIT
                                                                                      : 0;
}

static uint32_t entry_start(const struct pending *p, uint32_t i)
{
        return i == 0 ? 0 : entries(p)[i - 1].end + 1;
}

/* Entries from `from` on that go into one run. */
static uint32_t run_limit(const struct pending *p, uint32_t from)
{
        uint32_t start = entry_start(p, from), i = from;
        while (i + 1 < p->n && !entries(p)[i].closes_chunk && i + 1 != p->n_settled &&
               entries(p)[i + 1].end - start <= PENDING_RUN_BYTES)
                i++;
        return i + 1;
}

static void write_run(const struct pending *p, struct store_txn *t, uint64_t id, uint32_t from,
                      uint32_t to)
{
        const struct pending_entry *e = entries(p);
        uint32_t start = entry_start(p, from), len = e[to - 1].end - start, n = to - from;
        void *room = shapelog_put_run(t, id, e[from].at, run_bytes(n, len));
        if (!room)
                return;
        for (uint32_t i = 0; i < n; i++)
                run_set_index(room, i, e[from + i].at, e[from + i].end - start);
        memcpy(run_room(room, n), p->bytes.p + start, len);
        run_seal(room, n, len);
}

void pending_write(const struct pending *p, struct store_txn *t, uint64_t shape_id)
{
        CHECK_OBJ(p, PENDING_MAGIC);
        SLUICE_ASSERT(pending_status(p) == 0);
        if (p->trim)
                shapelog_trim(t, shape_id, p->trim_at);
        for (uint32_t i = 0; i < p->n && t->err == 0;) {
                uint32_t to = run_limit(p, i);
                write_run(p, t, shape_id, i, to);
                i = to;
        }
        for (size_t at = 0; at < p->ends.len; at += sizeof(struct pending_end)) {
                struct pending_end end;
                memcpy(&end, p->ends.p + at, sizeof(end));
                shapelog_put_chunk_end(t, shape_id, end.at, end.size, end.number);
                fault_point(FAULT_ROUTER_CHUNK);
        }
}

struct slice pending_inline(const struct pending *p, size_t max_bytes)
{
        if (p->n_settled == 0 || p->behind || p->ends.len > 0)
                return SLICE_EMPTY;
        size_t len = entries(p)[p->n_settled - 1].end;
        return len <= max_bytes ? slice_of(p->bytes.p, len) : SLICE_EMPTY;
}

bool pending_written(struct pending *p)
{
        CHECK_OBJ(p, PENDING_MAGIC);
        bool unsettled = p->n > p->n_settled;
        p->spilled |= unsettled;
        p->behind = p->trim = false;
        p->n = p->n_settled = 0;
        buf_reset(&p->index);
        buf_reset(&p->ends);
        if (!p->has_open) {
                buf_reset(&p->bytes);
                return p->open_tx == 0;
        }
        memmove(p->bytes.p, p->bytes.p + p->open_start, p->bytes.len - p->open_start);
        p->bytes.len -= p->open_start;
        p->open_start = 0;
        return false;
}
