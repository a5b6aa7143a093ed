/* The door to NNG, over its inproc transport and a Unix socket. */
#include "common/test/test.h"

#include <endian.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/bus/bus.h"

static void echo(void *arg, struct rpc_call *call)
{
        (void)arg;
        rpc_reply(call, rpc_call_body(call));
}

static void test_call_and_answer(void **state)
{
        (void)state;
        struct rpc_server *s;
        struct rpc_client *c;
        struct buf why, reply;
        buf_init(&why, 1024);
        buf_init(&reply, 1024);
        assert_int_equal(rpc_client_open(&c, "inproc://echo", 4, 1 << 20, &why), 0);
        assert_int_equal(rpc_server_open(&s, "inproc://echo", 4, 1 << 20, echo, NULL, &why), 0);
        for (int i = 0; i < 100; i++) {
                buf_reset(&reply);
                assert_int_equal(rpc_call_wait(c, SLICE_LIT("hello"), 5000, &reply), 0);
                assert_string_equal(buf_cstr(&reply), "hello");
        }
        rpc_client_close(c);
        rpc_server_close(s);
        buf_fini(&why);
        buf_fini(&reply);
}

static void test_no_server_times_out(void **state)
{
        (void)state;
        struct rpc_client *c;
        struct buf why, reply;
        buf_init(&why, 1024);
        buf_init(&reply, 1024);
        assert_int_equal(rpc_client_open(&c, "inproc://nobody", 1, 1 << 20, &why), 0);
        assert_int_equal(rpc_call_wait(c, SLICE_LIT("x"), 20, &reply), ERR_TIMEOUT);
        rpc_client_close(c);
        buf_fini(&why);
        buf_fini(&reply);
}

static void test_address_in_use_and_bad_urls(void **state)
{
        (void)state;
        struct rpc_server *a, *b;
        struct rpc_client *c;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(rpc_server_open(&a, "inproc://same", 1, 1024, echo, NULL, &why), 0);
        assert_int_equal(rpc_server_open(&b, "inproc://same", 1, 1024, echo, NULL, &why),
                         ERR_EXISTS);
        assert_true(why.len > 0);
        assert_int_not_equal(rpc_client_open(&c, "nonsense", 1, 1024, &why), 0);
        rpc_server_close(a);
        buf_fini(&why);
}

/* Calls that the server has not answered when it closes end for the client with an error; none runs
 * twice or never. */
struct held {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        unsigned calls, callbacks;
};

static void hold(void *arg, struct rpc_call *call)
{
        struct held *h = arg;
        (void)call;
        pthread_mutex_lock(&h->mutex);
        h->calls++;
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->mutex);
}

static void count_callback(void *arg, int err, struct bus_msg *reply)
{
        struct held *h = arg;
        assert_int_not_equal(err, 0);
        assert_null(reply);
        pthread_mutex_lock(&h->mutex);
        h->callbacks++;
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->mutex);
}

static void test_close_with_calls_outstanding(void **state)
{
        (void)state;
        struct held h = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
        struct rpc_server *s;
        struct rpc_client *c;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(rpc_server_open(&s, "inproc://held", 2, 1024, hold, &h, &why), 0);
        assert_int_equal(rpc_client_open(&c, "inproc://held", 2, 1024, &why), 0);
        assert_int_equal(rpc_send(c, SLICE_LIT("1"), 60000, count_callback, &h), 0);
        assert_int_equal(rpc_send(c, SLICE_LIT("2"), 60000, count_callback, &h), 0);
        assert_int_equal(rpc_send(c, SLICE_LIT("3"), 60000, count_callback, &h), ERR_AGAIN);
        pthread_mutex_lock(&h.mutex);
        while (h.calls < 2)
                pthread_cond_wait(&h.changed, &h.mutex);
        pthread_mutex_unlock(&h.mutex);
        rpc_client_close(c);
        assert_int_equal(h.callbacks, 2);
        rpc_server_close(s);
        buf_fini(&why);
}

struct inbox {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        uint64_t next, bad;
};

static void on_frame(void *arg, struct bus_msg *msg)
{
        struct inbox *in = arg;
        struct bus_frame f;
        pthread_mutex_lock(&in->mutex);
        if (bus_frame_parse(bus_msg_body(msg), &f) != 0)
                in->bad++;
        else
                in->next = f.seq + 1;
        pthread_cond_broadcast(&in->changed);
        pthread_mutex_unlock(&in->mutex);
        bus_msg_unref(msg);
}

static void test_publish(void **state)
{
        (void)state;
        char dir[] = "/tmp/sluice-bus-XXXXXX", url[64];
        struct inbox in = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0};
        struct pub *p;
        struct sub *s;
        struct buf why, frame;
        assert_non_null(mkdtemp(dir));
        snprintf(url, sizeof(url), "ipc://%s/pub", dir);
        buf_init(&why, 1024);
        buf_init(&frame, 1024);
        assert_int_equal(sub_open(&s, url, 64, 1 << 20, on_frame, &in, &why), 0);
        assert_int_equal(pub_open(&p, url, 64, &why), 0);
        pub_send(p, SLICE_LIT("garbage"));
        /* What is sent before the subscriber has connected is lost: send until something arrives.
         */
        uint64_t seq = 0;
        pthread_mutex_lock(&in.mutex);
        while (in.next == 1) {
                struct timespec soon;
                clock_gettime(CLOCK_REALTIME, &soon);
                soon.tv_nsec += 1000000;
                if (soon.tv_nsec >= 1000000000) {
                        soon.tv_nsec -= 1000000000;
                        soon.tv_sec++;
                }
                buf_reset(&frame);
                pub_frame(&frame, 9, ++seq, SLICE_LIT("body"));
                pub_send(p, buf_slice(&frame));
                pthread_cond_timedwait(&in.changed, &in.mutex, &soon);
        }
        pthread_mutex_unlock(&in.mutex);
        sub_close(s);
        pub_close(p);
        char path[64];
        snprintf(path, sizeof(path), "%s/pub", dir);
        unlink(path);
        rmdir(dir);
        buf_fini(&why);
        buf_fini(&frame);
}

/* ---- a net that is slow */

enum { SLOW_MS = 2500 };

/* A publisher's side of the handshake, and one frame. */
static void let_in_and_publish(int fd)
{
        static const char hello[8] = {0, 'S', 'P', 0, 0, 0x20, 0, 0};
        struct buf frame;
        buf_init(&frame, 1024);
        pub_frame(&frame, 9, 1, SLICE_LIT("body"));
        uint64_t size = htobe64(frame.len);
        struct iovec all[] = {{(void *)(uintptr_t)hello, sizeof(hello)},
                              {&size, sizeof(size)},
                              {frame.p, frame.len}};
        assert_int_equal(writev(fd, all, 3), 16 + frame.len);
        buf_fini(&frame);
}

/* A publisher whose side of the handshake takes SLOW_MS, on every connection. */
static void *answer_slowly(void *arg)
{
        int listener = *(int *)arg;
        for (;;) {
                int fd = accept(listener, NULL, NULL);
                struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
                if (poll(&gone, 1, SLOW_MS) == 0) {
                        let_in_and_publish(fd);
                        poll(&gone, 1, -1);
                        close(fd);
                        return NULL;
                }
                close(fd);
        }
}

static int listen_somewhere(char url[64])
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(at);
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(listen(listener, 64), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
        snprintf(url, 64, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
        return listener;
}

static void test_slow_handshake(void **state)
{
        (void)state;
        struct inbox in = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0};
        char url[64];
        int listener = listen_somewhere(url);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, answer_slowly, &listener), 0);
        struct sub *s;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(sub_open(&s, url, 64, 1 << 20, on_frame, &in, &why), 0);
        struct timespec late = {.tv_sec = time(NULL) + 60};
        pthread_mutex_lock(&in.mutex);
        while (in.next == 1)
                assert_int_equal(pthread_cond_timedwait(&in.changed, &in.mutex, &late), 0);
        pthread_mutex_unlock(&in.mutex);
        sub_close(s);
        pthread_join(thread, NULL);
        close(listener);
        buf_fini(&why);
}

/* ---- a peer that hangs up on everybody, as a proxy whose service is away does */

enum { HANG_UP_MS = 3000, SUBSCRIBERS = 40 };

/* Then it does not: each is let in when its handshake has begun. */
static void *hang_up(void *arg)
{
        int listener = *(int *)arg;
        uint64_t end = clock_mono_ms() + HANG_UP_MS;
        for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
                if (clock_mono_ms() >= end) {
                        close(fd);
                        return NULL;
                }
                shutdown(fd, SHUT_WR);
                struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
                poll(&gone, 1, 1);
                close(fd);
        }
        return NULL;
}

static void test_all_dialers_lose_patience_at_once(void **state)
{
        (void)state;
        struct inbox in = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0};
        char url[64];
        int listener = listen_somewhere(url);
        pthread_t thread;
        struct sub *subs[SUBSCRIBERS];
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(pthread_create(&thread, NULL, hang_up, &listener), 0);
        for (int i = 0; i < SUBSCRIBERS; i++)
                assert_int_equal(sub_open(&subs[i], url, 64, 1 << 20, on_frame, &in, &why), 0);
        pthread_join(thread, NULL);
        /* they go on dialling: every one of them comes, or comes again */
        for (int i = 0; i < SUBSCRIBERS; i++) {
                struct pollfd comes = {.fd = listener, .events = POLLIN};
                assert_int_equal(poll(&comes, 1, 15000), 1);
                close(accept(listener, NULL, NULL));
        }
        for (int i = 0; i < SUBSCRIBERS; i++)
                sub_close(subs[i]);
        close(listener);
        buf_fini(&why);
}

/* ---- a connection over which nothing comes any more */

static void *publish_to_the_second(void *arg)
{
        static const char hello[8] = {0, 'S', 'P', 0, 0, 0x20, 0, 0};
        int listener = *(int *)arg, deaf = accept(listener, NULL, NULL);
        assert_int_equal(write(deaf, hello, sizeof(hello)), sizeof(hello));
        int fd = accept(listener, NULL, NULL);
        let_in_and_publish(fd);
        struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
        poll(&gone, 1, -1);
        close(fd);
        close(deaf);
        return NULL;
}

static void test_sub_dials_again(void **state)
{
        (void)state;
        struct inbox in = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0};
        char url[64];
        int listener = listen_somewhere(url);
        pthread_t thread;
        struct sub *s;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(pthread_create(&thread, NULL, publish_to_the_second, &listener), 0);
        assert_int_equal(sub_open(&s, url, 64, 1 << 20, on_frame, &in, &why), 0);
        uint64_t end = clock_mono_ms() + 60000;
        pthread_mutex_lock(&in.mutex);
        while (in.next == 1) { /* what it says before there is a connection means nothing */
                struct timespec soon = {.tv_sec = time(NULL) + 2};
                assert_true(clock_mono_ms() < end);
                sub_dial_again(s);
                pthread_cond_timedwait(&in.changed, &in.mutex, &soon);
        }
        pthread_mutex_unlock(&in.mutex);
        sub_close(s);
        pthread_join(thread, NULL);
        close(listener);
        buf_fini(&why);
}

static void test_frames(void **state)
{
        (void)state;
        struct buf b;
        struct bus_frame f;
        buf_init(&b, 1024);
        pub_frame(&b, 3, 4, SLICE_LIT("xyz"));
        assert_int_equal(bus_frame_parse(buf_slice(&b), &f), 0);
        assert_true(f.epoch == 3 && f.seq == 4);
        assert_slice_equal(f.body, "xyz");
        for (size_t len = 0; len < b.len; len++)
                assert_int_not_equal(bus_frame_parse(slice_of(b.p, len), &f), 0);
        buf_reset(&b);
        pub_frame(&b, 0, 4, SLICE_EMPTY);
        assert_int_equal(bus_frame_parse(buf_slice(&b), &f), ERR_FORMAT);
        buf_fini(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_call_and_answer),
                cmocka_unit_test(test_no_server_times_out),
                cmocka_unit_test(test_address_in_use_and_bad_urls),
                cmocka_unit_test(test_close_with_calls_outstanding),
                cmocka_unit_test(test_publish),
                cmocka_unit_test(test_slow_handshake),
                cmocka_unit_test(test_all_dialers_lose_patience_at_once),
                cmocka_unit_test(test_sub_dials_again),
                cmocka_unit_test(test_frames),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
