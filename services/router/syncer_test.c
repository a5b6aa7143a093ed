/* When the store is made durable: soon when a position is to be acknowledged, later when nobody
 * waits. */
#include "common/test/test.h"

#include <pthread.h>

#include "common/base/clock.h"
#include "services/router/syncer.h"
#include "services/router/test_store.h"

enum { LAZY_MS = 200 }; /* less than what the syncer takes when nobody waits, more than otherwise */

struct told {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        uint32_t n;
        lsn_t lsn;
};

static void on_synced(void *arg, lsn_t lsn)
{
        struct told *t = arg;
        pthread_mutex_lock(&t->lock);
        t->n++;
        t->lsn = lsn;
        pthread_cond_signal(&t->changed);
        pthread_mutex_unlock(&t->lock);
}

static void wait_told(struct told *t, uint32_t n, uint64_t lsn)
{
        pthread_mutex_lock(&t->lock);
        while (t->n < n || t->lsn.v != lsn)
                pthread_cond_wait(&t->changed, &t->lock);
        pthread_mutex_unlock(&t->lock);
}

static void test_who_waits(void **state)
{
        struct test_store store;
        struct told t = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        (void)state;
        test_store_open(&store, 16 << 20);
        struct syncer *s = syncer_new(store.store, on_synced, &t);
        syncer_committed(s, (lsn_t){100});
        wait_told(&t, 1, 100);

        /* nobody waits */
        uint64_t began_ms = clock_mono_ms();
        syncer_committed(s, (lsn_t){100});
        wait_told(&t, 2, 100);
        assert_true(clock_mono_ms() - began_ms >= LAZY_MS);

        /* somebody does, after all */
        syncer_committed(s, (lsn_t){100});
        syncer_committed(s, (lsn_t){200});
        wait_told(&t, 3, 200);
        syncer_free(s);
        test_store_close(&store);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who_waits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
