/* A private Postgres below the data directory, for whoever has none at hand: one cluster with a
 * small demo table, reached over TCP on the loopback address alone, with a password made at its
 * creation.
 *
 *     <root>/postgres/            the cluster; a symbolic link where Postgres' user cannot reach
 * the data directory <root>/postgres.password    of its superuser, 0600 <root>/postgres.port chosen
 * once, kept while it is free <root>/postgres.log         what the server says <root>/database_url
 * for people: psql "$(cat database_url)", 0600
 *
 * Postgres refuses to run as root: then it runs as the user postgres. */
#ifndef SUPERVISOR_POSTGRES_H
#define SUPERVISOR_POSTGRES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "supervisor/child.h"
#include "supervisor/datadir.h"
#include "supervisor/spawn.h"

enum { POSTGRES_PASSWORD_MAX = 64, POSTGRES_URL_MAX = 256, POSTGRES_ARG_MAX = PATH_MAX + 32 };

struct postgres {
        char bin_dir[PATH_MAX];
        char cluster[PATH_MAX];
        bool as_user; /* `user` is meant */
        struct spawn_user user;
        uint16_t port;
        char password[POSTGRES_PASSWORD_MAX];
        char url[POSTGRES_URL_MAX];
        int log_fd;
        /* the server's command line */
        char program[POSTGRES_ARG_MAX];
        char port_arg[32];
};

/* Blocks: makes the cluster when there is none (some seconds), ends a server left over from a
 * supervisor that was killed. Any error code with one line in *why. */
int postgres_prepare(struct postgres *pg, const struct datadir *d, struct buf *why);
void postgres_fini(struct postgres *pg);

/* How to start the server; strings are borrowed from *pg. */
void postgres_child_spec(const struct postgres *pg, struct child_spec *out);
/* The server with that pid accepts connections. */
bool postgres_is_ready(const struct postgres *pg, pid_t pid);

#endif
