#include "supervisor/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "supervisor/backoff.h"
#include "supervisor/pidfile.h"

#define CHILD_MAGIC 0x6368696cu

enum { WHY_MAX = 1024, EXIT_CANNOT_START = 127 };

enum child_state { CHILD_IDLE, CHILD_RUNNING, CHILD_WAITING, CHILD_STOPPING, CHILD_ENDED };

struct child {
        uint32_t magic;
        enum child_state state;
        struct loop *loop;
        struct child_spec spec;
        struct child_events events;
        struct backoff backoff;
        pid_t pid; /* valid with pidfd */
        int pidfd; /* readable when the process has ended; -1 */
        struct loop_fd *watch;
        struct loop_timer *timer; /* WAITING: start again; STOPPING: kill */
};

static void start(struct child *c);

static void on_timer(void *arg)
{
        struct child *c = arg;
        CHECK_OBJ(c, CHILD_MAGIC);
        if (c->state == CHILD_WAITING) {
                start(c);
        } else if (c->state == CHILD_STOPPING) {
                log_warning("child_killed", "%s did not end within %llu ms: killed", c->spec.name,
                            (unsigned long long)c->spec.stop_ms);
                kill(c->pid, c->spec.kill_signal);
        }
}

struct child *child_new(struct loop *l, const struct child_spec *spec, struct child_events events)
{
        SLUICE_ASSERT(l != NULL && spec != NULL && spec->name != NULL && events.on_ended != NULL);
        struct child *c = mem_new(struct child);
        *c = (struct child){.magic = CHILD_MAGIC,
                            .loop = l,
                            .spec = *spec,
                            .events = events,
                            .pid = -1,
                            .pidfd = -1};
        c->timer = loop_timer_new(l, on_timer, c);
        return c;
}

void child_free(struct child *c)
{
        if (c == NULL)
                return;
        CHECK_OBJ(c, CHILD_MAGIC);
        SLUICE_ASSERT(child_is_idle(c));
        loop_timer_free(c->timer);
        envlist_fini(&c->spec.env);
        c->magic = 0;
        mem_free(c);
}

const char *child_name(const struct child *c)
{
        return c->spec.name;
}

pid_t child_pid(const struct child *c)
{
        return c->pidfd >= 0 ? c->pid : -1;
}

bool child_is_idle(const struct child *c)
{
        return c->state == CHILD_IDLE || c->state == CHILD_ENDED;
}

static void end(struct child *c, int status)
{
        c->state = CHILD_ENDED;
        loop_timer_cancel(c->timer);
        c->events.on_ended(c, status, c->events.arg);
}

/* Takes the dead process off the kernel's list: its exit status, or minus the signal that ended it.
 */
static int reap(struct child *c)
{
        int status = 0;
        while (waitpid(c->pid, &status, 0) < 0)
                SLUICE_ASSERT(errno == EINTR);
        loop_unwatch(c->watch);
        close(c->pidfd);
        c->watch = NULL;
        c->pidfd = -1;
        if (c->spec.run_dir != NULL)
                pidfile_remove(c->spec.run_dir, c->spec.name);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void describe(int result, char *out, size_t out_bytes)
{
        if (result == EXIT_CANNOT_START)
                snprintf(out, out_bytes, "could not be executed");
        else if (result < 0)
                snprintf(out, out_bytes, "was ended by signal %d (%s)", -result,
                         strsignal(-result));
        else
                snprintf(out, out_bytes, "exited with status %d", result);
}

/* It ended although nobody asked it to. */
static void start_again_or_give_up(struct child *c, int result)
{
        char what[96];
        describe(result, what, sizeof(what));
        uint64_t after_ms = 0;
        if (!backoff_ended(&c->backoff, clock_mono_ms(), result, &after_ms)) {
                log_error("child_given_up",
                          "%s %s and cannot be started: the reason is in its lines above",
                          c->spec.name, what);
                end(c, result);
                return;
        }
        log_warning("child_died", "%s %s: starting it again in %llu ms", c->spec.name, what,
                    (unsigned long long)after_ms);
        c->state = CHILD_WAITING;
        loop_timer_set(c->timer, after_ms);
}

static void on_process_ended(void *arg, uint32_t events)
{
        (void)events;
        struct child *c = arg;
        CHECK_OBJ(c, CHILD_MAGIC);
        int result = reap(c);
        if (c->state == CHILD_STOPPING)
                end(c, 0);
        else
                start_again_or_give_up(c, result);
}

static void start(struct child *c)
{
        struct buf why;
        buf_init(&why, WHY_MAX);
        struct spawn s = {.argv = c->spec.argv,
                          .envp = c->spec.env.vars,
                          .user = c->spec.user,
                          .stdin_fd = -1,
                          .output_fd = c->spec.output_fd,
                          .death_signal = c->spec.death_signal};
        backoff_started(&c->backoff, clock_mono_ms());
        if (spawn_start(&s, &c->pid, &why) != 0) {
                log_error("child_not_started", "%s", buf_cstr(&why));
                start_again_or_give_up(c, EXIT_CANNOT_START);
        } else {
                c->pidfd = pidfd_open(c->pid, 0);
                SLUICE_ASSERT(c->pidfd >= 0);
                c->watch = loop_watch(c->loop, c->pidfd, LOOP_READ, on_process_ended, c);
                c->state = CHILD_RUNNING;
                if (c->spec.run_dir != NULL)
                        pidfile_write(c->spec.run_dir, c->spec.name, c->pid);
                log_info("child_started", "%s started, pid %d", c->spec.name, (int)c->pid);
        }
        buf_fini(&why);
}

void child_start(struct child *c)
{
        CHECK_OBJ(c, CHILD_MAGIC);
        SLUICE_ASSERT(c->state == CHILD_IDLE);
        start(c);
}

void child_stop(struct child *c)
{
        CHECK_OBJ(c, CHILD_MAGIC);
        switch (c->state) {
        case CHILD_RUNNING:
                c->state = CHILD_STOPPING;
                kill(c->pid, c->spec.stop_signal);
                loop_timer_set(c->timer, c->spec.stop_ms);
                break;
        case CHILD_IDLE:
        case CHILD_WAITING:
                end(c, 0);
                break;
        case CHILD_STOPPING:
        case CHILD_ENDED:
                break;
        }
}

void child_kill(struct child *c)
{
        CHECK_OBJ(c, CHILD_MAGIC);
        if (c->pidfd >= 0) {
                kill(c->pid, c->spec.kill_signal);
                (void)reap(c);
        }
        loop_timer_cancel(c->timer);
        c->state = CHILD_ENDED;
}
