/* A private nginx, one worker, on a free port: the physical reference for serving (sendfile, no
 * log), or a cache in front of the server. */
#ifndef TESTS_BENCH_NGINX_H
#define TESTS_BENCH_NGINX_H

#include <sys/types.h>

#include "tests/bench/http.h"

struct bench;

struct nginx {
        pid_t pid;
        struct http_target target;
        char url[64];
};

/* Serves the files of `dir`, an absolute path; ready when this returns. <file>.gz is sent to
 * clients that take gzip. */
void nginx_start(struct nginx *n, struct bench *b, const char *dir);
/* Stands in front of the server under test as deploy/cache/nginx.conf does: what may be kept is
 * kept, requests for the same URL become one. Each request that went on to the server leaves a line
 * in the file `log` when it has been answered. */
void nginx_start_cache(struct nginx *n, struct bench *b, const char *log);
void nginx_stop(struct nginx *n);

#endif
