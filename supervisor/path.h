/* Paths that are put together from parts whose length is known to be bounded. */
#ifndef SUPERVISOR_PATH_H
#define SUPERVISOR_PATH_H

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/assert.h"

/* Asserts that it fits. */
__attribute__((format(printf, 2, 3))) static inline void path_printf(char out[PATH_MAX],
                                                                     const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(out, PATH_MAX, fmt, ap);
        va_end(ap);
        SLUICE_ASSERT(n > 0 && n < PATH_MAX);
}

#endif
