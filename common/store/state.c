#include "common/store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/err.h"

enum { STATE_MAX_BYTES = 128 };

/* "-" where the kernel does not tell: equal to nothing, so such a boot is never trusted. */
static void read_boot_id(char out[64])
{
        FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
        if (!f || fscanf(f, "%63s", out) != 1)
                snprintf(out, 64, "-");
        if (f)
                fclose(f);
}

static void judge(struct state *s, const char *text)
{
        char word[64], boot[64];
        int end = 0;
        read_boot_id(boot);
        s->kind = STATE_UNTRUSTED;
        if (sscanf(text, "clean %" SCNu64 "%n", &s->clean_bytes, &end) == 1 && text[end] == '\n')
                s->kind = STATE_CLEAN;
        else if (sscanf(text, "open %63s", word) == 1 && strcmp(word, boot) == 0 &&
                 strcmp(boot, "-") != 0)
                s->kind = STATE_TRUSTED;
}

static int sync_directory(const char *directory)
{
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return ERR_IO;
        int err = fsync(fd) == 0 ? 0 : ERR_IO;
        close(fd);
        return err;
}

static int error_code(int error)
{
        return error == EACCES || error == EPERM || error == EROFS ? ERR_DENIED
               : error == ENOSPC || error == EDQUOT                ? ERR_FULL
                                                                   : ERR_IO;
}

static int read_state(struct state *s, bool existed, const char *directory)
{
        char text[STATE_MAX_BYTES + 1];
        if (!existed) {
                s->kind = STATE_ABSENT;
                return sync_directory(directory);
        }
        ssize_t n = pread(s->fd, text, STATE_MAX_BYTES, 0);
        if (n < 0)
                return ERR_IO;
        text[n] = '\0';
        judge(s, text);
        return 0;
}

static bool state_path(const char *directory, char out[4096])
{
        return (size_t)snprintf(out, 4096, "%s/store.state", directory) < 4096;
}

bool state_exists(const char *directory)
{
        char path[4096];
        return state_path(directory, path) && access(path, F_OK) == 0;
}

int state_open(struct state *s, const char *directory, struct buf *why)
{
        char path[4096];
        if (!state_path(directory, path)) {
                buf_puts(why, "the path of the store is too long");
                return ERR_INVAL;
        }
        bool existed = state_exists(directory);
        *s = (struct state){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        if (s->fd < 0) {
                int error = errno;
                buf_printf(why, "cannot open %s: %s", path, strerror(error));
                return error_code(error);
        }
        if (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
                buf_printf(why, "store %s is in use by another process", directory);
                state_close(s);
                return ERR_EXISTS;
        }
        int err = read_state(s, existed, directory);
        if (err) {
                buf_printf(why, "cannot read %s", path);
                state_close(s);
        }
        return err;
}

void state_close(struct state *s)
{
        close(s->fd);
        s->fd = -1;
}

static int mark(struct state *s, const char *text)
{
        size_t len = strlen(text);
        if (pwrite(s->fd, text, len, 0) != (ssize_t)len || ftruncate(s->fd, (off_t)len) != 0 ||
            fsync(s->fd) != 0)
                return error_code(errno);
        return 0;
}

int state_mark_open(struct state *s)
{
        char boot[64], text[STATE_MAX_BYTES];
        read_boot_id(boot);
        snprintf(text, sizeof(text), "open %s\n", boot);
        int err = mark(s, text);
        if (!err)
                s->kind = STATE_TRUSTED;
        return err;
}

int state_mark_untrusted(struct state *s)
{
        return mark(s, "corrupt\n");
}

int state_mark_clean(struct state *s, uint64_t data_bytes)
{
        char text[STATE_MAX_BYTES];
        snprintf(text, sizeof(text), "clean %" PRIu64 "\n", data_bytes);
        return mark(s, text);
}
