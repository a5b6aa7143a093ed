#include "common/base/mem.h"

#include <stdint.h>
#include <stdlib.h>

#include "common/base/assert.h"

void *mem_zalloc(size_t bytes)
{
        void *ptr = calloc(1, bytes ? bytes : 1);
        SLUICE_ASSERT(ptr != NULL);
        return ptr;
}

void *mem_array(size_t count, size_t object_bytes)
{
        return mem_resize(NULL, count, object_bytes);
}

void *mem_resize(void *ptr, size_t count, size_t object_bytes)
{
        SLUICE_ASSERT(object_bytes > 0 && count <= SIZE_MAX / object_bytes);
        size_t bytes = count * object_bytes;
        void *grown = realloc(ptr, bytes ? bytes : 1);
        SLUICE_ASSERT(grown != NULL);
        return grown;
}

void mem_free(void *ptr)
{
        free(ptr);
}
