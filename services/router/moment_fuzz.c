/* libFuzzer: a text that is cast to a date, time, timestamp or interval; the first byte chooses.
 * The printed form of what is read is read as the same value. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "services/router/where_moment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(enum where_type t, const struct where_value *v)
{
        struct buf text, again;
        struct where_value same;
        buf_init(&text, 1024);
        buf_init(&again, 1024);
        where_value_print(t, v, &text);
        SLUICE_ASSERT(where_value_read(t, buf_slice(&text), NULL, &same) == 0);
        SLUICE_ASSERT(where_type_cmp(t)(v, &same) == 0);
        where_value_print(t, &same, &again);
        SLUICE_ASSERT(slice_eq(buf_slice(&text), buf_slice(&again)));
        buf_fini(&text);
        buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const enum where_type types[] = {WT_DATE, WT_TIME, WT_TIMESTAMP, WT_TIMESTAMPTZ,
                                                WT_INTERVAL};
        struct where_value v;
        if (size == 0)
                return 0;
        enum where_type t = types[data[0] % (sizeof(types) / sizeof(types[0]))];
        struct slice text = slice_dup(slice_of((const char *)data + 1, size - 1));
        if (where_cast_read(t, text, &v) == 0)
                check(t, &v);
        mem_free((void *)(uintptr_t)text.p);
        return 0;
}
