#include "tests/bench/bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void fail(const char *fmt, ...)
{
        char text[1024];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        size_t n = strlen(text);
        while (n > 0 && text[n - 1] == '\n')
                text[--n] = 0;
        fflush(stdout);
        fprintf(stderr, "sluice-bench: %s\n", text);
        _exit(1);
}

void note(const struct bench *b, const char *fmt, ...)
{
        if (!b->opt->verbose)
                return;
        va_list ap;
        va_start(ap, fmt);
        fprintf(stderr, "  … ");
        vfprintf(stderr, fmt, ap);
        fprintf(stderr, "\n");
        va_end(ap);
}

const char *bench_temp_dir(struct bench *b)
{
        if (!b->shared->temp_dir[0]) {
                char path[sizeof b->shared->temp_dir] = "/tmp/sluice-bench-XXXXXX";
                if (!mkdtemp(path))
                        fail("cannot make a directory in /tmp: %s", strerror(errno));
                memcpy(b->shared->temp_dir, path, sizeof path);
        }
        return b->shared->temp_dir;
}

void bench_wait(struct bench *b, const bool *done, uint64_t seconds, const char *what)
{
        uint64_t deadline = now_ns() + seconds * 1000000000ULL;
        while (!*done) {
                if (now_ns() >= deadline)
                        fail("not within %llu s: %s", (unsigned long long)seconds, what);
                net_poll(b->net, deadline);
        }
}
