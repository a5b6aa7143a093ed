/* Heads of responses: which headers a route, a status and a kind of answer have (protocol §1.3,
 * §2.4, §2.8, §4). Tables and text only; sending is the caller's. */
#ifndef SERVICES_EDGE_HEAD_H
#define SERVICES_EDGE_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "services/edge/http.h"

/* Clients and proxies match this pattern to know which protocol is spoken, so the value names the
 * protocol's version, not ours. */
#define HEAD_SERVER "ElectricSQL/1.7.12"

#define HEAD_JSON   SLICE_LIT("application/json; charset=utf-8")
#define HEAD_STREAM SLICE_LIT("text/event-stream")
/* What the reference's framework sends when nobody sets anything. */
#define HEAD_UNCACHED SLICE_LIT("max-age=0, private, must-revalidate")
#define HEAD_NO_STORE SLICE_LIT("no-store")
#define HEAD_NO_CACHE SLICE_LIT("no-cache")
#define HEAD_HEALTH   SLICE_LIT("no-cache, no-store, must-revalidate")

enum { HEAD_REQUEST_ID_BYTES = 24 };

/* Of the request, for every answer to it. */
struct head_base {
        struct slice request_id;
        bool cors, shape_route;
        struct slice origin; /* empty: `*` */
};

/* Starts a head with what every response carries. */
void head_begin(struct http_head *h, int status, const struct head_base *base);

enum head_cache {
        HEAD_CACHE_INITIAL, /* offset -1 */
        HEAD_CACHE_LIVE,
        HEAD_CACHE_STREAM,
        HEAD_CACHE_CATCH_UP, /* and now */
        HEAD_CACHE_REFETCH,  /* 409 with a handle */
        HEAD_CACHE_LOST      /* 409 without */
};
/* Prints into `room`, which must be HEAD_CACHE_BYTES long. */
enum { HEAD_CACHE_BYTES = 96 };
struct slice head_cache_control(enum head_cache what, uint64_t max_age_s, uint64_t stale_age_s,
                                char *room);
/* An incoming id of 20 to 200 characters is kept; else `fresh` is printed into `room`
 * (HEAD_REQUEST_ID_BYTES). */
struct slice head_request_id(struct slice incoming, const uint64_t fresh[2], char *room);
/* The one header a browser may ask for (§1.3): true when the whole value is one of the list. */
bool head_allows_header(struct slice requested);

#endif
