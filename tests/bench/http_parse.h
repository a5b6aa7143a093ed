/* An incremental parser of HTTP/1.1 responses (RFC 9112): heads, bodies by length, chunked bodies.
 * It never reads beyond the response it is parsing and never copies a body. */
#ifndef TESTS_BENCH_HTTP_PARSE_H
#define TESTS_BENCH_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum { HTTP_HEAD_BYTES = 64 * 1024 };

struct http_head {
        int status;
        bool keep_alive;
        struct slice fields; /* the header lines, borrowed during on_head */
};

/* The value of a field, compared without case; false when absent. Borrowed like the head. */
bool http_field(const struct http_head *head, const char *name, struct slice *value);

struct http_events {
        void (*on_head)(void *arg, const struct http_head *head);
        void (*on_body)(void *arg, const char *bytes, size_t len);
        /* The response is complete; a new request may be sent, or the connection closed, from here.
         */
        void (*on_end)(void *arg);
        /* The connection is closed; `why` is one line. Not called after http_close(). */
        void (*on_fail)(void *arg, const char *why);
};

struct http_parser {
        int state;
        bool keep_alive;
        uint64_t left;   /* bytes of the body or of the chunk still to come */
        struct buf line; /* a head or a chunk size that came in pieces */
};

void http_parser_init(struct http_parser *p);
void http_parser_fini(struct http_parser *p);
/* True before the first byte of a response. */
bool http_parser_idle(const struct http_parser *p);
/* Consumes at most up to the end of the response: then *ended is set, the parser is ready for the
 * next one, and on_end has NOT been called (the caller does, when its own books are in order).
 * Returns the bytes consumed, ERR_FORMAT or ERR_LIMIT. */
ssize_t http_parse(struct http_parser *p, const char *bytes, size_t len,
                   const struct http_events *ev, void *arg, bool *ended);
/* The peer closed: true when that ends the response properly (a body without length). */
bool http_parse_eof(struct http_parser *p);

#endif
