#include "supervisor/envlist.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/slice.h"

enum { VARIABLE_MAX = 128 * 1024 }; /* the kernel's own limit of one string (MAX_ARG_STRLEN) */

static void append(struct envlist *e, char *var)
{
        e->vars = mem_resize(e->vars, e->n + 2, sizeof(*e->vars));
        e->vars[e->n++] = var;
        e->vars[e->n] = NULL;
}

void envlist_init(struct envlist *e, char *const *inherited)
{
        SLUICE_ASSERT(e != NULL && inherited != NULL);
        *e = (struct envlist){0};
        for (; *inherited != NULL; inherited++)
                append(e, slice_dup_cstr(slice_cstr(*inherited)));
}

void envlist_fini(struct envlist *e)
{
        for (size_t i = 0; i < e->n; i++)
                mem_free(e->vars[i]);
        mem_free(e->vars);
        *e = (struct envlist){0};
}

/* Index of NAME, or e->n. */
static size_t find(const struct envlist *e, const char *name)
{
        size_t len = strlen(name), i = 0;
        while (i < e->n && (strncmp(e->vars[i], name, len) != 0 || e->vars[i][len] != '='))
                i++;
        return i;
}

void envlist_set(struct envlist *e, const char *name, const char *fmt, ...)
{
        SLUICE_ASSERT(e != NULL && name != NULL && strchr(name, '=') == NULL);
        struct buf var;
        buf_init(&var, VARIABLE_MAX);
        buf_puts(&var, name);
        buf_putc(&var, '=');
        va_list ap;
        va_start(ap, fmt);
        buf_vprintf(&var, fmt, ap);
        va_end(ap);
        SLUICE_ASSERT(buf_status(&var) == 0);

        char *text = slice_dup_cstr(buf_slice(&var));
        buf_fini(&var);
        size_t at = find(e, name);
        if (at == e->n) {
                append(e, text);
        } else {
                mem_free(e->vars[at]);
                e->vars[at] = text;
        }
}

const char *envlist_get(const struct envlist *e, const char *name)
{
        size_t at = find(e, name);
        return at == e->n ? NULL : e->vars[at] + strlen(name) + 1;
}
