#include "tests/bench/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/shape.h"

enum { FETCH_SECONDS = 300 };

struct fetch {
        struct http_conn conn;
        const struct page *pages;
        int count, at;
        enum fetch_from from;
        enum fetch_check check;
        uint64_t bytes;
        XXH3_state_t *hash;
        bool done;
};

static void next(struct fetch *f)
{
        const struct page *p = &f->pages[f->at];
        f->bytes = 0;
        XXH3_64bits_reset(f->hash);
        http_get(&f->conn, f->from == FETCH_SERVER ? p->path : p->reference_path, "");
}

static void on_head(void *arg, const struct http_head *head)
{
        const struct fetch *f = arg;
        if (head->status != 200)
                fail("%s answered %d", f->conn.target->host, head->status);
}

static void on_body(void *arg, const char *bytes, size_t len)
{
        struct fetch *f = arg;
        f->bytes += len;
        if (f->check == FETCH_HASHES)
                XXH3_64bits_update(f->hash, bytes, len);
}

static void on_end(void *arg)
{
        struct fetch *f = arg;
        const struct page *p = &f->pages[f->at];
        if (p->frozen || f->from == FETCH_REFERENCE) {
                if (f->bytes != p->bytes)
                        fail("%s has %llu bytes, had %llu before", p->path,
                             (unsigned long long)f->bytes, (unsigned long long)p->bytes);
                if (f->check == FETCH_HASHES && XXH3_64bits_digest(f->hash) != p->hash)
                        fail("%s changed its bytes", p->path);
        }
        if (++f->at < f->count)
                next(f);
        else
                f->done = true;
}

static void on_fail(void *arg, const char *why)
{
        const struct fetch *f = arg;
        fail("%s: %s", f->conn.target->host, why);
}

static const struct http_events fetch_events = {on_head, on_body, on_end, on_fail};

uint64_t fetch_pages(struct bench *b, const struct http_target *target, enum fetch_from from,
                     const struct page *pages, int count, enum fetch_check check)
{
        struct fetch f = {.pages = pages,
                          .count = count,
                          .from = from,
                          .check = check,
                          .hash = XXH3_createState()};
        SLUICE_ASSERT(count > 0 && f.hash != NULL);
        http_init(&f.conn, b->net, target, &fetch_events, &f);
        http_connect(&f.conn);
        net_poll(b->net, now_ns() + 1000000000ULL); /* the connection is writable */
        uint64_t began = now_ns();
        next(&f);
        bench_wait(b, &f.done, FETCH_SECONDS, "all pages fetched");
        uint64_t took = now_ns() - began;
        http_fini(&f.conn);
        XXH3_freeState(f.hash);
        return took;
}

struct capture {
        struct shape_client client;
        const char *dir;
        FILE *file;
        XXH3_state_t *hash;
        struct page *pages;
        int count;
        bool done;
};

static void finish_page(struct capture *c)
{
        if (!c->file)
                return;
        if (fclose(c->file))
                fail("cannot write into %s: %s", c->dir, strerror(errno));
        c->file = NULL;
        c->pages[c->count - 1].hash = XXH3_64bits_digest(c->hash);
}

static void on_request(struct shape_client *client, const char *path)
{
        struct capture *c = client->arg;
        char name[400];
        finish_page(c);
        c->pages = mem_resize(c->pages, (size_t)c->count + 1, sizeof *c->pages);
        snprintf(name, sizeof name, "%s/%d", c->dir, c->count);
        c->file = fopen(name, "w");
        if (!c->file)
                fail("cannot write %s: %s", name, strerror(errno));
        struct page *p = &c->pages[c->count++];
        *p = (struct page){.path = slice_dup_cstr(slice_cstr(path)), .frozen = true};
        snprintf(name, sizeof name, "/%d", c->count - 1);
        p->reference_path = slice_dup_cstr(slice_cstr(name));
        XXH3_64bits_reset(c->hash);
}

static void on_page_body(struct shape_client *client, const char *bytes, size_t len)
{
        struct capture *c = client->arg;
        c->pages[c->count - 1].bytes += len;
        XXH3_64bits_update(c->hash, bytes, len);
        if (fwrite(bytes, 1, len, c->file) != len)
                fail("cannot write into %s: %s", c->dir, strerror(errno));
}

static void ignore_row(struct shape_client *client, const struct row *row)
{
        (void)client;
        (void)row;
}

static void on_synced(struct shape_client *client)
{
        struct capture *c = client->arg;
        finish_page(c);
        c->pages[c->count - 1].frozen = false; /* the open end of the log */
        c->done = true;
}

int fetch_capture(struct bench *b, const char *definition, const char *dir, struct page **pages)
{
        static const struct shape_events events = {ignore_row, on_synced, on_request, on_page_body};
        struct capture c = {.dir = dir, .hash = XXH3_createState()};
        SLUICE_ASSERT(c.hash != NULL);
        shape_init(&c.client, b, definition, SHAPE_SYNC, &events, &c);
        shape_start(&c.client);
        bench_wait(b, &c.done, FETCH_SECONDS, "the shape synced");
        shape_fini(&c.client);
        XXH3_freeState(c.hash);
        *pages = c.pages;
        return c.count;
}

void fetch_free(struct page *pages, int count)
{
        for (int i = 0; i < count; i++) {
                mem_free(pages[i].path);
                mem_free(pages[i].reference_path);
        }
        mem_free(pages);
}
