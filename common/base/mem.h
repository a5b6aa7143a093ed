/* Heap allocation that cannot fail: memory is bounded by configuration (I7), so running out is a
 * mistake in the configuration, and the process stops rather than limp. */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory. Owned by the caller, freed with mem_free(). */
void *mem_zalloc(size_t bytes);
/* Uninitialised memory for `count` objects; the product is checked. */
void *mem_array(size_t count, size_t object_bytes);
/* Like realloc() for an array of `count` objects; the product is checked. */
void *mem_resize(void *ptr, size_t count, size_t object_bytes);
void mem_free(void *ptr);

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

#endif
