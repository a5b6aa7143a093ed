#include "tests/bench/nginx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "tests/bench/bench.h"
#include "tests/bench/spawn.h"

/* A listening socket on a free port. nginx inherits it, as it does when it replaces its own
 * program: so there is no port to lose and no moment at which a client could come too early. */
static int listen_anywhere(int *port)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) || listen(fd, 511) ||
            getsockname(fd, (struct sockaddr *)&a, &len))
                fail("no socket for nginx: %s", strerror(errno));
        *port = ntohs(a.sin_port);
        return fd;
}

/* What every configuration begins with, up to its server. */
static FILE *open_conf(const char *path, const char *temp)
{
        FILE *f = fopen(path, "w");
        if (!f)
                fail("cannot write %s: %s", path, strerror(errno));
        fprintf(f,
                "daemon off; worker_processes 1; pid %s/nginx.pid; error_log stderr error;\n%s"
                "events { worker_connections 16384; }\n"
                "http { tcp_nodelay on; keepalive_requests 1000000000;\n"
                "client_body_temp_path %s/n1; proxy_temp_path %s/n2; fastcgi_temp_path %s/n3; "
                "uwsgi_temp_path %s/n4; scgi_temp_path %s/n5;\n",
                temp, geteuid() == 0 ? "user root;\n" : "", temp, temp, temp, temp, temp);
        return f;
}

static void close_conf(FILE *f, const char *path)
{
        if (fclose(f))
                fail("cannot write %s", path);
}

static void write_files_conf(const char *path, const char *temp, const char *dir, int port)
{
        FILE *f = open_conf(path, temp);
        fprintf(f,
                "access_log off; sendfile on; tcp_nopush on;\n"
                "default_type application/json; gzip_static on; open_file_cache max=1000;\n"
                "server { listen 127.0.0.1:%d; root %s; } }\n",
                port, dir);
        close_conf(f, path);
}

static void write_cache_conf(const char *path, const char *temp, const char *server,
                             const char *log, int port)
{
        FILE *f = open_conf(path, temp);
        fprintf(f,
                "upstream server { server %s; keepalive 64; }\n"
                "proxy_cache_path %s/cache keys_zone=shapes:16m use_temp_path=off;\n"
                "map $upstream_addr $forwarded { default 1; '' 0; }\n"
                "log_format forwarded '$status $upstream_cache_status';\n"
                "access_log %s forwarded if=$forwarded;\n"
                "server { listen 127.0.0.1:%d; location / { proxy_pass http://server;\n"
                "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_read_timeout 75s;\n"
                "proxy_cache shapes; proxy_cache_key $request_uri; proxy_ignore_headers Vary;\n"
                "proxy_cache_lock on; proxy_cache_lock_timeout 30s; proxy_cache_lock_age 30s;\n"
                "proxy_cache_revalidate on; } } }\n",
                server, temp, log, port);
        close_conf(f, path);
}

static void launch(struct nginx *n, const char *temp, const char *conf, int listener, int port)
{
        char log[128], inherited[16];
        snprintf(log, sizeof log, "%s/nginx.log",
                 temp); /* of what it says before it reads the file */
        snprintf(n->url, sizeof n->url, "http://127.0.0.1:%d", port);
        SLUICE_ASSERT(http_target_parse(n->url, &n->target) == 0);
        snprintf(inherited, sizeof inherited, "%d;", listener);
        setenv("NGINX", inherited, 1);
        n->pid = spawn_start((const char *[]){"nginx", "-e", log, "-p", temp, "-c", conf, NULL});
        unsetenv("NGINX");
        close(listener);
}

void nginx_start(struct nginx *n, struct bench *b, const char *dir)
{
        char conf[128];
        int port;
        const char *temp = bench_temp_dir(b);
        int listener = listen_anywhere(&port);
        snprintf(conf, sizeof conf, "%s/nginx.conf", temp);
        write_files_conf(conf, temp, dir, port);
        launch(n, temp, conf, listener, port);
}

void nginx_start_cache(struct nginx *n, struct bench *b, const char *log)
{
        char conf[128];
        int port;
        const char *temp = bench_temp_dir(b);
        int listener = listen_anywhere(&port);
        snprintf(conf, sizeof conf, "%s/nginx.conf", temp);
        write_cache_conf(conf, temp, b->target.host, log, port);
        launch(n, temp, conf, listener, port);
}

void nginx_stop(struct nginx *n)
{
        spawn_stop(n->pid);
}
