/* Connections that end at the wrong moment, while the process that listens is stopped: it is to
 * take the next ones all the same. */
#include "common/test/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"

/* Who listens is this program again: NNG does not survive a fork. */
static char self[4096];

enum { PATIENCE_MS = 60000, CALL_MS = 500, PUBLISH_MS = 20, HANGERS_UP = 3 };

/* ---- the process that listens */

static void echo(void *arg, struct rpc_call *call)
{
        (void)arg;
        rpc_reply(call, rpc_call_body(call));
}

static void publish_for_ever(struct pub *p)
{
        struct buf frame;
        buf_init(&frame, 1024);
        for (uint64_t seq = 1;; seq++) {
                buf_reset(&frame);
                pub_frame(&frame, 9, seq, SLICE_LIT("body"));
                pub_send(p, buf_slice(&frame));
                (void)poll(NULL, 0, PUBLISH_MS);
        }
}

/* Says on its standard output when it listens; ends with its parent. */
static int listen_for_ever(const char *url, const char *what)
{
        struct buf why;
        struct rpc_server *s;
        struct pub *p = NULL;
        buf_init(&why, 1024);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int err = what[0] == 'p' ? pub_open(&p, url, 64, &why)
                                 : rpc_server_open(&s, url, 4, 1 << 20, echo, NULL, &why);
        if (err || write(STDOUT_FILENO, "!", 1) != 1)
                return 1;
        if (p)
                publish_for_ever(p);
        for (;;)
                (void)poll(NULL, 0, -1);
}

static pid_t start(const char *url, const char *what)
{
        int ready[2];
        char said;
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                dup2(ready[1], STDOUT_FILENO);
                execl(self, self, url, what, (char *)NULL);
                _exit(127);
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &said, 1), 1);
        close(ready[0]);
        return pid;
}

static void end(pid_t pid)
{
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- who hangs up */

static void stop(pid_t pid)
{
        int status;
        assert_int_equal(kill(pid, SIGSTOP), 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
}

static void hang_up_ipc(const char *path)
{
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        close(fd);
}

/* The end of what it says, then a reset: to write to that is EPIPE. */
static void hang_up_tcp(uint16_t port)
{
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const struct linger reset = {.l_onoff = 1};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        close(fd);
}

static uint16_t free_port(void)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(at);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
        close(fd);
        return ntohs(at.sin_port);
}

/* ---- who calls */

static void expect_answer(struct rpc_client *c)
{
        struct buf reply;
        uint64_t last = clock_mono_ms() + PATIENCE_MS;
        buf_init(&reply, 1024);
        int err;
        while ((err = rpc_call_wait(c, SLICE_LIT("hello"), CALL_MS, &reply)) != 0)
                assert_true(clock_mono_ms() < last);
        assert_string_equal(buf_cstr(&reply), "hello");
        buf_fini(&reply);
}

/* One that was connected before, and one that comes after. */
static void expect_both(pid_t pid, const char *url, struct rpc_client *before)
{
        struct rpc_client *after;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(rpc_client_open(&after, url, 4, 1 << 20, &why), 0);
        expect_answer(after);
        expect_answer(before);
        rpc_client_close(after);
        buf_fini(&why);
}

static struct rpc_client *connected(const char *url)
{
        struct rpc_client *c;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(rpc_client_open(&c, url, 4, 1 << 20, &why), 0);
        expect_answer(c);
        buf_fini(&why);
        return c;
}

static void make_dir(char dir[32], char path[64], char url[64])
{
        snprintf(dir, 32, "/tmp/sluice-deaf-XXXXXX");
        assert_non_null(mkdtemp(dir));
        snprintf(path, 64, "%s/s", dir);
        snprintf(url, 64, "ipc://%s", path);
}

static void test_ipc(void **state)
{
        char dir[32], path[64], url[64];
        (void)state;
        make_dir(dir, path, url);
        pid_t pid = start(url, "answer");
        struct rpc_client *c = connected(url);
        stop(pid);
        for (int i = 0; i < HANGERS_UP; i++)
                hang_up_ipc(path);
        expect_both(pid, url, c);
        rpc_client_close(c);
        end(pid);
        unlink(path);
        rmdir(dir);
}

/* Also where the address is every one of this host. */
static void test_tcp(void **state)
{
        char here[64], all[64];
        uint16_t port = free_port();
        (void)state;
        snprintf(here, sizeof(here), "tcp://127.0.0.1:%u", port);
        snprintf(all, sizeof(all), "tcp://0.0.0.0:%u", port);
        pid_t pid = start(all, "answer");
        struct rpc_client *c = connected(here);
        stop(pid);
        for (int i = 0; i < HANGERS_UP; i++)
                hang_up_tcp(port);
        expect_both(pid, here, c);
        rpc_client_close(c);
        end(pid);
}

struct inbox {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool any;
};

static void on_frame(void *arg, struct bus_msg *msg)
{
        struct inbox *in = arg;
        pthread_mutex_lock(&in->mutex);
        in->any = true;
        pthread_cond_broadcast(&in->changed);
        pthread_mutex_unlock(&in->mutex);
        bus_msg_unref(msg);
}

static void test_publisher(void **state)
{
        struct inbox in = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
        char dir[32], path[64], url[64];
        struct sub *s;
        struct buf why;
        (void)state;
        buf_init(&why, 1024);
        make_dir(dir, path, url);
        pid_t pid = start(url, "publish");
        stop(pid);
        hang_up_ipc(path);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(sub_open(&s, url, 64, 1 << 20, on_frame, &in, &why), 0);
        struct timespec late = {.tv_sec = time(NULL) + PATIENCE_MS / 1000};
        pthread_mutex_lock(&in.mutex);
        while (!in.any)
                assert_int_equal(pthread_cond_timedwait(&in.changed, &in.mutex, &late), 0);
        pthread_mutex_unlock(&in.mutex);
        sub_close(s);
        end(pid);
        unlink(path);
        rmdir(dir);
        buf_fini(&why);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ipc),
                cmocka_unit_test(test_tcp),
                cmocka_unit_test(test_publisher),
        };
        if (argc == 3)
                return listen_for_ever(argv[1], argv[2]);
        ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (len <= 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
