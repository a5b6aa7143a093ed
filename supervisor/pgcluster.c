#include "supervisor/pgcluster.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/obs/log.h"
#include "supervisor/path.h"

#define CLUSTER     "postgres"
#define CLUSTER_NEW "postgres.new"

/* In single-user mode a line is a statement. The first database a user meets should have something
 * to look at. */
static const char DEMO_SQL[] =
        "create table todos (id uuid primary key default gen_random_uuid(), title text not null, "
        "done boolean not null default false, created_at timestamptz not null default now())\n"
        "insert into todos (title, done) values ('read the first shape with curl', true), "
        "('open the demo page in two windows', false), ('point DATABASE_URL at a database of your "
        "own', false)\n";

static int fail_errno(struct buf *why, const char *what, const char *path)
{
        buf_printf(why, "cannot %s %s: %s", what, path, strerror(errno));
        return ERR_IO;
}

/* --- the programs --- */

/* Major version in /usr/lib/postgresql/<version>/bin/postgres. */
static long version_of(const char *path)
{
        return strtol(path + strlen("/usr/lib/postgresql/"), NULL, 10);
}

/* The newest of Debian's versions, or exactly `wanted` when that is not 0. */
static bool find_in_debian(long wanted, char out[PATH_MAX])
{
        glob_t found;
        long best = 0;
        if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) != 0)
                return false;
        for (size_t i = 0; i < found.gl_pathc; i++) {
                long version = version_of(found.gl_pathv[i]);
                if (version > best && (wanted == 0 || version == wanted))
                        best = version;
        }
        globfree(&found);
        if (best > 0)
                snprintf(out, PATH_MAX, "/usr/lib/postgresql/%ld/bin", best);
        return best > 0;
}

static bool find_in_path(char out[PATH_MAX])
{
        const char *path = getenv("PATH");
        while (path != NULL && *path != '\0') {
                size_t len = strcspn(path, ":");
                char program[PATH_MAX];
                int n = snprintf(program, sizeof(program), "%.*s/postgres", (int)len, path);
                if (n > 0 && (size_t)n < sizeof(program) && access(program, X_OK) == 0) {
                        snprintf(out, PATH_MAX, "%.*s", (int)len, path);
                        return true;
                }
                path += len + (path[len] == ':');
        }
        return false;
}

int pgcluster_find_programs(struct postgres *pg, const struct datadir *d, struct buf *why)
{
        char version[32] = "";
        long wanted = 0;
        if (datadir_read_line(d, CLUSTER "/PG_VERSION", version, sizeof(version)) == 0)
                wanted = strtol(version, NULL, 10);
        if (find_in_debian(wanted, pg->bin_dir) || find_in_path(pg->bin_dir))
                return 0;
        if (wanted != 0)
                buf_printf(why,
                           "the private database was made by PostgreSQL %ld, whose server programs "
                           "were not found",
                           wanted);
        else
                buf_puts(why, "no PostgreSQL server programs in /usr/lib/postgresql/*/bin or PATH: "
                              "install postgresql, or set DATABASE_URL");
        return ERR_NOTFOUND;
}

/* --- running them --- */

static int run(const struct postgres *pg, const char *const *argv, int stdin_fd, struct buf *why)
{
        struct spawn s = {.argv = argv,
                          .envp = environ,
                          .user = pg->as_user ? &pg->user : NULL,
                          .dir = "/", /* the data directory may be closed to that user */
                          .stdin_fd = stdin_fd,
                          .output_fd = pg->log_fd,
                          .death_signal = SIGKILL};
        int rc = spawn_wait(&s, why);
        if (rc != 0)
                buf_puts(why, "; see postgres.log in the data directory");
        return rc;
}

static int run_initdb(const struct postgres *pg, const char *dir, struct buf *why)
{
        char program[POSTGRES_ARG_MAX];
        snprintf(program, sizeof(program), "%s/initdb", pg->bin_dir);
        const char *argv[] = {program,
                              "-D",
                              dir,
                              "--username=sluice",
                              "--encoding=UTF8",
                              "--locale=C.UTF-8",
                              "--auth-local=reject",
                              "--auth-host=scram-sha-256",
                              NULL};
        return run(pg, argv, -1, why);
}

/* The statements, one a line, in that database of a cluster that no server runs on. */
static int run_sql(const struct postgres *pg, const char *dir, const char *database,
                   const char *sql, struct buf *why)
{
        char program[POSTGRES_ARG_MAX];
        snprintf(program, sizeof(program), "%s/postgres", pg->bin_dir);
        const char *argv[] = {program, "--single",         "-D",     dir,
                              "-c",    "exit_on_error=on", database, NULL};
        int fd = memfd_create("sql", MFD_CLOEXEC);
        if (fd < 0)
                return fail_errno(why, "make", "a file in memory");
        int rc = dprintf(fd, "%s", sql) < 0 || lseek(fd, 0, SEEK_SET) != 0
                         ? fail_errno(why, "write", "a file in memory")
                         : run(pg, argv, fd, why);
        close(fd);
        return rc;
}

/* --- the directory --- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
        (void)st;
        (void)type;
        (void)at;
        return remove(path);
}

/* What an interrupted attempt left. */
static void remove_unfinished(const char *path)
{
        char target[PATH_MAX];
        if (realpath(path, target) != NULL)
                nftw(target, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        unlink(path);
}

static int give_to_user(const struct postgres *pg, const char *dir, struct buf *why)
{
        if (pg->as_user && chown(dir, pg->user.uid, pg->user.gid) != 0)
                return fail_errno(why, "hand over", dir);
        return 0;
}

/* Postgres' user cannot pass some directory above the data directory, /root for one: the cluster
 * lives in that user's home, and `path` becomes a link to it. */
static int make_dir_elsewhere(const struct postgres *pg, const char *path, struct buf *why)
{
        char dir[PATH_MAX];
        snprintf(dir, sizeof(dir), "%s/sluice-XXXXXX", pg->user.home);
        if (mkdtemp(dir) == NULL)
                return fail_errno(why, "make the directory", dir);
        int rc = give_to_user(pg, dir, why);
        if (rc == 0 && symlink(dir, path) != 0)
                rc = fail_errno(why, "make the link", path);
        if (rc != 0) {
                rmdir(dir);
                return rc;
        }
        log_info("postgres_elsewhere",
                 "the user postgres cannot reach the data directory: the private Postgres is in %s",
                 dir);
        return 0;
}

static int make_dir(const struct postgres *pg, const char *path, struct buf *why)
{
        remove_unfinished(path);
        if (mkdir(path, 0700) != 0)
                return fail_errno(why, "make the directory", path);
        int rc = give_to_user(pg, path, why);
        if (rc != 0 || !pg->as_user || spawn_can_use_dir(&pg->user, path) == 0)
                return rc;
        rmdir(path);
        return make_dir_elsewhere(pg, path, why);
}

/* --- the whole --- */

static int make_password(char out[POSTGRES_PASSWORD_MAX], struct buf *why)
{
        uint8_t random[16];
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
                return fail_errno(why, "read", "random bytes");
        for (size_t i = 0; i < sizeof(random); i++)
                snprintf(out + 2 * i, 3, "%02x", random[i]);
        return 0;
}

static int fill(const struct postgres *pg, const char *dir, struct buf *why)
{
        char sql[256];
        snprintf(sql, sizeof(sql), "alter role sluice password '%s'\ncreate database sluice\n",
                 pg->password);
        int rc = run_initdb(pg, dir, why);
        if (rc == 0)
                rc = run_sql(pg, dir, "postgres", sql, why);
        if (rc == 0)
                rc = run_sql(pg, dir, "sluice", DEMO_SQL, why);
        return rc;
}

static int make_cluster(struct postgres *pg, const struct datadir *d, struct buf *why)
{
        char path[PATH_MAX], final[PATH_MAX], dir[PATH_MAX];
        datadir_path(d, CLUSTER_NEW, path);
        datadir_path(d, CLUSTER, final);
        log_info("postgres_initdb", "making a private Postgres in %s", final);
        int rc = make_dir(pg, path, why);
        if (rc == 0 && realpath(path, dir) == NULL)
                rc = fail_errno(why, "resolve", path);
        if (rc == 0)
                rc = make_password(pg->password, why);
        if (rc == 0)
                rc = datadir_write_line(d, "postgres.password", pg->password, why);
        if (rc == 0)
                rc = fill(pg, dir, why);
        if (rc == 0 && rename(path, final) != 0)
                rc = fail_errno(why, "rename to", final);
        if (rc != 0)
                remove_unfinished(path);
        return rc;
}

int pgcluster_make(struct postgres *pg, const struct datadir *d, struct buf *why)
{
        SLUICE_ASSERT(pg != NULL && d != NULL);
        char version[32], path[PATH_MAX];
        int rc;
        if (datadir_read_line(d, CLUSTER "/PG_VERSION", version, sizeof(version)) != 0 &&
            (rc = make_cluster(pg, d, why)) != 0)
                return rc;
        rc = datadir_read_line(d, "postgres.password", pg->password, sizeof(pg->password));
        if (rc != 0) {
                buf_puts(why, "postgres.password is missing from the data directory");
                return rc;
        }
        datadir_path(d, CLUSTER, path);
        if (realpath(path, pg->cluster) == NULL)
                return fail_errno(why, "resolve", path);
        return 0;
}
