#include "services/router/snapshot_group.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/snapshot_run.h"

enum {
        DEADLINE_MS = 2000, /* then it was no group for small shapes */
        STOP_READING_MS = 100,
        STOP_READING_BYTES = 1 << 20,
        ENTRIES_MAX_BYTES = 1 << 20,
        WHY_MAX_BYTES = 16 * 1024
};

struct group {
        struct run run;
        struct snapshot_member *members;
        struct buf *entries; /* of each; empty: not read */
        uint32_t n;
};

static void set_all(struct group *g, enum snapshot_fate fate)
{
        for (uint32_t i = 0; i < g->n; i++)
                g->members[i].fate = fate;
}

static void choose(struct group *g, uint32_t i)
{
        g->run.job = g->members[i].job;
        g->run.table = projection_table(g->run.job->projection);
}

/* ---- reading */

static int hold(struct group *g)
{
        const struct snapshot_sink *sink = g->run.reader->sink;
        uint64_t *ids = mem_array(g->n, sizeof(*ids));
        for (uint32_t i = 0; i < g->n; i++)
                ids[i] = g->members[i].job->shape_id;
        int err = run_sink_said(&g->run, sink->hold(sink->arg, ids, g->n));
        mem_free(ids);
        return err;
}

static int read_member(struct group *g, uint32_t i)
{
        choose(g, i);
        int err = run_read_whole(&g->run, &g->entries[i]);
        if (!err)
                return 0;
        set_all(g, SNAPSHOT_LATER);
        g->members[i].fate = SNAPSHOT_ALONE;
        return err;
}

/* Those that fit what the table is now, as far as time and memory go. */
static int read_members(struct group *g, const struct table *now)
{
        uint64_t stop_ms = clock_mono_ms() + STOP_READING_MS;
        size_t bytes = 0;
        for (uint32_t i = 0; i < g->n; i++) {
                if (!run_still_fits(g->members[i].job->projection, now))
                        continue;
                if (bytes > 0 && (bytes >= STOP_READING_BYTES || clock_mono_ms() >= stop_ms)) {
                        g->members[i].fate = SNAPSHOT_LATER;
                        continue;
                }
                int err = read_member(g, i);
                if (err)
                        return err;
                bytes += g->entries[i].len;
        }
        return bytes > 0 ? 0 : ERR_NOTFOUND;
}

static int read_all(struct group *g)
{
        struct run *run = &g->run;
        struct table *now = NULL;
        int err = run_ensure_table(run);
        run->deadline_ms = clock_mono_ms() + DEADLINE_MS;
        if (!err)
                err = run_open_transaction(run);
        if (!err)
                err = hold(g);
        if (!err)
                err = run_take_snapshot(run);
        if (!err)
                err = run_look_at_table(run, &now);
        if (!err)
                err = read_members(g, now);
        table_free(now);
        if (!err && (err = run_commit(run)) != 0)
                set_all(g, SNAPSHOT_ALONE);
        run_close_transaction(run);
        return err;
}

/* ---- handing over */

static void hand_over(struct group *g)
{
        const struct snapshot_sink *sink = g->run.reader->sink;
        struct snapshot_whole *whole = mem_array(g->n, sizeof(*whole));
        uint32_t n = 0;
        for (uint32_t i = 0; i < g->n; i++)
                if (g->entries[i].len > 0)
                        whole[n++] = (struct snapshot_whole){
                                .shape_id = g->members[i].job->shape_id, .entries = &g->entries[i]};
        sink->whole(sink->arg, &g->run.snapshot, whole, n);
        for (uint32_t i = 0, at = 0; at < n; i++) {
                if (g->members[i].job->shape_id != whole[at].shape_id)
                        continue;
                g->members[i].fate = whole[at++].err == ERR_AGAIN ? SNAPSHOT_LATER : SNAPSHOT_ENDED;
        }
        mem_free(whole);
}

int snapshot_read_group(struct snapshot_reader *r, struct snapshot_member *members, uint32_t n)
{
        SLUICE_ASSERT(n > 0);
        struct group g = {.run = {.reader = r}, .members = members, .n = n};
        trouble_init(&g.run.trouble);
        buf_init(&g.run.why, WHY_MAX_BYTES);
        g.entries = mem_array(n, sizeof(*g.entries));
        for (uint32_t i = 0; i < n; i++)
                buf_init(&g.entries[i], ENTRIES_MAX_BYTES);
        set_all(&g, SNAPSHOT_ALONE);
        choose(&g, 0);
        int err = read_all(&g);
        if (!err)
                hand_over(&g);
        if (g.run.gone) {
                set_all(&g, SNAPSHOT_ENDED);
                err = 0;
        }
        for (uint32_t i = 0; i < n; i++)
                buf_fini(&g.entries[i]);
        mem_free(g.entries);
        pg_snapshot_fini(&g.run.snapshot);
        buf_fini(&g.run.why);
        trouble_fini(&g.run.trouble);
        return err == ERR_CANCELLED ? err : 0;
}
