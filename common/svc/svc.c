/* The life of a service process:
 *
 *     configuration → log, signals, limits → pid file → admin port → start() → loop
 *         → SIGTERM: drain() … svc_drained() or the drain timeout → stop()
 *
 * SIGTERM and SIGINT are blocked before the first thread exists and read from a signalfd, so they
 * are events of the loop like any other and no library's thread is interrupted by them. */
#include "common/svc/svc.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/bus/bus.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "common/svc/admin.h"

enum {
        EXIT_FAILED = 1,
        EXIT_CONF = 2,
        TEXT_MAX_BYTES = 256 * 1024,
        WHY_MAX_BYTES = 4096,
        REASON_MAX_BYTES = 512,
        STOP_MAX_S = 10,
        SAME_REQUEST_MS = 500, /* `timeout`, make and process groups signal twice for one wish */
};

/* One per process, like the signals and the pid file it stands for. */
static struct {
        const struct svc *svc;
        struct svc_conf *conf;
        struct loop *loop;
        struct loop_fd *signals;
        struct loop_timer *drain_timer;
        bool draining; /* main thread */
        uint64_t draining_since_ms;

        pthread_mutex_t lock; /* guards what follows */
        enum svc_state state;
        char reason[REASON_MAX_BYTES];
        bool frozen; /* draining: the state does not change any more */
        int exit_status;
} self = {.lock = PTHREAD_MUTEX_INITIALIZER, .state = SVC_STARTING, .reason = "starting"};

/* ---- state */

static void set_state(enum svc_state state, const char *reason, bool freeze)
{
        pthread_mutex_lock(&self.lock);
        if (!self.frozen) {
                self.state = state;
                self.frozen = freeze;
                snprintf(self.reason, sizeof(self.reason), "%s", reason ? reason : "");
        }
        pthread_mutex_unlock(&self.lock);
}

void svc_set_state(enum svc_state state, const char *reason)
{
        set_state(state, reason, false);
}

enum svc_state svc_get_state(struct buf *reason)
{
        pthread_mutex_lock(&self.lock);
        enum svc_state state = self.state;
        if (reason)
                buf_puts(reason, self.reason);
        pthread_mutex_unlock(&self.lock);
        return state;
}

/* ---- the end */

void svc_drained(void)
{
        SLUICE_ASSERT(self.loop != NULL);
        loop_stop(self.loop);
}

void svc_fail(int exit_status, const char *event, const char *fmt, ...)
{
        char message[WHY_MAX_BYTES];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);
        log_error(event, "%s", message);

        SLUICE_ASSERT(exit_status != 0 && self.loop != NULL);
        pthread_mutex_lock(&self.lock);
        if (self.exit_status == 0) /* the first failure is the cause of the others */
                self.exit_status = exit_status;
        pthread_mutex_unlock(&self.lock);
        loop_stop(self.loop);
}

static void on_drain_timeout(void *unused)
{
        (void)unused;
        log_warning("drain_timeout", "work in progress did not end within %llu ms; stopping",
                    (unsigned long long)self.conf->drain_ms);
        loop_stop(self.loop);
}

static void begin_drain(const char *signal_name)
{
        self.draining = true;
        self.draining_since_ms = clock_mono_ms();
        set_state(SVC_WAITING, "draining", true);
        log_info("draining", "%s received, finishing work in progress", signal_name);
        loop_timer_set(self.drain_timer, self.conf->drain_ms);
        if (self.svc->drain)
                self.svc->drain();
        else
                svc_drained();
}

static void on_signal(void *arg, uint32_t events)
{
        (void)events;
        struct signalfd_siginfo info;
        if (read(*(int *)arg, &info, sizeof(info)) != sizeof(info))
                return;
        const char *name = info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
        if (!self.draining) {
                begin_drain(name);
                return;
        }
        if (clock_mono_ms() - self.draining_since_ms < SAME_REQUEST_MS)
                return;
        log_warning("stopping", "%s received again, stopping at once", name);
        loop_stop(self.loop);
}

/* ---- the beginning */

static sigset_t end_signals(void)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        return set;
}

static void raise_file_limit(void)
{
        struct rlimit files;
        if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
                return;
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* the soft limit will do where this is forbidden */
}

/* Written beside and renamed: a reader sees a whole number or no file. */
static int write_pid_file(const char *path, struct buf *why)
{
        struct buf beside;
        buf_init(&beside, 4096);
        buf_printf(&beside, "%s.%d", path, (int)getpid());
        int err = ERR_IO;
        FILE *f = buf_status(&beside) == 0 ? fopen(buf_cstr(&beside), "we") : NULL;
        if (f) {
                bool written = fprintf(f, "%d\n", (int)getpid()) > 0;
                if (fclose(f) == 0 && written && rename(buf_cstr(&beside), path) == 0)
                        err = 0;
        }
        if (err) {
                buf_printf(why, "cannot write pid file %s: %s", path, strerror(errno));
                if (f)
                        unlink(buf_cstr(&beside));
        }
        buf_fini(&beside);
        return err;
}

/* A successor may have written its own already. */
static void remove_pid_file(const char *path)
{
        int pid = 0;
        FILE *f = fopen(path, "re");
        if (!f)
                return;
        bool ours = fscanf(f, "%d", &pid) == 1 && pid == (int)getpid();
        fclose(f);
        if (ours)
                unlink(path);
}

static int print_doc(const struct svc *svc)
{
        struct buf out;
        buf_init(&out, TEXT_MAX_BYTES);
        buf_printf(&out, "## %s\n\n### Configuration\n\n", svc->name);
        conf_doc(svc->knobs, svc->n_knobs, &out);
        buf_puts(&out, "\n### Metrics\n\n");
        metric_doc(svc->metrics, svc->n_metrics, &out);
        if (svc->doc) {
                buf_putc(&out, '\n');
                svc->doc(&out);
        }
        fwrite(out.p, 1, out.len, stdout);
        int status = buf_status(&out) == 0 && fflush(stdout) == 0 ? 0 : EXIT_FAILED;
        buf_fini(&out);
        return status;
}

/* conf_load()'s lines, each as an event of its own. */
static void log_lines(struct buf *lines)
{
        char *save = NULL, *text = (char *)(uintptr_t)buf_cstr(lines);
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                log_error("config_error", "%s", line);
}

/* Returns true when the process is to go on, else *status is its exit status. */
static bool configure(const struct svc *svc, int argc, char **argv, int *status)
{
        struct buf text;
        buf_init(&text, TEXT_MAX_BYTES);
        log_init(svc->name, LOG_INFO);
        int err = conf_load(svc->knobs, svc->n_knobs, argc, argv, environ, svc->conf, &text);
        if (err == ERR_CANCELLED) {
                fwrite(text.p, 1, text.len, stdout);
                *status = fflush(stdout) == 0 ? 0 : EXIT_FAILED;
        } else if (err) {
                log_lines(&text);
                *status = EXIT_CONF;
        }
        buf_fini(&text);
        if (err)
                return false;
        int level = log_level_parse(self.conf->log_level);
        if (level < 0) {
                log_error("config_error", "SLUICE_LOG_LEVEL must be error, warning, info or debug");
                *status = EXIT_CONF;
                return false;
        }
        log_init(svc->name, (enum log_level)level);
        fault_init(self.conf->fault_dir);
        return true;
}

/* 0, or an error with at most one line in *why. */
static int start(struct buf *why)
{
        int err = 0;
        if (self.conf->pid_file[0])
                err = write_pid_file(self.conf->pid_file, why);
        if (!err && self.conf->admin_port)
                err = admin_open(self.conf->admin_host, (uint16_t)self.conf->admin_port,
                                 self.svc->metrics, self.svc->n_metrics, why);
        if (!err)
                err = bus_tls_use(self.conf->bus_ca_file, self.conf->bus_cert_file,
                                  self.conf->bus_key_file, why);
        if (!err)
                err = self.svc->start(self.loop, self.svc->conf, why);
        return err;
}

/* NNG's close has been seen to wait for ever for a connection that was being made (1.5.2).
 * Everything durable is on disk by now. */
static void give_up_stopping(int signal_number)
{
        static const char line[] = "level=warning event=stop_cut msg=\"stopping hangs in a "
                                   "library: ended without it\"\n";
        (void)signal_number;
        ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
        (void)ignored;
        _exit(self.exit_status);
}

/* Returns the exit status. */
static int live(void)
{
        struct buf why;
        buf_init(&why, WHY_MAX_BYTES);
        int err = start(&why);
        if (err && why.len)
                log_error("start_failed", "%s", buf_cstr(&why));
        buf_fini(&why);
        if (err)
                return err == ERR_CONF ? EXIT_CONF : EXIT_FAILED;
        log_info("started", "pid %d", (int)getpid());
        loop_run(self.loop);
        signal(SIGALRM, give_up_stopping);
        alarm(STOP_MAX_S);
        if (self.svc->stop)
                self.svc->stop();
        pthread_mutex_lock(&self.lock);
        int status = self.exit_status;
        pthread_mutex_unlock(&self.lock);
        return status;
}

/* Messages of up to a megabyte come and go all the time. With glibc's defaults each is mapped,
 * faulted in page by page and unmapped again, which cost a third of a snapshot's CPU time; and an
 * arena for each of NNG's threads would multiply the memory. */
static void tune_malloc(void)
{
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, 8 << 20);
        mallopt(M_ARENA_MAX, 2);
}

int svc_main(const struct svc *svc, int argc, char **argv)
{
        SLUICE_ASSERT(svc && svc->name && svc->conf && svc->start && !self.svc);
        int status = 0;
        self.svc = svc;
        self.conf = svc->conf;
        if (argc > 1 && strcmp(argv[1], "--doc") == 0)
                return print_doc(svc);
        if (!configure(svc, argc, argv, &status))
                return status;

        tune_malloc();
        sigset_t set = end_signals();
        signal(SIGPIPE, SIG_IGN);
        SLUICE_ASSERT(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
        raise_file_limit();
        int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        SLUICE_ASSERT(signal_fd >= 0);
        self.loop = loop_new();
        self.signals = loop_watch(self.loop, signal_fd, LOOP_READ, on_signal, &signal_fd);
        self.drain_timer = loop_timer_new(self.loop, on_drain_timeout, NULL);

        status = live();

        /* The signals stay blocked: one that is repeated now must not spoil an orderly end. */
        admin_close();
        loop_timer_free(self.drain_timer);
        loop_unwatch(self.signals);
        loop_free(self.loop);
        close(signal_fd);
        if (self.conf->pid_file[0])
                remove_pid_file(self.conf->pid_file);
        log_info("stopped", "exit status %d", status);
        return status;
}
