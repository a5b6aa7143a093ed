/* libFuzzer: what a client sends. The input is a raw request head, an empty line, and a body; every
 * pure decoder between the socket and the definition gets its part. */
#include <stddef.h>
#include <stdint.h>

#include "services/edge/etag.h"
#include "services/edge/fuzz_params.h"
#include "services/edge/path.h"
#include "services/edge/reqhead.h"
#include "services/edge/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice until(struct slice *rest, char end)
{
        const char *at = rest->len ? memchr(rest->p, end, rest->len) : NULL;
        size_t len = at ? (size_t)(at - rest->p) : rest->len;
        struct slice part = slice_of(rest->p, len);
        *rest = slice_of(rest->p + len + (at != NULL), rest->len - len - (at != NULL));
        return part;
}

static void fuzz_small(struct slice s)
{
        struct buf frames;
        struct reqhead head = reqhead_check(s);
        SLUICE_ASSERT(head.status == 0 || head.status == 400 || head.status == 414 ||
                      head.status == 431);
        etag_line_matches(s, SLICE_LIT("\"h:-1:0_0\""));
        buf_init(&frames, s.len * 10 + 100);
        sse_put_frames(&frames, s);
        buf_fini(&frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice rest = slice_of((const char *)data, size);
        struct arena arena;
        struct path path;
        fuzz_small(rest);
        struct slice method = until(&rest, ' ');
        struct slice target = until(&rest, ' ');
        arena_init(&arena);
        path_resolve(&arena, target, &path);
        fuzz_params(&arena, method.len == 6 ? PARAMS_DELETE : PARAMS_GET, path.query, rest);
        arena_fini(&arena);
        return 0;
}
