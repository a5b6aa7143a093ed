#include "services/edge/head.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "common/base/assert.h"

#define EXPOSED                                                                                    \
        "electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,"       \
        "electric-up-to-date,electric-internal-known-error,retry-after"

static void add_cors(struct http_head *h, const struct head_base *base)
{
        http_head_add(h, HTTP_ACCESS_CONTROL_ALLOW_ORIGIN,
                      base->origin.len ? base->origin : SLICE_LIT("*"));
        http_head_add(h, HTTP_ACCESS_CONTROL_EXPOSE_HEADERS, SLICE_LIT(EXPOSED));
        http_head_add(h, HTTP_ACCESS_CONTROL_ALLOW_METHODS,
                      base->shape_route ? SLICE_LIT("GET, POST, HEAD, DELETE, OPTIONS")
                                        : SLICE_LIT("GET, HEAD"));
}

void head_begin(struct http_head *h, int status, const struct head_base *base)
{
        http_head_init(h, status);
        http_head_add(h, HTTP_ELECTRIC_SERVER, SLICE_LIT(HEAD_SERVER));
        http_head_add(h, HTTP_X_REQUEST_ID, base->request_id);
        if (status != 204)
                http_head_add(h, HTTP_VARY, SLICE_LIT("accept-encoding"));
        if (base->cors)
                add_cors(h, base);
}

struct slice head_cache_control(enum head_cache what, uint64_t max_age_s, uint64_t stale_age_s,
                                char *room)
{
        switch (what) {
        case HEAD_CACHE_INITIAL:
                return SLICE_LIT("public, max-age=604800, s-maxage=3600, "
                                 "stale-while-revalidate=2629746");
        case HEAD_CACHE_LIVE:
                return SLICE_LIT("public, max-age=5, stale-while-revalidate=5");
        case HEAD_CACHE_STREAM:
                return SLICE_LIT("public, max-age=59");
        case HEAD_CACHE_REFETCH:
                return SLICE_LIT("public, max-age=60, must-revalidate");
        case HEAD_CACHE_LOST:
                return SLICE_LIT("public, max-age=1, must-revalidate");
        case HEAD_CACHE_CATCH_UP:
                break;
        }
        int n = snprintf(room, HEAD_CACHE_BYTES,
                         "public, max-age=%" PRIu64 ", stale-while-revalidate=%" PRIu64, max_age_s,
                         stale_age_s);
        SLUICE_ASSERT(n > 0 && n < HEAD_CACHE_BYTES);
        return slice_of(room, (size_t)n);
}

struct slice head_request_id(struct slice incoming, const uint64_t fresh[2], char *room)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        if (incoming.len >= 20 && incoming.len <= 200)
                return incoming;
        for (int i = 0; i < HEAD_REQUEST_ID_BYTES; i++)
                room[i] = digits[fresh[i / 12] >> (i % 12 * 5) & 31];
        return slice_of(room, HEAD_REQUEST_ID_BYTES);
}

bool head_allows_header(struct slice requested)
{
        static const char *const allowed[] = {"if-none-match", "traceparent"};
        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
                if (requested.len == strlen(allowed[i]) &&
                    strncasecmp(requested.p, allowed[i], requested.len) == 0)
                        return true;
        return false;
}
