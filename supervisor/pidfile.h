/* Pid files, `<dir>/<name>.pid`: one decimal number and a newline. They are for scripts; nothing
 * here trusts one. */
#ifndef SUPERVISOR_PIDFILE_H
#define SUPERVISOR_PIDFILE_H

#include <sys/types.h>

/* Appears whole or not at all. A failure is logged: a stack without pid files still runs. */
void pidfile_write(const char *dir, const char *name, pid_t pid);
void pidfile_remove(const char *dir, const char *name);

#endif
