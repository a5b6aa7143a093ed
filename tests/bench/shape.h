/* A client of one shape: from `offset=-1` through the chunks to up-to-date, then, when asked, live:
 * long polls or an event stream. It speaks the public protocol and nothing else, so that it runs
 * against any server of this kind. Anything unexpected fails the run. */
#ifndef TESTS_BENCH_SHAPE_H
#define TESTS_BENCH_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/http.h"
#include "tests/bench/rows.h"

struct bench;

enum shape_follow { SHAPE_SYNC /* stop when up to date */, SHAPE_POLL, SHAPE_SSE };

struct shape_client;

struct shape_events {
        /* Every message with a row. */
        void (*on_row)(struct shape_client *c, const struct row *row);
        /* Up to date for the first time; in SHAPE_SYNC nothing more comes. May be NULL. */
        void (*on_synced)(struct shape_client *c);
        /* A response has begun to be asked for, and has ended, with its body's bytes; NULL when of
         * no interest. */
        void (*on_request)(struct shape_client *c, const char *path);
        void (*on_body)(struct shape_client *c, const char *bytes, size_t len);
};

struct shape_client {
        struct http_conn conn;
        struct bench *bench;
        const struct shape_events *events;
        const char *definition; /* query: "table=…&where=…", URL-encoded; borrowed */
        void *arg;
        uint64_t tag; /* the owner's */
        enum shape_follow follow;
        struct rows rows;
        char handle[80], offset[48], cursor[24];
        bool synced;          /* has been up to date once */
        bool response_synced; /* this response says so */
        bool streaming;       /* this response is an event stream */
        int status, retries;
        uint64_t retry_after_s;
        uint64_t requests, body_bytes;
        struct net_timer retry;
        bool has_retry_timer;
};

void shape_init(struct shape_client *c, struct bench *b, const char *definition,
                enum shape_follow follow, const struct shape_events *ev, void *arg);
/* Sends the first request; returns at once. */
void shape_start(struct shape_client *c);
/* From the beginning with another definition, on the same connection; allowed in on_synced. */
void shape_restart(struct shape_client *c, const char *definition);
/* After SHAPE_SYNC: goes on live from where it is. */
void shape_go_live(struct shape_client *c, enum shape_follow follow);
void shape_fini(struct shape_client *c);

/* "table=<schema>.<table>" and, if not NULL, "&where=<where>" encoded. Heap, the caller frees. */
char *shape_definition(const char *schema, const char *table, const char *where);

#endif
