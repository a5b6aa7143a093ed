#include "supervisor/health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

#define HEALTH_MAGIC 0x68656c74u

enum {
        RETRY_MIN_MS = 20, /* after an answer that is not 200, or a refused connection; doubles */
        RETRY_MAX_MS = 500,
        ATTEMPT_MS = 5000, /* an attempt without an answer is given up */
        ANSWER_MAX = 2048
};

struct health {
        uint32_t magic;
        struct loop *loop;
        void (*on_healthy)(void *arg);
        void *arg;
        struct sockaddr_storage addr;
        socklen_t addr_len;
        char host[INET6_ADDRSTRLEN + 2];
        int fd; /* -1 between attempts */
        struct loop_fd *watch;
        struct loop_timer *timer; /* next attempt, or the end of this one */
        char answer[ANSWER_MAX + 1];
        size_t answer_len;
        bool sent;
        uint64_t retry_ms;
        char reason[128];
};

static void end_attempt(struct health *h)
{
        if (h->fd < 0)
                return;
        loop_unwatch(h->watch);
        close(h->fd);
        h->watch = NULL;
        h->fd = -1;
}

static void try_again(struct health *h, const char *reason)
{
        snprintf(h->reason, sizeof(h->reason), "%s", reason);
        end_attempt(h);
        loop_timer_set(h->timer, h->retry_ms);
        h->retry_ms = h->retry_ms < RETRY_MAX_MS / 2 ? 2 * h->retry_ms : RETRY_MAX_MS;
}

static void on_answer(struct health *h)
{
        int status = 0;
        h->answer[h->answer_len] = '\0';
        if (sscanf(h->answer, "HTTP/1.%*1d %3d", &status) != 1) {
                try_again(h, "the edge closed the connection without an answer");
                return;
        }
        if (status == 200) {
                end_attempt(h);
                loop_timer_cancel(h->timer);
                h->on_healthy(h->arg);
                return;
        }
        const char *body = strstr(h->answer, "\r\n\r\n");
        char reason[sizeof(h->reason)];
        snprintf(reason, sizeof(reason), "/v1/health answers %d %.60s", status,
                 body ? body + 4 : "");
        try_again(h, reason);
}

static void receive(struct health *h)
{
        ssize_t n = recv(h->fd, h->answer + h->answer_len, ANSWER_MAX - h->answer_len, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n < 0) {
                try_again(h, strerror(errno));
                return;
        }
        h->answer_len += (size_t)n;
        if (n == 0 || h->answer_len == ANSWER_MAX)
                on_answer(h);
}

static void send_request(struct health *h)
{
        int error = 0;
        socklen_t len = sizeof(error);
        getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        char request[160];
        int n = snprintf(request, sizeof(request),
                         "GET /v1/health HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n",
                         h->host);
        if (error == 0 && send(h->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
                error = errno;
        if (error != 0) {
                try_again(h, strerror(error));
                return;
        }
        h->sent = true;
        loop_watch_set(h->watch, LOOP_READ);
}

static void on_socket(void *arg, uint32_t events)
{
        (void)events;
        struct health *h = arg;
        CHECK_OBJ(h, HEALTH_MAGIC);
        if (h->sent)
                receive(h);
        else
                send_request(h);
}

static void attempt(struct health *h)
{
        h->answer_len = 0;
        h->sent = false;
        int fd = socket(h->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        SLUICE_ASSERT(fd >= 0);
        if (connect(fd, (struct sockaddr *)&h->addr, h->addr_len) != 0 && errno != EINPROGRESS) {
                int error = errno;
                close(fd);
                try_again(h, strerror(error));
                return;
        }
        h->fd = fd;
        h->watch = loop_watch(h->loop, fd, LOOP_WRITE, on_socket, h);
        loop_timer_set(h->timer, ATTEMPT_MS);
}

static void on_timer(void *arg)
{
        struct health *h = arg;
        CHECK_OBJ(h, HEALTH_MAGIC);
        if (h->fd >= 0)
                try_again(h, "the edge does not answer");
        else
                attempt(h);
}

static void set_address(struct health *h, const char *host, uint16_t port)
{
        struct sockaddr_in *v4 = (struct sockaddr_in *)&h->addr;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&h->addr;
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
                if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
                        v6->sin6_addr = in6addr_loopback;
                v6->sin6_family = AF_INET6;
                v6->sin6_port = htons(port);
                h->addr_len = sizeof(*v6);
                char text[INET6_ADDRSTRLEN];
                inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
                snprintf(h->host, sizeof(h->host), "[%s]", text);
                return;
        }
        if (inet_pton(AF_INET, host, &v4->sin_addr) != 1 || v4->sin_addr.s_addr == INADDR_ANY)
                v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        h->addr_len = sizeof(*v4);
        inet_ntop(AF_INET, &v4->sin_addr, h->host, sizeof(h->host));
}

struct health *health_new(struct loop *l, const char *host, uint16_t port,
                          void (*on_healthy)(void *arg), void *arg)
{
        SLUICE_ASSERT(l != NULL && host != NULL && on_healthy != NULL);
        struct health *h = mem_new(struct health);
        *h = (struct health){.magic = HEALTH_MAGIC,
                             .loop = l,
                             .on_healthy = on_healthy,
                             .arg = arg,
                             .fd = -1,
                             .retry_ms = RETRY_MIN_MS};
        h->timer = loop_timer_new(l, on_timer, h);
        set_address(h, host, port);
        attempt(h);
        return h;
}

void health_free(struct health *h)
{
        if (h == NULL)
                return;
        CHECK_OBJ(h, HEALTH_MAGIC);
        end_attempt(h);
        loop_timer_free(h->timer);
        h->magic = 0;
        mem_free(h);
}

const char *health_reason(const struct health *h)
{
        return h->reason;
}

const char *health_host(const struct health *h)
{
        return h->host;
}
