/* Assertions that stay on in release: an invariant that does not hold stops the
 * process at the line that noticed, before it can write or send anything wrong. */
#ifndef COMMON_BASE_ASSERT_H
#define COMMON_BASE_ASSERT_H

#include <stdbool.h>

/* Prints "file:line: what" to stderr and aborts. Never returns. */
_Noreturn void assert_failed(const char *file, int line, const char *what);

#define SLUICE_ASSERT(cond)                                                                        \
        do {                                                                                       \
                if (__builtin_expect(!(cond), 0))                                                  \
                        assert_failed(__FILE__, __LINE__, #cond);                                  \
        } while (0)

/* A heap object knows what it is: its first member is `uint32_t magic`. */
#define CHECK_OBJ(ptr, magic_value)                                                                \
        do {                                                                                       \
                SLUICE_ASSERT((ptr) != NULL);                                                      \
                SLUICE_ASSERT((ptr)->magic == (magic_value));                                      \
        } while (0)

#endif
