#include "tests/bench/shape.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"

enum { PATH_BYTES = 4096, RETRIES_MAX = 120 };

static bool copy_field(const struct http_head *head, const char *name, char *out, size_t size)
{
        struct slice v;
        if (!http_field(head, name, &v))
                return false;
        if (v.len >= size)
                fail("%s is longer than expected: %.*s", name, SLICE_FMT(v));
        memcpy(out, v.p, v.len);
        out[v.len] = 0;
        return true;
}

static void request(struct shape_client *c)
{
        char path[PATH_BYTES];
        const char *secret = c->bench->opt->secret;
        bool live = c->synced && c->follow != SHAPE_SYNC;
        int n = snprintf(path, sizeof path, "/v1/shape?%s&offset=%s%s%s%s%s%s%s%s%s", c->definition,
                         c->offset, c->handle[0] ? "&handle=" : "", c->handle,
                         live ? "&live=true" : "",
                         live && c->follow == SHAPE_SSE ? "&live_sse=true" : "",
                         live && c->cursor[0] ? "&cursor=" : "", live ? c->cursor : "",
                         secret ? "&secret=" : "", secret ? secret : "");
        SLUICE_ASSERT(n > 0 && n < (int)sizeof path);
        rows_reset(&c->rows);
        c->requests++;
        c->status = 0;
        c->streaming = false;
        c->response_synced = false;
        if (c->events->on_request)
                c->events->on_request(c, path);
        http_get(&c->conn, path, "");
}

static void on_head(void *arg, const struct http_head *head)
{
        struct shape_client *c = arg;
        struct slice v;
        c->status = head->status;
        c->retry_after_s = 1;
        if (http_field(head, "retry-after", &v))
                slice_parse_u64(v, &c->retry_after_s);
        if (head->status != 200)
                return;
        if (!copy_field(head, "electric-handle", c->handle, sizeof c->handle) ||
            !copy_field(head, "electric-offset", c->offset, sizeof c->offset))
                fail("a shape response without electric-handle or electric-offset");
        copy_field(head, "electric-cursor", c->cursor, sizeof c->cursor);
        c->response_synced = http_field(head, "electric-up-to-date", &v);
        c->streaming = http_field(head, "content-type", &v) &&
                       slice_starts(v, SLICE_LIT("text/event-stream"));
}

static void on_body(void *arg, const char *bytes, size_t len)
{
        struct shape_client *c = arg;
        c->body_bytes += len;
        if (c->events->on_body)
                c->events->on_body(c, bytes, len);
        if (c->status == 503)
                return;
        if (c->status != 200)
                fail("the server answered %d: %.*s", c->status, len < 300 ? (int)len : 300, bytes);
        int err = c->streaming ? rows_feed_sse(&c->rows, bytes, len)
                               : rows_feed(&c->rows, bytes, len);
        if (err)
                fail("malformed shape response near: %.*s", len < 200 ? (int)len : 200, bytes);
}

static void on_row(void *arg, const struct row *row)
{
        struct shape_client *c = arg;
        if (row->kind == ROW_MUST_REFETCH)
                fail("the server rotated the shape (must-refetch)");
        if (row->kind == ROW_UP_TO_DATE && c->streaming && row->lsn.len > 0 &&
            row->lsn.len < sizeof c->offset - 4)
                snprintf(c->offset, sizeof c->offset, "%.*s_0", SLICE_FMT(row->lsn));
        if (row->kind <= ROW_DELETE)
                c->events->on_row(c, row);
}

static void on_retry_time(void *arg)
{
        request(arg);
}

/* 503 is admission control or start-up; everything else is a fault. */
static void on_refusal(struct shape_client *c)
{
        if (c->status != 503)
                fail("the server answered %d", c->status);
        if (c->retries++ == RETRIES_MAX)
                fail("the server answered 503 %d times", RETRIES_MAX);
        if (!c->has_retry_timer)
                net_timer_init(&c->retry, c->bench->net, on_retry_time, c);
        c->has_retry_timer = true;
        net_timer_set(&c->retry, c->retry_after_s * 1000000000ULL);
}

static void on_end(void *arg)
{
        struct shape_client *c = arg;
        if (c->status != 200) {
                on_refusal(c);
                return;
        }
        if (c->streaming ? c->rows.carry.len > 0 : rows_end(&c->rows) != 0)
                fail("a shape response ended in the middle");
        if (c->response_synced && !c->synced) {
                c->synced = true;
                if (c->events->on_synced)
                        c->events->on_synced(c);
        }
        if ((!c->synced || c->follow != SHAPE_SYNC) && !c->conn.busy)
                request(c);
}

static void on_fail(void *arg, const char *why)
{
        const struct shape_client *c = arg;
        fail("%s: %s", c->bench->opt->url, why);
}

static const struct http_events http_events = {on_head, on_body, on_end, on_fail};

void shape_init(struct shape_client *c, struct bench *b, const char *definition,
                enum shape_follow follow, const struct shape_events *ev, void *arg)
{
        *c = (struct shape_client){.bench = b,
                                   .events = ev,
                                   .definition = definition,
                                   .arg = arg,
                                   .follow = follow,
                                   .offset = "-1"};
        http_init(&c->conn, b->net, &b->target, &http_events, c);
        rows_init(&c->rows, on_row, c);
}

void shape_start(struct shape_client *c)
{
        request(c);
}

void shape_restart(struct shape_client *c, const char *definition)
{
        c->definition = definition;
        c->synced = false;
        c->handle[0] = c->cursor[0] = 0;
        snprintf(c->offset, sizeof c->offset, "-1");
        request(c);
}

void shape_go_live(struct shape_client *c, enum shape_follow follow)
{
        SLUICE_ASSERT(c->synced && c->follow == SHAPE_SYNC);
        c->follow = follow;
        request(c);
}

void shape_fini(struct shape_client *c)
{
        http_fini(&c->conn);
        rows_fini(&c->rows);
        if (c->has_retry_timer)
                net_timer_fini(&c->retry);
}

char *shape_definition(const char *schema, const char *table, const char *where)
{
        static const char hex[] = "0123456789ABCDEF";
        struct buf out;
        buf_init(&out, PATH_BYTES);
        buf_printf(&out, "table=%s.%s", schema, table);
        if (where)
                buf_puts(&out, "&where=");
        for (const char *p = where; p && *p; p++) {
                unsigned char ch = (unsigned char)*p;
                if (isalnum(ch) || strchr("-._~", ch)) {
                        buf_putc(&out, *p);
                } else {
                        buf_putc(&out, '%');
                        buf_putc(&out, hex[ch >> 4]);
                        buf_putc(&out, hex[ch & 15]);
                }
        }
        SLUICE_ASSERT(buf_status(&out) == 0);
        char *text = slice_dup_cstr(buf_slice(&out));
        buf_fini(&out);
        return text;
}
