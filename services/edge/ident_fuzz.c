/* libFuzzer: the names of tables and columns. A name that is accepted is one that Postgres can
 * have; quoted again it is the same name. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "services/edge/ident.h"
#include "services/edge/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct arena *a, struct slice name)
{
        struct buf quoted, why;
        struct slice again;
        SLUICE_ASSERT(name.len > 0 && name.len <= IDENT_MAX_BYTES);
        buf_init(&quoted, SIZE_MAX / 2);
        buf_init(&why, 1 << 20);
        buf_putc(&quoted, '"');
        for (size_t i = 0; i < name.len; i++) {
                if (name.p[i] == '"')
                        buf_putc(&quoted, '"');
                buf_putc(&quoted, name.p[i]);
        }
        buf_putc(&quoted, '"');
        SLUICE_ASSERT(ident_parse(a, buf_slice(&quoted), &again, &why) == 0);
        SLUICE_ASSERT(slice_eq(again, name));
        buf_fini(&quoted);
        buf_fini(&why);
}

static void check_refusal(int err, struct buf *why)
{
        SLUICE_ASSERT(err == ERR_FORMAT && why->len > 0);
        buf_reset(why);
}

static void parse(struct arena *a, struct slice text, struct buf *why)
{
        struct slice name, schema, *list;
        uint32_t n;
        int err = ident_parse(a, text, &name, why);
        if (err)
                check_refusal(err, why);
        else
                check_name(a, name);
        err = ident_parse_relation(a, text, &schema, &name, why);
        if (err) {
                check_refusal(err, why);
        } else {
                check_name(a, schema);
                check_name(a, name);
        }
        err = ident_parse_list(a, text, &list, &n, why);
        if (err)
                check_refusal(err, why);
        for (uint32_t i = 0; !err && i < n; i++)
                check_name(a, list[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice text = slice_of((const char *)data, size);
        struct arena arena;
        struct buf why;
        if (!text_is_utf8(text) || text_has_nul(text))
                return 0; /* the parameters' decoder lets neither pass */
        arena_init(&arena);
        buf_init(&why, 1 << 20);
        parse(&arena, text, &why);
        buf_fini(&why);
        arena_fini(&arena);
        return 0;
}
