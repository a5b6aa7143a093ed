#include "tests/bench/probe.h"

#include <stdio.h>

#include "common/base/assert.h"
#include "tests/bench/bench.h"

enum { AGAIN_MS = 2, RUNNING = 200, NOT_NOW = 503 };

static void on_head(void *arg, const struct http_head *head)
{
        struct probe *p = arg;
        p->status = head->status;
}

static void on_body(void *arg, const char *bytes, size_t len)
{
        struct probe *p = arg;
        if (p->status == RUNNING && rows_feed(&p->rows, bytes, len))
                fail("malformed shape response near: %.*s", len < 200 ? (int)len : 200, bytes);
        if (p->status != RUNNING && p->status != NOT_NOW)
                fail("the server answered %d: %.*s", p->status, len < 300 ? (int)len : 300, bytes);
}

static void on_row(void *arg, const struct row *row)
{
        struct probe *p = arg;
        if (row->kind == ROW_MUST_REFETCH)
                fail("the server rotated the shape (must-refetch)");
        if (row->kind == ROW_INSERT && row->id == p->wanted_id)
                p->has_row = true;
}

static void ask(void *arg)
{
        struct probe *p = arg;
        rows_reset(&p->rows);
        p->has_row = false;
        http_get(&p->conn, p->path, "");
}

static void ask_again(struct probe *p)
{
        net_timer_set(&p->again, (uint64_t)AGAIN_MS * 1000000);
}

static void on_end(void *arg)
{
        struct probe *p = arg;
        if (p->status != RUNNING && p->status != NOT_NOW)
                fail("the server answered %d", p->status);
        if (p->status == RUNNING && !p->answered_ns)
                p->answered_ns = now_ns();
        if (p->has_row) {
                p->found_ns = now_ns();
                p->done = true;
        } else {
                ask_again(p);
        }
}

static void on_fail(void *arg, const char *why)
{
        (void)why;
        ask_again(arg);
}

void probe_open(struct probe *p, struct bench *b, const char *definition, const char *handle,
                const char *offset)
{
        static const struct http_events events = {on_head, on_body, on_end, on_fail};
        const char *secret = b->opt->secret;
        *p = (struct probe){.b = b};
        int n = snprintf(p->path, sizeof p->path, "/v1/shape?%s&offset=%s&handle=%s%s%s",
                         definition, offset, handle, secret ? "&secret=" : "",
                         secret ? secret : "");
        SLUICE_ASSERT(n > 0 && n < (int)sizeof p->path);
        http_init(&p->conn, b->net, &b->target, &events, p);
        rows_init(&p->rows, on_row, p);
        net_timer_init(&p->again, b->net, ask, p);
}

void probe_begin(struct probe *p, uint64_t wanted_id)
{
        p->wanted_id = wanted_id;
        p->done = false;
        p->answered_ns = p->found_ns = 0;
        ask(p);
}

void probe_close(struct probe *p)
{
        http_fini(&p->conn);
        rows_fini(&p->rows);
        net_timer_fini(&p->again);
}
