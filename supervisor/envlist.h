/* The environment of a child: the supervisor's own, with some names set and some removed. */
#ifndef SUPERVISOR_ENVLIST_H
#define SUPERVISOR_ENVLIST_H

#include <stddef.h>

struct envlist {
        char **vars; /* "NAME=value", NULL at the end, as execve() wants it; owned */
        size_t n;
};

/* Copies `inherited` (NULL at the end). */
void envlist_init(struct envlist *e, char *const *inherited);
void envlist_fini(struct envlist *e);
/* Sets NAME to the formatted value, replacing what was there. */
void envlist_set(struct envlist *e, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* Borrowed until the next change, or NULL. */
const char *envlist_get(const struct envlist *e, const char *name);

#endif
