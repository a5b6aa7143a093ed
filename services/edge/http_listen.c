/* Listening sockets and the limit of open files. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/err.h"
#include "services/edge/http_priv.h"

/* For what is not a connection: the bus, the listeners, files, logs. */
enum { SPARE_FDS = 256 };

static int bind_one(const struct addrinfo *ai, int *out)
{
        int on = 1, off = 0;
        int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                        ai->ai_protocol);
        if (fd < 0)
                return errno;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
        if (ai->ai_family == AF_INET6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, H2O_SOMAXCONN) != 0) {
                int error = errno;
                close(fd);
                return error;
        }
        *out = fd;
        return 0;
}

int http_listen(const struct http_conf *conf, int *out, struct buf *why)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
        char port[16];
        snprintf(port, sizeof(port), "%u", (unsigned)conf->port);
        int rv = getaddrinfo(conf->host, port, &hints, &list);
        if (rv != 0) {
                buf_printf(why, "cannot resolve %s: %s", conf->host, gai_strerror(rv));
                return ERR_CONF;
        }
        int error = bind_one(list, out);
        freeaddrinfo(list);
        if (error == 0)
                return 0;
        buf_printf(why, "cannot listen on %s port %s: %s", conf->host, port, strerror(error));
        return error == EADDRINUSE ? ERR_EXISTS : ERR_IO;
}

/* SO_REUSEPORT would also let two edges share a port by mistake: a plain bind tells first. */
int http_check_port(const struct http_conf *conf, struct buf *why)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
        char port[16];
        snprintf(port, sizeof(port), "%u", (unsigned)conf->port);
        if (getaddrinfo(conf->host, port, &hints, &list) != 0)
                return 0;
        int on = 1, error = 0;
        int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);
        if (fd >= 0) {
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
                if (bind(fd, list->ai_addr, list->ai_addrlen) != 0)
                        error = errno;
                close(fd);
        }
        freeaddrinfo(list);
        if (error == 0)
                return 0;
        buf_printf(why, "cannot listen on %s port %s: %s", conf->host, port, strerror(error));
        return error == EADDRINUSE ? ERR_EXISTS : ERR_IO;
}

uint32_t http_raise_fd_limit(void)
{
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
                return 1024 - SPARE_FDS;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * SPARE_FDS)
                return SPARE_FDS;
        rlim_t most = limit.rlim_cur - SPARE_FDS;
        return most > 1000000 ? 1000000 : (uint32_t)most;
}
