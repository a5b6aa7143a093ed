/* Many clients of one shape behind a cache that makes one request of many (nginx,
 * proxy_cache_lock): how many requests reach the server for each change. The cache's log counts
 * them. Clients that wait for another's answer look for it every half second, that is nginx's way:
 * so the time to the last client is nginx's, not the server's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/bench/db.h"
#include "tests/bench/nginx.h"
#include "tests/bench/report.h"
#include "tests/bench/stats.h"

enum { ROUNDS = 10, CLAIM_CLIENTS = 1000, ROUND_SECONDS = 60 };

static const struct target target = {AT_MOST, "requests", 1, 1};

static const struct list_of_numbers default_clients = {1, {CLAIM_CLIENTS}};

static const struct column columns[] = {
        {"clients", "clients", 0},
        {"changes", "changes", 0},
        {"client_requests_per_change", "client requests", 0},
        {"server_requests_per_change", "server requests", 2},
        {"last_ms", "last ms", 1},
};

static uint64_t client_requests(const struct crowd *c)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < c->count; i++)
                sum += c->clients[i].requests;
        return sum;
}

/* Requests that went on to the server and are answered: what waits at the beginning belongs to the
 * first change, what waits at the end to none. */
static uint64_t count_lines(const char *path)
{
        uint64_t lines = 0;
        FILE *f = fopen(path, "r");
        if (!f)
                fail("cannot read %s: %s", path, strerror(errno));
        for (int c; (c = getc(f)) != EOF;)
                lines += c == '\n';
        fclose(f);
        return lines;
}

static void on_committed(void *arg, uint64_t took_ns)
{
        (void)arg;
        (void)took_ns;
}

/* Medians go into *last. */
static void run_rounds(struct bench *b, struct crowd *crowd, const char *table, uint64_t rounds,
                       struct samples *last)
{
        struct writer writer;
        writer_open(&writer, b->net, b->opt->database_url, on_committed, NULL);
        writer_prepare_insert(&writer, table);
        for (uint64_t id = 1; id <= rounds; id++) {
                crowd_expect(crowd, id);
                uint64_t stamp = writer_insert(&writer, id, 0, "collapse");
                crowd_wait(crowd, ROUND_SECONDS);
                samples_add(last, (double)(crowd->last_ns - stamp) / 1e6);
                crowd_settle(crowd);
        }
        writer_close(&writer);
}

static void one_case(struct bench *b, int number, size_t clients)
{
        char name[32], table[80], label[64], log[128];
        struct crowd crowd;
        struct nginx nginx;
        struct samples last = {0};
        uint64_t rounds = b->opt->repeat ? b->opt->repeat : ROUNDS;
        snprintf(name, sizeof name, "items_%d", number);
        snprintf(table, sizeof table, "%s.%s", b->name, name);
        snprintf(log, sizeof log, "%s/forwarded_%d", bench_temp_dir(b), number);
        db_create_items(b, name, 0);
        char *definition = shape_definition(b->name, name, NULL);
        nginx_start_cache(&nginx, b, log);
        struct bench behind = *b;
        behind.target = nginx.target;
        note(b, "connecting %zu clients", clients);
        crowd_open(&crowd, &behind, definition, clients, SHAPE_POLL);
        uint64_t asked = client_requests(&crowd), forwarded = count_lines(log);
        run_rounds(b, &crowd, table, rounds, &last);
        asked = client_requests(&crowd) - asked;
        forwarded = count_lines(log) - forwarded;
        crowd_close(&crowd);
        nginx_stop(&nginx);
        double each = (double)forwarded / (double)rounds;
        snprintf(label, sizeof label, "%zu clients", clients);
        report_row(b->report, label,
                   (double[]){(double)clients, (double)rounds, (double)asked / (double)rounds, each,
                              samples_median(&last)});
        if (clients == CLAIM_CLIENTS)
                report_claim(b->report, &target, each,
                             "collapse, %s: requests to the server per change", label);
        samples_fini(&last);
        mem_free(definition);
}

void mode_collapse(struct bench *b)
{
        const struct list_of_numbers *clients =
                b->opt->clients.count ? &b->opt->clients : &default_clients;
        report_table(b->report, "clients behind nginx with proxy_cache_lock: requests per change",
                     columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < clients->count; i++)
                one_case(b, i, (size_t)clients->at[i]);
}
