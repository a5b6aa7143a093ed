#include "tests/bench/plain.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/spawn.h"
#include "tests/bench/stats.h"

enum { ROUND_SECONDS = 60 };

struct reader {
        struct net_source source;
        struct plain *plain;
        size_t left;
};

struct plain {
        struct net *net;
        struct reader *readers;
        size_t sockets, done;
        bool all_done;
};

static void write_all(int fd, const char *p, size_t n)
{
        while (n > 0) {
                ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
                if (w <= 0)
                        _exit(1);
                p += w;
                n -= (size_t)w;
        }
}

/* The writing process: a byte on the pipe is the word to write; its end is the end. */
static _Noreturn void serve(int listener, int word, size_t sockets, size_t bytes)
{
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int *fds = mem_array(sockets, sizeof *fds);
        char *data = mem_zalloc(bytes), c;
        for (size_t i = 0; i < sockets; i++) {
                fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (fds[i] < 0)
                        _exit(1);
        }
        while (read(word, &c, 1) == 1)
                for (size_t i = 0; i < sockets; i++)
                        write_all(fds[i], data, bytes);
        _exit(0);
}

static void on_ready(void *arg, uint32_t events)
{
        (void)events;
        struct reader *r = arg;
        ssize_t n = recv(r->source.fd, r->plain->net->scratch, NET_SCRATCH_BYTES, 0);
        if (n <= 0 || (size_t)n > r->left) {
                if (n < 0 && errno == EAGAIN)
                        return;
                fail("plain sockets: the writing process failed");
        }
        r->left -= (size_t)n;
        if (r->left == 0)
                r->plain->all_done = ++r->plain->done == r->plain->sockets;
}

static int listen_anywhere(struct sockaddr_in *addr)
{
        socklen_t len = sizeof *addr;
        *addr = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)addr, len) || listen(fd, 4096) ||
            getsockname(fd, (struct sockaddr *)addr, &len))
                fail("plain sockets: %s", strerror(errno));
        return fd;
}

static void connect_all(struct plain *p, const struct sockaddr_in *addr)
{
        for (size_t i = 0; i < p->sockets; i++) {
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof *addr))
                        fail("plain sockets: %s", strerror(errno));
                p->readers[i] = (struct reader){
                        .plain = p,
                        .source = {.fd = fd, .on_ready = on_ready, .arg = &p->readers[i]}};
                net_add(p->net, &p->readers[i].source, EPOLLIN);
        }
}

static void close_all(struct plain *p)
{
        for (size_t i = 0; i < p->sockets; i++) {
                int fd = p->readers[i].source.fd;
                net_remove(p->net, &p->readers[i].source);
                close(fd);
        }
        mem_free(p->readers);
}

void plain_fanout(struct bench *b, size_t sockets, size_t bytes, int rounds, struct samples *out)
{
        struct plain p = {.net = b->net,
                          .sockets = sockets,
                          .readers = mem_array(sockets, sizeof *p.readers)};
        struct sockaddr_in addr;
        int word[2], listener = listen_anywhere(&addr);
        SLUICE_ASSERT(bytes > 0 && pipe(word) == 0);
        pid_t pid = fork();
        SLUICE_ASSERT(pid >= 0);
        if (pid == 0) {
                close(word[1]);
                serve(listener, word[0], sockets, bytes);
        }
        close(word[0]);
        connect_all(&p, &addr);
        close(listener);
        for (int i = 0; i < rounds; i++) {
                p.done = 0;
                p.all_done = false;
                for (size_t k = 0; k < sockets; k++)
                        p.readers[k].left = bytes;
                uint64_t began = now_ns();
                SLUICE_ASSERT(write(word[1], "w", 1) == 1);
                bench_wait(b, &p.all_done, ROUND_SECONDS, "plain sockets read");
                samples_add(out, (double)(now_ns() - began) / 1e6);
        }
        close(word[1]);
        spawn_wait(pid, "plain sockets");
        close_all(&p);
}
