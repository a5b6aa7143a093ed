#include "supervisor/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "supervisor/path.h"

/* The longest path that every file below the root still fits beneath. */
enum { ROOT_MAX = PATH_MAX - 256 };

static int fail_errno(struct buf *why, const char *what, const char *path)
{
        buf_printf(why, "cannot %s %s: %s", what, path, strerror(errno));
        return ERR_IO;
}

/* mkdir -p. */
static int make_dirs(const char *path, struct buf *why)
{
        char partial[PATH_MAX];
        snprintf(partial, sizeof(partial), "%s", path);
        for (char *p = partial + 1; *p != '\0'; p++) {
                if (*p != '/')
                        continue;
                *p = '\0';
                if (mkdir(partial, 0755) != 0 && errno != EEXIST)
                        return fail_errno(why, "make the directory", partial);
                *p = '/';
        }
        if (mkdir(partial, 0755) != 0 && errno != EEXIST)
                return fail_errno(why, "make the directory", partial);
        return 0;
}

/* A directory of our own that nobody else can enter. */
static int make_private_dir(const char *path, struct buf *why)
{
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
                return fail_errno(why, "make the directory", path);
        struct stat st;
        if (lstat(path, &st) != 0)
                return fail_errno(why, "look at", path);
        if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
                buf_printf(why, "%s is not a directory of this user", path);
                return ERR_IO;
        }
        if (chmod(path, 0700) != 0)
                return fail_errno(why, "protect", path);
        return 0;
}

static int choose_sockets(struct datadir *d, struct buf *why)
{
        if (strlen(d->run) <= DATADIR_SOCKETS_MAX) {
                memcpy(d->sockets, d->run, strlen(d->run) + 1);
                return 0;
        }
        snprintf(d->sockets, sizeof(d->sockets), "/tmp/sluice-%u-%016" PRIx64, (unsigned)geteuid(),
                 (uint64_t)XXH3_64bits(d->root, strlen(d->root)));
        return make_private_dir(d->sockets, why);
}

static int take_lock(struct datadir *d, struct buf *why)
{
        char path[PATH_MAX], owner[32] = "";
        datadir_path(d, "run/supervisor.lock", path);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return fail_errno(why, "open", path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
                if (datadir_read_line(d, "run/supervisor.lock", owner, sizeof(owner)) != 0)
                        snprintf(owner, sizeof(owner), "unknown");
                buf_printf(why,
                           "the data directory %s is in use by another supervisor (pid %s): stop "
                           "it, or set SLUICE_DATA_DIR",
                           d->root, owner);
                close(fd);
                return ERR_EXISTS;
        }
        if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
                close(fd);
                return fail_errno(why, "write", path);
        }
        d->lock_fd = fd;
        return 0;
}

int datadir_open(const char *path, struct datadir *out, struct buf *why)
{
        SLUICE_ASSERT(path != NULL && out != NULL);
        *out = (struct datadir){.lock_fd = -1};
        if (path[0] == '\0' || strlen(path) > ROOT_MAX) {
                buf_puts(why, "SLUICE_DATA_DIR is empty or too long");
                return ERR_LIMIT;
        }
        int rc = make_dirs(path, why);
        if (rc != 0)
                return rc;
        if (realpath(path, out->root) == NULL)
                return fail_errno(why, "resolve", path);
        if (strlen(out->root) > ROOT_MAX) {
                buf_printf(why, "the path of the data directory is too long: %s", out->root);
                return ERR_LIMIT;
        }
        datadir_path(out, "run", out->run);
        if ((rc = make_private_dir(out->run, why)) != 0)
                return rc;
        if ((rc = take_lock(out, why)) != 0)
                return rc;
        if ((rc = choose_sockets(out, why)) != 0)
                datadir_close(out);
        return rc;
}

void datadir_close(struct datadir *d)
{
        if (d->lock_fd < 0)
                return;
        if (strcmp(d->sockets, d->run) != 0)
                rmdir(d->sockets); /* stays when a socket is left in it */
        close(d->lock_fd);
        d->lock_fd = -1;
}

void datadir_url(const struct datadir *d, const char *name, char out[DATADIR_URL_MAX])
{
        int n = snprintf(out, DATADIR_URL_MAX, "ipc://%s/%s.ipc", d->sockets, name);
        SLUICE_ASSERT(n > 0 && n < DATADIR_URL_MAX);
}

void datadir_path(const struct datadir *d, const char *name, char out[PATH_MAX])
{
        path_printf(out, "%s/%s", d->root, name);
}

int datadir_read_line(const struct datadir *d, const char *name, char *out, size_t out_bytes)
{
        char path[PATH_MAX];
        datadir_path(d, name, path);
        FILE *f = fopen(path, "re");
        if (f == NULL)
                return ERR_NOTFOUND;
        char *line = fgets(out, (int)out_bytes, f);
        fclose(f);
        if (line == NULL)
                return ERR_NOTFOUND;
        char *end = strchr(out, '\n');
        if (end == NULL)
                return ERR_LIMIT;
        *end = '\0';
        return 0;
}

int datadir_write_line(const struct datadir *d, const char *name, const char *line, struct buf *why)
{
        char path[PATH_MAX], tmp[PATH_MAX];
        datadir_path(d, name, path);
        path_printf(tmp, "%s.new", path);
        int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return fail_errno(why, "write", tmp);
        bool ok = dprintf(fd, "%s\n", line) >= 0 && fsync(fd) == 0;
        close(fd);
        if (!ok || rename(tmp, path) != 0)
                return fail_errno(why, "write", path);
        return 0;
}
