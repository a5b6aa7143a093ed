/* A store in a directory of its own, for the tests of this directory. */
#ifndef SERVICES_ROUTER_TEST_STORE_H
#define SERVICES_ROUTER_TEST_STORE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/store/store.h"
#include "common/test/test.h"

struct test_store {
        struct store *store;
        char dir[64];
        size_t max_bytes;
};

static inline void test_store_start(struct test_store *s)
{
        struct buf why;
        bool unclean;
        struct store_options o = {
                .path = s->dir, .format = "test 1", .max_bytes = s->max_bytes, .max_readers = 16};
        buf_init(&why, 1024);
        int err = store_open(&s->store, &o, &unclean, &why);
        if (err)
                fail_msg("%s", buf_cstr(&why));
        buf_fini(&why);
}

static inline void test_store_open(struct test_store *s, size_t max_bytes)
{
        snprintf(s->dir, sizeof(s->dir), "/tmp/sluice-test-XXXXXX");
        s->max_bytes = max_bytes;
        assert_non_null(mkdtemp(s->dir));
        test_store_start(s);
}

static inline void test_store_reopen(struct test_store *s)
{
        store_close(s->store);
        test_store_start(s);
}

static inline int test_store_remove(const char *path, const struct stat *st, int flag,
                                    struct FTW *ftw)
{
        (void)st;
        (void)flag;
        (void)ftw;
        return remove(path);
}

static inline void test_store_close(struct test_store *s)
{
        store_close(s->store);
        nftw(s->dir, test_store_remove, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
