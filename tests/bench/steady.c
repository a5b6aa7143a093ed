#include "tests/bench/steady.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"

enum { RATE = 20, SYNC_SECONDS = 60 };

static void on_row(struct shape_client *c, const struct row *row)
{
        struct steady *s = c->arg;
        if (row->id != s->next_id)
                fail("a client of another shape got row %llu when row %llu was due",
                     (unsigned long long)row->id, (unsigned long long)s->next_id);
        s->next_id++;
        hist_add(s->seen, now_ns() - row->stamp_ns);
        s->done = s->feed.done && s->next_id == s->feed.next_id;
}

static void on_synced(struct shape_client *c)
{
        struct steady *s = c->arg;
        s->synced = true;
}

void steady_open(struct steady *s, struct bench *b, const char *name)
{
        static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};
        *s = (struct steady){.b = b, .seen = hist_new(), .next_id = 1};
        snprintf(s->table, sizeof s->table, "%s.%s", b->name, name);
        db_create_items(b, name, 0);
        s->definition = shape_definition(b->name, name, NULL);
        shape_init(&s->client, b, s->definition, SHAPE_POLL, &events, s);
        shape_start(&s->client);
        bench_wait(b, &s->synced, SYNC_SECONDS, "the client of another shape is up to date");
}

void steady_close(struct steady *s)
{
        shape_fini(&s->client);
        mem_free(s->definition);
        mem_free(s->seen);
}

void steady_begin(struct steady *s)
{
        hist_reset(s->seen);
        s->done = false;
        feed_init(&s->feed, s->b, s->table, s->next_id, UINT64_MAX, RATE);
        feed_start(&s->feed);
}

void steady_end(struct steady *s, uint64_t seconds)
{
        feed_stop(&s->feed);
        bench_wait(s->b, &s->feed.done, seconds, "the other shape's rows are committed");
        s->done = s->next_id == s->feed.next_id;
        bench_wait(s->b, &s->done, seconds, "the other shape's rows are seen");
        feed_fini(&s->feed);
}
