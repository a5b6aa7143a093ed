/* For fuzzers: from values to the parameters of a request. What is accepted must be what the
 * decoders promise: UTF-8, names that fit, parameters without NUL, a definition that can be encoded
 * and read again. */
#ifndef SERVICES_EDGE_FUZZ_PARAMS_H
#define SERVICES_EDGE_FUZZ_PARAMS_H

#include "common/base/assert.h"
#include "common/wire/definition.h"
#include "services/edge/cursor.h"
#include "services/edge/ident.h"
#include "services/edge/json.h"
#include "services/edge/params.h"
#include "services/edge/text.h"

static inline void fuzz_check_definition(const struct definition *d)
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

/* What a client sent as query string and as body. */
static inline void fuzz_params(struct arena *a, enum params_for what, struct slice query,
                               struct slice body)
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
                        fuzz_check_definition(&p.def);
                cursor_next(1, 20000, p.cursor, body.len);
        } else {
                SLUICE_ASSERT(text_is_utf8(buf_slice(&error)));
        }
        buf_fini(&why);
        buf_fini(&error);
}

#endif
