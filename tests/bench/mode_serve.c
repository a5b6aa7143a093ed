/* Requests per second on one closed chunk that everybody wants, by wrk, against nginx serving the
 * same bytes from a file; plain, and compressed when the server compresses. The two take turns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/db.h"
#include "tests/bench/fetch.h"
#include "tests/bench/nginx.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"
#include "tests/bench/spawn.h"
#include "tests/bench/stats.h"

enum { DEFAULT_SECONDS = 10, TURNS = 3, CONNECTIONS = 16, PROBE_SECONDS = 30 };

/* Rows that give chunks of about 1 KB, 100 KB and 10 MB. */
static const uint64_t sizes[] = {3, 360, 36000};

static const struct target speed_target = {AT_LEAST, "x", 1, 1.5};

static const struct column columns[] = {
        {"body_kb", "body KB", 1},
        {"server_requests_per_s", "server/s", 0},
        {"nginx_requests_per_s", "nginx/s", 0},
        {"speed", "server/nginx", 2},
        {"server_mb_per_s", "MB/s", 0},
};

struct probe {
        bool gzip, done;
        uint64_t bytes;
};

static void on_head(void *arg, const struct http_head *head)
{
        struct probe *p = arg;
        struct slice v;
        if (head->status != 200)
                fail("serve: the server answered %d", head->status);
        p->gzip = http_field(head, "content-encoding", &v) && slice_eq(v, SLICE_LIT("gzip"));
}

static void on_body(void *arg, const char *bytes, size_t len)
{
        struct probe *p = arg;
        (void)bytes;
        p->bytes += len;
}

static void on_end(void *arg)
{
        struct probe *p = arg;
        p->done = true;
}

static void on_fail(void *arg, const char *why)
{
        (void)arg;
        fail("serve: %s", why);
}

/* One request that takes gzip: what comes back. */
static struct probe ask_for_gzip(struct bench *b, const struct http_target *target,
                                 const char *path)
{
        static const struct http_events events = {on_head, on_body, on_end, on_fail};
        struct probe p = {0};
        struct http_conn conn;
        http_init(&conn, b->net, target, &events, &p);
        http_get(&conn, path, "Accept-Encoding: gzip\r\n");
        bench_wait(b, &p.done, PROBE_SECONDS, "a compressed chunk");
        http_fini(&conn);
        return p;
}

/* Requests per second as wrk tells. */
static double wrk(const char *url, bool gzip, uint64_t ms)
{
        char connections[16], duration[32];
        struct buf out;
        snprintf(connections, sizeof connections, "-c%d", CONNECTIONS);
        snprintf(duration, sizeof duration, "-d%llus", (unsigned long long)(ms + 999) / 1000);
        buf_init(&out, 64 * 1024);
        spawn_run((const char *[]){"wrk", "-t1", connections, duration, "--timeout", "30s", "-H",
                                   gzip ? "Accept-Encoding: gzip" : "X-Plain: 1", url, NULL},
                  &out);
        const char *rate = strstr(buf_cstr(&out), "Requests/sec:");
        if (!rate || strstr(out.p, "Non-2xx") || strstr(out.p, "Socket errors"))
                fail("serve: wrk on %s: %s", url, out.p);
        double per_second = strtod(rate + strlen("Requests/sec:"), NULL);
        buf_fini(&out);
        return per_second;
}

static void compare(struct bench *b, const char *label, const struct page *page,
                    const struct nginx *nginx, bool gzip, uint64_t bytes)
{
        char server_url[4096], nginx_url[256];
        struct samples server = {0}, reference = {0};
        uint64_t ms = (b->opt->seconds ? b->opt->seconds : DEFAULT_SECONDS) * 1000 / TURNS;
        snprintf(server_url, sizeof server_url, "http://%s%s%s", b->target.host, b->target.base,
                 page->path);
        snprintf(nginx_url, sizeof nginx_url, "%s%s", nginx->url, page->reference_path);
        for (int i = 0; i < TURNS; i++) {
                samples_add(&reference, wrk(nginx_url, gzip, ms));
                samples_add(&server, wrk(server_url, gzip, ms));
        }
        double ours = samples_median(&server), theirs = samples_median(&reference);
        report_row(b->report, label,
                   (double[]){(double)bytes / 1e3, ours, theirs, ours / theirs,
                              ours * (double)bytes / 1e6});
        report_claim(b->report, &speed_target, ours / theirs, "serve, %s: speed to nginx's", label);
        samples_fini(&server);
        samples_fini(&reference);
}

static void one_size(struct bench *b, uint64_t rows)
{
        char table[64], dir[128], file[160], label[64];
        struct page *pages;
        struct nginx nginx;
        snprintf(table, sizeof table, "items_%llu", (unsigned long long)rows);
        db_create_items(b, table, rows);
        snprintf(dir, sizeof dir, "%s/%s", bench_temp_dir(b), table);
        mkdir(dir, 0755);
        char *definition = shape_definition(b->name, table, NULL);
        int count = fetch_capture(b, definition, dir, &pages);
        snprintf(file, sizeof file, "%s/0", dir);
        spawn_run((const char *[]){"gzip", "-k", "-6", file, NULL}, NULL);
        nginx_start(&nginx, b, dir);
        fetch_pages(b, &b->target, FETCH_SERVER, pages, 1, FETCH_HASHES);
        snprintf(label, sizeof label, "%.0f KB, plain", (double)pages[0].bytes / 1e3);
        compare(b, label, &pages[0], &nginx, false, pages[0].bytes);
        struct probe p = ask_for_gzip(b, &b->target, pages[0].path);
        snprintf(label, sizeof label, "%.0f KB, gzip", (double)pages[0].bytes / 1e3);
        if (p.gzip)
                compare(b, label, &pages[0], &nginx, true, p.bytes);
        else
                report_note(b->report, "%s: the server does not compress it", label);
        nginx_stop(&nginx);
        fetch_free(pages, count);
        mem_free(definition);
}

void mode_serve(struct bench *b)
{
        report_table(b->report,
                     "wrk, 16 connections, one closed chunk, against nginx with the same file",
                     columns, sizeof columns / sizeof *columns);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                one_size(b, sizes[i]);
}
