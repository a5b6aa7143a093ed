/* One request and what every answer to it has in common, whatever the route. */
#ifndef SERVICES_EDGE_EXCHANGE_H
#define SERVICES_EDGE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "services/edge/head.h"
#include "services/edge/http.h"
#include "services/edge/worker.h"

enum method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_OPTIONS, METHOD_DELETE, METHOD_OTHER };

struct exchange {
        struct worker *w;
        struct http_request *r;
        enum method method;
        struct head_base base;
        char id_room[HEAD_REQUEST_ID_BYTES];
};

/* In memory of the request. */
struct exchange *exchange_new(struct worker *w, struct http_request *r);

/* Answers, with the status counted. The exchange may be gone when they return. `parts` as
 * http_answer(). */
void exchange_answer(struct exchange *x, const struct http_head *h, const struct slice *parts,
                     size_t n_parts);
void exchange_start(struct exchange *x, const struct http_head *h, void (*proceed)(void *arg),
                    void *arg);

struct exchange_error {
        int status;
        struct slice body;      /* JSON; copied */
        uint64_t retry_after_s; /* 0: none */
        bool known_error;       /* electric-internal-known-error */
};
/* An error of the shape route, cached as §2.8 says for the method. */
void exchange_error(struct exchange *x, const struct exchange_error *e);
/* {"message": text}. */
void exchange_message(struct exchange *x, int status, struct slice text, uint64_t retry_after_s);
/* 503 with the text of §4.6 that fits the router's state. */
void exchange_not_ready(struct exchange *x, uint32_t shard, uint64_t retry_after_s);
/* An answer with the framework's caching: body and content type may be empty. */
void exchange_plain(struct exchange *x, int status, struct slice content_type, struct slice body);

#endif
