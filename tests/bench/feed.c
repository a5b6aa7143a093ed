#include "tests/bench/feed.h"

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"

static uint32_t next_random(struct feed *f)
{
        f->random ^= f->random << 13;
        f->random ^= f->random >> 17;
        f->random ^= f->random << 5;
        return f->random;
}

static void arm(struct feed *f)
{
        uint64_t now = now_ns();
        net_timer_set(&f->timer, f->due_ns > now ? f->due_ns - now : 0);
}

static void on_time(void *arg)
{
        struct feed *f = arg;
        uint64_t spread = f->interval_ns * 2 / 5;
        writer_insert(&f->writer, f->next_id, f->groups ? f->next_id % f->groups : 0, f->name);
        f->next_id++;
        f->sent++;
        f->due_ns += f->interval_ns - spread / 2 + (spread ? next_random(f) % spread : 0);
}

static void on_committed(void *arg, uint64_t took_ns)
{
        struct feed *f = arg;
        if (f->sent > f->unmeasured)
                hist_add(f->commit, took_ns);
        if (f->sent == f->count)
                f->done = true;
        else
                arm(f);
}

void feed_init(struct feed *f, struct bench *b, const char *table, uint64_t first_id,
               uint64_t count, uint64_t per_second)
{
        SLUICE_ASSERT(count > 0 && per_second > 0);
        *f = (struct feed){.name = "feed",
                           .next_id = first_id,
                           .count = count,
                           .random = 2463534242U,
                           .commit = hist_new()};
        f->interval_ns = 1000000000ULL / per_second;
        writer_open(&f->writer, b->net, b->opt->database_url, on_committed, f);
        writer_prepare_insert(&f->writer, table);
        net_timer_init(&f->timer, b->net, on_time, f);
}

void feed_start(struct feed *f)
{
        f->due_ns = now_ns();
        arm(f);
}

void feed_stop(struct feed *f)
{
        f->count = f->sent + (f->writer.busy ? 0 : 1);
}

void feed_fini(struct feed *f)
{
        writer_close(&f->writer);
        net_timer_fini(&f->timer);
        mem_free(f->commit);
}
