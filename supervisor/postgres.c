#include "supervisor/postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/obs/log.h"
#include "supervisor/pgcluster.h"

enum {
        STOP_MS = 30000,    /* a fast shutdown writes a checkpoint */
        PID_FILE_STATUS = 8 /* line of postmaster.pid that says "ready" */
};

/* --- a server that is still there, or only its pid file --- */

/* Line `wanted` (from 1) of the cluster's postmaster.pid. */
static bool read_pid_file(const struct postgres *pg, int wanted, char *out, size_t out_bytes)
{
        char path[PATH_MAX + 32];
        snprintf(path, sizeof(path), "%s/postmaster.pid", pg->cluster);
        FILE *f = fopen(path, "re");
        if (f == NULL)
                return false;
        bool found = false;
        for (int line = 1; line <= wanted && fgets(out, (int)out_bytes, f) != NULL; line++)
                found = line == wanted;
        fclose(f);
        return found;
}

/* A postmaster's working directory is its cluster. */
static bool serves_cluster(const struct postgres *pg, pid_t pid)
{
        char link[64], dir[PATH_MAX];
        snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
        ssize_t n = readlink(link, dir, sizeof(dir) - 1);
        if (n < 0)
                return false;
        dir[n] = '\0';
        return strcmp(dir, pg->cluster) == 0;
}

static int end_leftover(pid_t pid, int pidfd, struct buf *why)
{
        log_info("postgres_leftover",
                 "a Postgres of an earlier run, pid %d, is still there: stopping it", (int)pid);
        kill(pid, SIGINT);
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        if (poll(&ended, 1, STOP_MS) == 1)
                return 0;
        buf_printf(why, "a Postgres of an earlier run, pid %d, does not stop", (int)pid);
        return ERR_TIMEOUT;
}

/* A pid file whose process is gone is Postgres' own to remove. One whose number now belongs to a
 * stranger would make it refuse to start. */
static int end_leftovers(const struct postgres *pg, struct buf *why)
{
        char line[64];
        if (!read_pid_file(pg, 1, line, sizeof(line)))
                return 0;
        pid_t pid = (pid_t)strtol(line, NULL, 10);
        int pidfd = pid > 1 ? pidfd_open(pid, 0) : -1;
        if (pidfd < 0)
                return 0;
        int rc = 0;
        if (serves_cluster(pg, pid)) {
                rc = end_leftover(pid, pidfd, why);
        } else {
                char path[PATH_MAX + 32];
                snprintf(path, sizeof(path), "%s/postmaster.pid", pg->cluster);
                log_info("postgres_stale_pid", "%s names another program's process: removed", path);
                unlink(path);
        }
        close(pidfd);
        return rc;
}

/* --- its port --- */

/* Binds to see whether the port is free; 0 asks for any. The port, or 0 when it is taken. */
static uint16_t try_port(uint16_t port)
{
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(addr);
        int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        SLUICE_ASSERT(fd >= 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* as Postgres itself does */
        uint16_t got = 0;
        if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
            getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
                got = ntohs(addr.sin_port);
        close(fd);
        return got;
}

static int choose_port(struct postgres *pg, const struct datadir *d, struct buf *why)
{
        char line[16];
        long remembered = 0;
        if (datadir_read_line(d, "postgres.port", line, sizeof(line)) == 0)
                remembered = strtol(line, NULL, 10);
        if (remembered > 0 && remembered <= UINT16_MAX)
                pg->port = try_port((uint16_t)remembered);
        if (pg->port != 0)
                return 0;
        pg->port = try_port(0);
        if (pg->port == 0) {
                buf_puts(why, "no free TCP port for the private Postgres");
                return ERR_IO;
        }
        snprintf(line, sizeof(line), "%u", pg->port);
        return datadir_write_line(d, "postgres.port", line, why);
}

/* --- the whole --- */

static int open_log(struct postgres *pg, const struct datadir *d, struct buf *why)
{
        char path[PATH_MAX];
        datadir_path(d, "postgres.log", path);
        pg->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (pg->log_fd >= 0)
                return 0;
        buf_printf(why, "cannot open %s: %s", path, strerror(errno));
        return ERR_IO;
}

static int publish_url(struct postgres *pg, const struct datadir *d, struct buf *why)
{
        snprintf(pg->program, sizeof(pg->program), "%s/postgres", pg->bin_dir);
        snprintf(pg->port_arg, sizeof(pg->port_arg), "port=%u", pg->port);
        snprintf(pg->url, sizeof(pg->url), "postgresql://sluice:%s@127.0.0.1:%u/sluice",
                 pg->password, pg->port);
        return datadir_write_line(d, "database_url", pg->url, why);
}

int postgres_prepare(struct postgres *pg, const struct datadir *d, struct buf *why)
{
        SLUICE_ASSERT(pg != NULL && d != NULL);
        *pg = (struct postgres){.log_fd = -1, .as_user = geteuid() == 0};
        int rc = pg->as_user ? spawn_find_user("postgres", &pg->user, why) : 0;
        if (rc == 0)
                rc = open_log(pg, d, why);
        if (rc == 0)
                rc = pgcluster_find_programs(pg, d, why);
        if (rc == 0)
                rc = pgcluster_make(pg, d, why);
        if (rc == 0)
                rc = end_leftovers(pg, why);
        if (rc == 0)
                rc = choose_port(pg, d, why);
        if (rc == 0)
                rc = publish_url(pg, d, why);
        if (rc != 0)
                postgres_fini(pg);
        return rc;
}

void postgres_fini(struct postgres *pg)
{
        if (pg->log_fd >= 0)
                close(pg->log_fd);
        pg->log_fd = -1;
}

void postgres_child_spec(const struct postgres *pg, struct child_spec *out)
{
        *out = (struct child_spec){
                .name = "postgres",
                .argv = {pg->program, "-D", pg->cluster, "-c", pg->port_arg, "-c",
                         "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c",
                         "wal_level=logical", "-c", "max_wal_senders=20", "-c",
                         "max_replication_slots=20", "-c", "max_connections=200"},
                .user = pg->as_user ? &pg->user : NULL,
                .output_fd = pg->log_fd,
                .death_signal = SIGINT, /* a fast shutdown, even when the supervisor was killed */
                .stop_signal = SIGINT,
                .kill_signal = SIGQUIT, /* at once, and recovers from the WAL at the next start */
                .stop_ms = STOP_MS,
        };
        envlist_init(&out->env, environ);
}

bool postgres_is_ready(const struct postgres *pg, pid_t pid)
{
        char first[64], status[64];
        return read_pid_file(pg, 1, first, sizeof(first)) && strtol(first, NULL, 10) == pid &&
               read_pid_file(pg, PID_FILE_STATUS, status, sizeof(status)) &&
               strncmp(status, "ready", 5) == 0;
}
