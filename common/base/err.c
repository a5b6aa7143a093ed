#include "common/base/err.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"

const char *err_text(int code)
{
        switch (code) {
        case ERR_OK:
                return "ok";
#define X(name, text)                                                                              \
        case ERR_##name:                                                                           \
                return text;
                ERR_MAP(X)
#undef X
        default:
                return "unknown error";
        }
}

void assert_failed(const char *file, int line, const char *what)
{
        fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
        abort();
}
