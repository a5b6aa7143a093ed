#include "tests/bench/crowd.h"

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"

enum { ON_THEIR_WAY = 256, OPEN_SECONDS = 300 };

static void on_row(struct shape_client *client, const struct row *row)
{
        struct crowd *c = client->arg;
        if (row->id != client->tag)
                fail("a client got row %llu when row %llu was due", (unsigned long long)row->id,
                     (unsigned long long)client->tag);
        client->tag++;
        if (row->id != c->target_id)
                return;
        c->last_ns = now_ns();
        if (c->seen)
                hist_add(c->seen, c->last_ns - row->stamp_ns);
        c->all_reached = ++c->reached == c->count;
}

static void start_more(struct crowd *c)
{
        while (c->started < c->count && c->started - c->synced < ON_THEIR_WAY)
                shape_start(&c->clients[c->started++]);
}

static void on_synced(struct shape_client *client)
{
        struct crowd *c = client->arg;
        c->all_synced = ++c->synced == c->count;
        start_more(c);
}

static const struct shape_events events = {.on_row = on_row, .on_synced = on_synced};

static void begin(struct crowd *c, struct bench *b, size_t count)
{
        SLUICE_ASSERT(count > 0);
        *c = (struct crowd){
                .b = b, .count = count, .clients = mem_array(count, sizeof *c->clients)};
}

static void add(struct crowd *c, size_t i, const char *definition, enum shape_follow follow)
{
        shape_init(&c->clients[i], c->b, definition, follow, &events, c);
        c->clients[i].tag = 1;
}

static void open_all(struct crowd *c)
{
        start_more(c);
        bench_wait(c->b, &c->all_synced, OPEN_SECONDS, "all clients are up to date");
        crowd_settle(c);
}

void crowd_open(struct crowd *c, struct bench *b, const char *definition, size_t count,
                enum shape_follow follow)
{
        begin(c, b, count);
        for (size_t i = 0; i < count; i++)
                add(c, i, definition, follow);
        open_all(c);
}

void crowd_open_each(struct crowd *c, struct bench *b, char *const *definitions, size_t count,
                     enum shape_follow follow)
{
        begin(c, b, count);
        for (size_t i = 0; i < count; i++)
                add(c, i, definitions[i], follow);
        open_all(c);
}

void crowd_keep(struct crowd *c, size_t count)
{
        SLUICE_ASSERT(count > 0 && count <= c->count);
        while (c->count > count)
                shape_fini(&c->clients[--c->count]);
}

void crowd_close(struct crowd *c)
{
        for (size_t i = 0; i < c->count; i++)
                shape_fini(&c->clients[i]);
        mem_free(c->clients);
        c->clients = NULL;
}

void crowd_expect(struct crowd *c, uint64_t id)
{
        c->target_id = id;
        c->reached = 0;
        c->all_reached = false;
}

void crowd_wait(struct crowd *c, uint64_t seconds)
{
        bench_wait(c->b, &c->all_reached, seconds, "every client has the row");
}

void crowd_settle(struct crowd *c)
{
        uint64_t until = now_ns() + 50000000 + c->count * 50000;
        while (now_ns() < until)
                net_poll(c->b->net, until);
}

uint64_t crowd_bytes(const struct crowd *c)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < c->count; i++)
                sum += c->clients[i].conn.bytes_received;
        return sum;
}
