/* The data directory: everything the stack keeps on disk is below it, and one supervisor at a time
 * uses it.
 *
 *     <root>/run/            pid files and the sockets of the bus (0700: who reaches a socket can
 * speak on the bus) <root>/router-<i>/     the logs of router i <root>/postgres/       the private
 * Postgres (postgres.h)
 *
 * A socket's path is limited by the kernel to 107 bytes. Where run/ is longer, the sockets live in
 * a directory below /tmp whose name is derived from the root. */
#ifndef SUPERVISOR_DATADIR_H
#define SUPERVISOR_DATADIR_H

#include <limits.h>
#include <stddef.h>

#include "common/base/buf.h"

enum { DATADIR_SOCKETS_MAX = 80, DATADIR_URL_MAX = 128 };

struct datadir {
        char root[PATH_MAX]; /* absolute */
        char run[PATH_MAX];
        char sockets[DATADIR_SOCKETS_MAX + 1];
        int lock_fd; /* held until the process ends */
};

/* Makes what is missing and takes the lock. ERR_EXISTS when another supervisor uses it, ERR_IO or
 * ERR_LIMIT; one line in *why. */
int datadir_open(const char *path, struct datadir *out, struct buf *why);
void datadir_close(struct datadir *d);

/* `ipc://…` of the socket with that name; valid for as long as `out`. */
void datadir_url(const struct datadir *d, const char *name, char out[DATADIR_URL_MAX]);
/* `<root>/<name>`; asserts that it fits. */
void datadir_path(const struct datadir *d, const char *name, char out[PATH_MAX]);

/* The first line of <root>/<name> without its newline; ERR_NOTFOUND, ERR_LIMIT. */
int datadir_read_line(const struct datadir *d, const char *name, char *out, size_t out_bytes);
/* Writes the line to <root>/<name>, mode 0600. ERR_IO with one line in *why. */
int datadir_write_line(const struct datadir *d, const char *name, const char *line,
                       struct buf *why);

#endif
