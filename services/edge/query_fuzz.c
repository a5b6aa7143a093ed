/* libFuzzer: the query string of a request, to its parameters. */
#include <stddef.h>
#include <stdint.h>

#include "services/edge/fuzz_params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice query = slice_of((const char *)data, size);
        struct arena arena;
        arena_init(&arena);
        fuzz_params(&arena, PARAMS_GET, query, SLICE_EMPTY);
        fuzz_params(&arena, PARAMS_DELETE, query, SLICE_EMPTY);
        arena_fini(&arena);
        return 0;
}
