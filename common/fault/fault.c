#include "common/fault/fault.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/obs/log.h"

enum { ACTION_MAX_BYTES = 16 };

bool fault_armed;
static const char *fault_dir = "";

static const char *const names[] = {
#define POINT(id, name, what) name,
#include "common/fault/points.def"
};

void fault_init(const char *dir)
{
        SLUICE_ASSERT(dir != NULL);
        fault_dir = dir;
        fault_armed = dir[0] != '\0';
}

const char *fault_name(enum fault_point p)
{
        SLUICE_ASSERT((unsigned)p < FAULT_POINTS);
        return names[p];
}

/* Reads the file and takes it away; false when there is none, or another thread was faster. */
static bool take_order(const char *path, char action[ACTION_MAX_BYTES])
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        ssize_t n = read(fd, action, ACTION_MAX_BYTES - 1);
        close(fd);
        action[n > 0 ? n : 0] = '\0';
        return unlink(path) == 0;
}

void fault_reached(enum fault_point p)
{
        char path[PATH_MAX], action[ACTION_MAX_BYTES];
        int n = snprintf(path, sizeof(path), "%s/%s", fault_dir, fault_name(p));
        if (n < 0 || (size_t)n >= sizeof(path) || !take_order(path, action))
                return;
        bool stop = strncmp(action, "stop", 4) == 0;
        log_warning("fault", "at %s: %s", fault_name(p), stop ? "stop" : "kill");
        kill(getpid(), stop ? SIGSTOP : SIGKILL);
}
