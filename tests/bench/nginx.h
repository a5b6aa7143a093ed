/* The physical reference for serving: a private nginx, one worker, sendfile, no log, on a free
 * port. */
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
void nginx_stop(struct nginx *n);

#endif
