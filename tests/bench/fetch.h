/* A fixed list of GETs, one after the other on one connection: the same for the server under test
 * and for the reference that serves the same bytes, so that what differs is the server. */
#ifndef TESTS_BENCH_FETCH_H
#define TESTS_BENCH_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/http.h"

struct bench;

struct page {
        char *path;
        char *reference_path;
        uint64_t bytes; /* of the body */
        uint64_t hash;  /* XXH3 of the body */
        bool frozen;    /* the body may not change any more */
};

enum fetch_from { FETCH_SERVER, FETCH_REFERENCE };
/* Lengths are checked always; hashing costs time. */
enum fetch_check { FETCH_LENGTHS, FETCH_HASHES };

/* Gets all pages over `target`; the time from the first request to the last byte. Fails the run on
 * a wrong status, length or hash of a frozen page. The connection is made before the clock starts.
 */
uint64_t fetch_pages(struct bench *b, const struct http_target *target, enum fetch_from from,
                     const struct page *pages, int count, enum fetch_check check);

/* Syncs the shape, keeping every body as a file <dir>/<n> and its page. Returns the number of
 * pages; *pages is the caller's, see fetch_free(). */
int fetch_capture(struct bench *b, const char *definition, const char *dir, struct page **pages);
void fetch_free(struct page *pages, int count);

#endif
