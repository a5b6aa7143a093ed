/* Each service lives in a child process; its parent watches exit status, pid file, log and admin
 * port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/svc/svc.h"

enum behaviour { ORDERLY, HANGS, CANNOT_START, BAD_CONF, FAILS };

struct sample {
        struct svc_conf svc;
        const char *url;
};

static struct sample conf;
static enum behaviour behaviour; /* of the child about to be forked */
static int ready_fd;             /* the child says here that its loop runs */

static const struct knob knobs[] = {
        SVC_KNOBS(struct sample, "SLUICE_TEST", "0"),
        {"DATABASE_URL", NULL, KNOB_URL, "x", 0, 0, offsetof(struct sample, url), "unused"},
};
static struct metric metrics[] = {
        {"sluice_test_things_total", METRIC_COUNTER, "things", 3},
};

static void say_ready(void *unused)
{
        (void)unused;
        assert_int_equal(write(ready_fd, "r", 1), 1);
}

static void fail_later(void *unused)
{
        (void)unused;
        svc_fail(7, "broken", "on purpose");
        svc_fail(8, "broken", "as a consequence");
}

static int start(struct loop *loop, void *arg, struct buf *why)
{
        struct rlimit files;
        if (arg != &conf || getrlimit(RLIMIT_NOFILE, &files) != 0 ||
            files.rlim_cur != files.rlim_max)
                return ERR_INVAL;
        if (behaviour == CANNOT_START) {
                buf_puts(why, "no luck");
                return ERR_IO;
        }
        if (behaviour == BAD_CONF)
                return ERR_CONF;
        svc_set_state(SVC_WAITING, "waiting for \"godot\"");
        loop_post(loop, behaviour == FAILS ? fail_later : say_ready, NULL);
        return 0;
}

static void drain(void)
{
        svc_set_state(SVC_ACTIVE, "must not be seen any more");
        if (behaviour == ORDERLY)
                svc_drained();
        else
                say_ready(NULL);
}

static void stop(void)
{
        /* a line that the parent looks for */
        fprintf(stderr, "stop was called\n");
}

static void doc(struct buf *out)
{
        buf_puts(out, "### Things\n");
}

/* ---- the parent's side */

struct child {
        pid_t pid;
        int ready, log;
        char log_text[16384];
};

static void run_child(int log_write, const char *const *args)
{
        char *argv[8] = {(char *)(uintptr_t) "sample"};
        int argc = 1;
        for (; args && args[argc - 1]; argc++)
                argv[argc] = (char *)(uintptr_t)args[argc - 1];
        dup2(log_write, STDERR_FILENO);
        dup2(log_write, STDOUT_FILENO);
        close(log_write); /* the log ends with the process */
        const struct svc svc = {.name = "test",
                                .knobs = knobs,
                                .n_knobs = sizeof(knobs) / sizeof(knobs[0]),
                                .conf = &conf,
                                .metrics = metrics,
                                .n_metrics = 1,
                                .doc = doc,
                                .start = start,
                                .drain = drain,
                                .stop = stop};
        _exit(svc_main(&svc, argc, argv));
}

static void spawn(struct child *c, enum behaviour how, const char *const *args)
{
        int ready[2], log[2];
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(log), 0);
        behaviour = how;
        ready_fd = ready[1];
        fflush(NULL);
        *c = (struct child){.pid = fork(), .ready = ready[0], .log = log[0]};
        assert_true(c->pid >= 0);
        if (c->pid == 0)
                run_child(log[1], args);
        close(ready[1]);
        close(log[1]);
}

static void await_ready(struct child *c)
{
        char byte;
        assert_int_equal(read(c->ready, &byte, 1), 1);
}

static int await_exit(struct child *c)
{
        size_t len = 0;
        ssize_t n;
        int status;
        while ((n = read(c->log, c->log_text + len, sizeof(c->log_text) - 1 - len)) > 0)
                len += (size_t)n;
        c->log_text[len] = '\0';
        assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
        close(c->log);
        close(c->ready);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static bool logged(const struct child *c, const char *text)
{
        return strstr(c->log_text, text) != NULL;
}

/* Signals that come within half a second are one wish, so this insists until it is heard. */
static int insist(struct child *c)
{
        struct pollfd ended = {.fd = pidfd_open(c->pid, 0), .events = POLLIN};
        assert_true(ended.fd >= 0);
        do
                kill(c->pid, SIGTERM);
        while (poll(&ended, 1, 20) == 0);
        close(ended.fd);
        return await_exit(c);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A port that nobody listens on just now. */
static uint16_t free_port(int *fd)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(addr);
        *fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(*fd, (struct sockaddr *)&addr, len), 0);
        assert_int_equal(listen(*fd, 1), 0);
        assert_int_equal(getsockname(*fd, (struct sockaddr *)&addr, &len), 0);
        return ntohs(addr.sin_port);
}

/* The whole answer, which ends with the connection. */
static void http_get(uint16_t port, const char *request_line, char *out, size_t room)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        char request[128];
        size_t len = 0;
        ssize_t n;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        int request_len =
                snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\n\r\n", request_line);
        assert_int_equal(write(fd, request, (size_t)request_len), request_len);
        while ((n = read(fd, out + len, room - 1 - len)) > 0)
                len += (size_t)n;
        out[len] = '\0';
        close(fd);
}

static void test_start_drain_stop(void **state)
{
        (void)state;
        struct child c;
        char path[] = "/tmp/svc_test.XXXXXX", text[32] = "", flag[64];
        close(mkstemp(path));
        snprintf(flag, sizeof(flag), "--test-pid-file=%s", path);
        spawn(&c, ORDERLY, ARGS(flag));
        await_ready(&c);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_non_null(fgets(text, sizeof(text), f));
        fclose(f);
        assert_int_equal(atoi(text), c.pid);
        kill(c.pid, SIGPIPE); /* ignored */
        kill(c.pid, SIGTERM);
        assert_int_equal(await_exit(&c), 0);
        assert_true(logged(&c, "stop was called"));
        assert_int_not_equal(access(path, F_OK), 0);
}

static void test_later_signal_stops(void **state)
{
        (void)state;
        struct child c;
        spawn(&c, HANGS, NULL);
        await_ready(&c);
        kill(c.pid, SIGINT);
        await_ready(&c); /* it drains */
        assert_int_equal(insist(&c), 0);
        assert_true(logged(&c, "event=stopping"));
        assert_true(logged(&c, "stop was called"));
}

static void test_signals_together_are_one(void **state)
{
        (void)state;
        struct child c;
        spawn(&c, HANGS, ARGS("--drain-timeout=20ms"));
        await_ready(&c);
        kill(c.pid, SIGINT);
        kill(c.pid, SIGTERM);
        assert_int_equal(await_exit(&c), 0);
        assert_true(logged(&c, "event=drain_timeout"));
        assert_false(logged(&c, "event=stopping"));
}

static void test_drain_timeout(void **state)
{
        (void)state;
        struct child c;
        spawn(&c, HANGS, ARGS("--drain-timeout=20ms"));
        await_ready(&c);
        kill(c.pid, SIGTERM);
        assert_int_equal(await_exit(&c), 0);
        assert_true(logged(&c, "event=drain_timeout"));
}

static void test_failures(void **state)
{
        (void)state;
        struct child c;
        spawn(&c, CANNOT_START, NULL);
        assert_int_equal(await_exit(&c), 1);
        assert_true(logged(&c, "msg=\"no luck\""));
        assert_false(logged(&c, "stop was called"));
        spawn(&c, BAD_CONF, NULL);
        assert_int_equal(await_exit(&c), 2);
        spawn(&c, FAILS, NULL);
        assert_int_equal(await_exit(&c), 7); /* the first failure counts */
        assert_true(logged(&c, "event=broken msg=\"on purpose\""));
        assert_true(logged(&c, "stop was called"));
        spawn(&c, ORDERLY, ARGS("--nonsense", "--log-level=loud"));
        assert_int_equal(await_exit(&c), 2);
        assert_true(logged(&c, "--nonsense"));
        spawn(&c, ORDERLY, ARGS("--log-level=loud"));
        assert_int_equal(await_exit(&c), 2);
        spawn(&c, ORDERLY, ARGS("--test-pid-file=/does/not/exist"));
        assert_int_equal(await_exit(&c), 1);
        assert_true(logged(&c, "/does/not/exist"));
}

static void test_help_and_doc(void **state)
{
        (void)state;
        struct child c;
        spawn(&c, ORDERLY, ARGS("--help"));
        assert_int_equal(await_exit(&c), 0);
        assert_true(logged(&c, "--drain-timeout"));
        spawn(&c, ORDERLY, ARGS("--doc"));
        assert_int_equal(await_exit(&c), 0);
        assert_true(logged(&c, "| `SLUICE_TEST_ADMIN_PORT` |"));
        assert_true(logged(&c, "| `sluice_test_things_total` | counter | things |"));
        assert_true(logged(&c, "### Things"));
}

/* #244 */
static void test_admin_pages(void **state)
{
        (void)state;
        struct child c;
        char flag[64], answer[4096];
        int fd;
        uint16_t port = free_port(&fd);
        close(fd);
        snprintf(flag, sizeof(flag), "--test-admin-port=%u", port);
        spawn(&c, HANGS, ARGS(flag));
        await_ready(&c);
        http_get(port, "GET /healthz", answer, sizeof(answer));
        assert_non_null(strstr(answer, "HTTP/1.1 200 "));
        http_get(port, "GET /metrics", answer, sizeof(answer));
        assert_non_null(strstr(answer, "\nsluice_test_things_total 3\n"));
        http_get(port, "GET /readyz", answer, sizeof(answer));
        assert_non_null(strstr(answer, "HTTP/1.1 503 "));
        assert_non_null(strstr(
                answer, "{\"status\":\"waiting\",\"reason\":\"waiting for \\\"godot\\\"\"}"));
        http_get(port, "GET /elsewhere", answer, sizeof(answer));
        assert_non_null(strstr(answer, "HTTP/1.1 404 "));
        http_get(port, "DELETE /readyz", answer, sizeof(answer));
        assert_non_null(strstr(answer, "HTTP/1.1 405 "));
        kill(c.pid, SIGTERM);
        await_ready(&c);
        http_get(port, "GET /readyz", answer, sizeof(answer));
        assert_non_null(strstr(answer, "\"reason\":\"draining\"")); /* whatever the service says */
        assert_int_equal(insist(&c), 0);
}

static void test_admin_port_in_use(void **state)
{
        (void)state;
        struct child c;
        char flag[64];
        int fd;
        snprintf(flag, sizeof(flag), "--test-admin-port=%u", free_port(&fd));
        spawn(&c, ORDERLY, ARGS(flag));
        assert_int_equal(await_exit(&c), 1);
        assert_true(logged(&c, "cannot listen on admin port"));
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_start_drain_stop),
                cmocka_unit_test(test_later_signal_stops),
                cmocka_unit_test(test_signals_together_are_one),
                cmocka_unit_test(test_drain_timeout),
                cmocka_unit_test(test_failures),
                cmocka_unit_test(test_help_and_doc),
                cmocka_unit_test(test_admin_pages),
                cmocka_unit_test(test_admin_port_in_use),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
