/* A look at the raw head of an HTTP/1 request, for what h2o 2.2.5 lets pass: it takes a request
 * with both a Content-Length and a Transfer-Encoding, or with several Content-Lengths, and removes
 * these headers before the handler sees them (request smuggling behind a proxy); it has no limit on
 * one line. Pure function. */
#ifndef SERVICES_EDGE_REQHEAD_H
#define SERVICES_EDGE_REQHEAD_H

#include <stdbool.h>

#include "common/base/slice.h"

/* Protocol §1.7. */
enum { REQHEAD_MAX_LINE = 10000, REQHEAD_MAX_HEADERS = 50 };

struct reqhead {
        int status;    /* 0, or with which status to refuse: 400, 414, 431 */
        bool has_body; /* or claims one: the connection must not be used again */
};

/* `raw` begins with the request line; what follows the first empty line is not looked at. */
struct reqhead reqhead_check(struct slice raw);

#endif
