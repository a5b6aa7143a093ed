/* A raw HTTP/1.1 client connection: keep-alive, one request in flight, no library between the
 * benchmark and the socket. */
#ifndef TESTS_BENCH_HTTP_H
#define TESTS_BENCH_HTTP_H

#include <netinet/in.h>

#include "tests/bench/http_parse.h"
#include "tests/bench/net.h"

/* Where a server listens, resolved once. */
struct http_target {
        struct sockaddr_storage addr;
        socklen_t addr_len;
        char host[256]; /* for the Host field */
        char base[256]; /* path of the URL without trailing slash */
};

/* `http://host[:port][/path]`. ERR_INVAL when it is no such URL, ERR_NOTFOUND when the host does
 * not resolve. */
int http_target_parse(const char *url, struct http_target *out);

struct http_conn {
        struct net *net;
        const struct http_target *target;
        const struct http_events *events;
        void *arg;
        struct net_source source;
        struct http_parser parser;
        struct buf
                out; /* the request, kept until its response begins: it may have to be sent again */
        size_t sent;
        bool busy;  /* a request awaits the end of its response */
        bool fresh; /* no response has been completed on this connection */
        uint64_t bytes_received;
};

void http_init(struct http_conn *c, struct net *n, const struct http_target *t,
               const struct http_events *ev, void *arg);
/* Closes without telling. The struct may be used again after http_init(). */
void http_fini(struct http_conn *c);
/* Sends a GET, connecting when needed. An idle connection that the server closed meanwhile is
 * opened again, once per request. `path` is appended to the target's base. `fields`: further lines
 * with CRLF, or "". */
void http_get(struct http_conn *c, const char *path, const char *fields);
/* Connects without sending anything. */
void http_connect(struct http_conn *c);

#endif
