/* libFuzzer: what a client sends. The input is a raw request head, an empty line, and a body; every
 * pure decoder between the socket and the definition gets its part. What is accepted must be what
 * the decoders promise: UTF-8, names that fit, parameters without NUL, a definition that can be
 * encoded and read again. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "common/wire/definition.h"
#include "services/edge/cursor.h"
#include "services/edge/etag.h"
#include "services/edge/ident.h"
#include "services/edge/json.h"
#include "services/edge/params.h"
#include "services/edge/path.h"
#include "services/edge/reqhead.h"
#include "services/edge/sse.h"
#include "services/edge/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice until(struct slice *rest, char end)
{
        const char *at = rest->len ? memchr(rest->p, end, rest->len) : NULL;
        size_t len = at ? (size_t)(at - rest->p) : rest->len;
        struct slice part = slice_of(rest->p, len);
        *rest = slice_of(rest->p + len + (at != NULL), rest->len - len - (at != NULL));
        return part;
}

static void check_definition(const struct definition *d)
{
        struct definition again;
        struct buf encoded;
        SLUICE_ASSERT(d->table.len > 0 && d->table.len <= IDENT_MAX_BYTES);
        SLUICE_ASSERT(d->schema.len > 0 && d->schema.len <= IDENT_MAX_BYTES);
        SLUICE_ASSERT(text_is_utf8(d->where) && !text_has_nul(d->where));
        for (uint32_t i = 0; i < d->n_params; i++)
                SLUICE_ASSERT(!text_has_nul(d->params[i]));
        buf_init(&encoded, DEFINITION_MAX_BYTES);
        definition_encode(&encoded, d);
        if (buf_status(&encoded) == 0) {
                SLUICE_ASSERT(definition_decode(buf_slice(&encoded), &again) == 0);
                SLUICE_ASSERT(again.n_columns == d->n_columns && again.n_params == d->n_params);
                definition_fini(&again);
        }
        buf_fini(&encoded);
}

static void parse(struct arena *a, enum params_for what, struct slice query, struct slice body)
{
        struct value *q, *b = NULL;
        struct params p;
        struct buf why, error;
        if (query_parse(a, query, &q) != 0)
                return;
        buf_init(&why, 1 << 20);
        buf_init(&error, 1 << 24);
        if (json_parse(a, body, &b, &why) != 0)
                SLUICE_ASSERT(why.len > 0 && !b);
        params_merge(a, q, b && b->type == VALUE_MAP ? b : NULL);
        if (params_parse(a, what, q, &p, &error) == 0) {
                SLUICE_ASSERT(error.len == 0);
                if (p.has_table)
                        check_definition(&p.def);
                cursor_next(1, 20000, p.cursor, body.len);
        } else {
                SLUICE_ASSERT(text_is_utf8(buf_slice(&error)));
        }
        buf_fini(&why);
        buf_fini(&error);
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
        parse(&arena, method.len == 6 ? PARAMS_DELETE : PARAMS_GET, path.query, rest);
        arena_fini(&arena);
        return 0;
}
