/* libFuzzer: the body of a POST, to the parameters of a request that names its shape in the query
 * string, and of one that leaves everything to the body. */
#include <stddef.h>
#include <stdint.h>

#include "services/edge/fuzz_params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice body = slice_of((const char *)data, size);
        struct arena arena;
        arena_init(&arena);
        fuzz_params(&arena, PARAMS_GET, SLICE_LIT("table=t&offset=-1&where=id%3D%241&params[1]=1"),
                    body);
        fuzz_params(&arena, PARAMS_GET, SLICE_EMPTY, body);
        arena_fini(&arena);
        return 0;
}
