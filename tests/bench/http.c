#include "tests/bench/http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"

enum { REQUEST_BYTES = 16 * 1024 };

static int resolve(const char *host, const char *port, struct http_target *out)
{
        struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
        if (getaddrinfo(host, port, &hints, &found))
                return ERR_NOTFOUND;
        /* "localhost" is ::1 first, and servers of this kind listen on IPv4 */
        const struct addrinfo *chosen = found;
        for (const struct addrinfo *a = found; a; a = a->ai_next)
                if (a->ai_family == AF_INET) {
                        chosen = a;
                        break;
                }
        memcpy(&out->addr, chosen->ai_addr, chosen->ai_addrlen);
        out->addr_len = chosen->ai_addrlen;
        freeaddrinfo(found);
        return 0;
}

int http_target_parse(const char *url, struct http_target *out)
{
        struct http_target t = {0};
        char host[200], port[8] = "80";
        if (strncmp(url, "http://", 7) != 0)
                return ERR_INVAL;
        const char *at = url + 7;
        size_t authority = strcspn(at, "/");
        size_t name = strcspn(at, ":/");
        if (name == 0 || name >= sizeof host)
                return ERR_INVAL;
        memcpy(host, at, name);
        host[name] = 0;
        if (at[name] == ':') {
                size_t digits = authority - name - 1;
                if (digits == 0 || digits >= sizeof port)
                        return ERR_INVAL;
                memcpy(port, at + name + 1, digits);
                port[digits] = 0;
        }
        snprintf(t.host, sizeof t.host, "%s:%s", host, port);
        at += authority;
        size_t path = strlen(at);
        while (path > 0 && at[path - 1] == '/')
                path--;
        if (path >= sizeof t.base)
                return ERR_INVAL;
        memcpy(t.base, at, path);
        int err = resolve(host, port, &t);
        if (!err)
                *out = t;
        return err;
}

static void on_ready(void *arg, uint32_t events);

void http_init(struct http_conn *c, struct net *n, const struct http_target *t,
               const struct http_events *ev, void *arg)
{
        *c = (struct http_conn){.net = n, .target = t, .events = ev, .arg = arg, .fresh = true};
        c->source = (struct net_source){.fd = -1, .on_ready = on_ready, .arg = c};
        http_parser_init(&c->parser);
        buf_init(&c->out, REQUEST_BYTES);
}

static void disconnect(struct http_conn *c)
{
        int fd = c->source.fd;
        if (fd < 0)
                return;
        net_remove(c->net, &c->source);
        close(fd);
        c->fresh = true;
        c->sent = 0;
        http_parser_fini(&c->parser);
        http_parser_init(&c->parser);
}

void http_fini(struct http_conn *c)
{
        disconnect(c);
        http_parser_fini(&c->parser);
        buf_fini(&c->out);
}

static void fail(struct http_conn *c, const char *what)
{
        disconnect(c);
        c->busy = false;
        c->events->on_fail(c->arg, what);
}

void http_connect(struct http_conn *c)
{
        SLUICE_ASSERT(c->source.fd < 0);
        int fd = socket(c->target->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
                fail(c, strerror(errno));
                return;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(fd, (const struct sockaddr *)&c->target->addr, c->target->addr_len) &&
            errno != EINPROGRESS) {
                int saved = errno;
                close(fd);
                fail(c, strerror(saved));
                return;
        }
        c->source.fd = fd;
        net_add(c->net, &c->source, EPOLLIN | EPOLLOUT);
}

static void flush(struct http_conn *c)
{
        while (c->sent < c->out.len) {
                ssize_t n =
                        send(c->source.fd, c->out.p + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
                if (n < 0) {
                        /* the reading side finds out what is wrong with the connection */
                        if (errno == EAGAIN || errno == ENOTCONN)
                                net_change(c->net, &c->source, EPOLLIN | EPOLLOUT);
                        return;
                }
                c->sent += (size_t)n;
        }
}

void http_get(struct http_conn *c, const char *path, const char *fields)
{
        SLUICE_ASSERT(!c->busy);
        buf_reset(&c->out);
        c->sent = 0;
        buf_printf(&c->out, "GET %s%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", c->target->base, path,
                   c->target->host, fields);
        SLUICE_ASSERT(buf_status(&c->out) == 0);
        c->busy = true;
        if (c->source.fd < 0)
                http_connect(c);
        else
                flush(c);
}

/* The response is complete: the books first, then the owner, who may send the next request. */
static void finish(struct http_conn *c)
{
        if (!c->parser.keep_alive)
                disconnect(c);
        else
                c->fresh = false;
        c->busy = false;
        c->events->on_end(c->arg);
}

static void on_eof(struct http_conn *c, const char *why)
{
        if (!c->busy) {
                disconnect(c); /* idle keep-alive: opened again when needed */
        } else if (http_parser_idle(&c->parser) && !c->fresh) {
                disconnect(c); /* closed while our request was on its way (RFC 9112 §9.3.1) */
                http_connect(c);
        } else if (http_parse_eof(&c->parser)) {
                c->parser.keep_alive = false;
                finish(c);
        } else {
                fail(c, why);
        }
}

static void on_bytes(struct http_conn *c, const char *bytes, size_t len)
{
        bool ended;
        c->bytes_received += len;
        if (!c->busy) {
                fail(c, "bytes from the server without a request");
                return;
        }
        ssize_t used = http_parse(&c->parser, bytes, len, c->events, c->arg, &ended);
        if (used < 0)
                fail(c, "malformed response");
        else if (ended && (size_t)used < len)
                fail(c, "bytes after the end of the response");
        else if (ended)
                finish(c);
}

static void on_ready(void *arg, uint32_t events)
{
        struct http_conn *c = arg;
        if (events & EPOLLOUT) {
                net_change(c->net, &c->source, EPOLLIN);
                flush(c);
        }
        while (c->source.fd >= 0) {
                ssize_t n = recv(c->source.fd, c->net->scratch, NET_SCRATCH_BYTES, 0);
                if (n > 0) {
                        on_bytes(c, c->net->scratch, (size_t)n);
                        if (n < NET_SCRATCH_BYTES)
                                return;
                } else if (n == 0) {
                        on_eof(c, "connection closed in a response");
                        return;
                } else {
                        if (errno != EAGAIN)
                                on_eof(c, strerror(errno));
                        return;
                }
        }
}
