#include "supervisor/pidfile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/obs/log.h"
#include "supervisor/path.h"

void pidfile_write(const char *dir, const char *name, pid_t pid)
{
        SLUICE_ASSERT(dir != NULL && name != NULL && pid > 0);
        char path[PATH_MAX], tmp[PATH_MAX];
        path_printf(path, "%s/%s.pid", dir, name);
        path_printf(tmp, "%s/.%s.pid", dir, name);
        FILE *f = fopen(tmp, "we");
        if (f == NULL || fprintf(f, "%d\n", (int)pid) < 0 || fflush(f) != 0 ||
            rename(tmp, path) != 0)
                log_warning("pid_file", "cannot write %s: %s", path, strerror(errno));
        if (f != NULL)
                fclose(f);
}

void pidfile_remove(const char *dir, const char *name)
{
        SLUICE_ASSERT(dir != NULL && name != NULL);
        char path[PATH_MAX];
        path_printf(path, "%s/%s.pid", dir, name);
        unlink(path);
}
