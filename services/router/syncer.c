#include "services/router/syncer.h"

#include <pthread.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/fault/fault.h"
#include "common/obs/log.h"
#include "common/svc/svc.h"
#include "services/router/metrics.h"

enum {
        INTERVAL_US = 8000,
        IDLE_US =
                250000, /* when nobody waits for it: rows of snapshots, shapes that came or went */
        CHECK_READERS_US = 1000000,
        RETRY_US = 1000000,
        SLOW_US = 1000000
};

struct syncer {
        struct store *store;
        void (*on_synced)(void *arg, lsn_t);
        void *arg;
        pthread_t thread;

        pthread_mutex_t lock;
        pthread_cond_t wake;
        lsn_t committed;
        uint64_t dirty_since_us;   /* what is committed and not synced */
        uint64_t awaited_since_us; /* what is to be acknowledged, too; 0: nothing */
        bool dirty, stopping;
};

static struct timespec at_us(uint64_t us)
{
        return (struct timespec){.tv_sec = (time_t)(us / 1000000),
                                 .tv_nsec = (long)(us % 1000000) * 1000};
}

static uint64_t due_us(const struct syncer *s)
{
        return s->awaited_since_us ? s->awaited_since_us + INTERVAL_US
                                   : s->dirty_since_us + IDLE_US;
}

/* Until there is something to sync and it is time, or `check_at`. True: sync. A sync waits for
 * more to come first: nobody waits for it but Postgres' WAL, and at once it would compete with the
 * edges and clients that have just been told. */
static bool wait_for_work(struct syncer *s, uint64_t not_before, uint64_t check_at)
{
        for (;;) {
                uint64_t now = clock_mono_us(), due = check_at;
                if (s->dirty) {
                        due = due_us(s);
                        due = due > not_before ? due : not_before;
                }
                if (s->stopping || now >= check_at)
                        return false;
                if (s->dirty && now >= due)
                        return true;
                uint64_t until = due < check_at ? due : check_at;
                struct timespec ts = at_us(until);
                pthread_cond_timedwait(&s->wake, &s->lock, &ts);
        }
}

/* True when it went well. */
static bool sync_once(struct syncer *s)
{
        lsn_t committed = s->committed;
        s->dirty = false;
        s->awaited_since_us = 0;
        pthread_mutex_unlock(&s->lock);
        uint64_t began = clock_mono_us();
        fault_point(FAULT_ROUTER_SYNC_BEFORE);
        int err = store_sync(s->store);
        fault_point(FAULT_ROUTER_SYNC_AFTER);
        uint64_t took = clock_mono_us() - began;
        if (took > SLOW_US)
                log_warning("sync_slow", "the disk took %u ms to make the shape logs durable",
                            (unsigned)(took / 1000));
        pthread_mutex_lock(&s->lock);
        if (err == ERR_FULL) {
                s->dirty = true;
                log_error("sync_full", "no space left to make the shape logs durable");
                return false;
        }
        if (err) {
                /* what the kernel could not write it may have forgotten: only a restart tells what
                 * is there */
                svc_fail(1, "sync_failed", "cannot make the store durable: %s", err_text(err));
                s->stopping = true;
                return false;
        }
        count(METRIC_SYNCS, 1);
        pthread_mutex_unlock(&s->lock);
        s->on_synced(s->arg, committed);
        pthread_mutex_lock(&s->lock);
        return true;
}

static void *syncer_main(void *arg)
{
        struct syncer *s = arg;
        uint64_t not_before = 0, check_at = clock_mono_us() + CHECK_READERS_US;
        pthread_mutex_lock(&s->lock);
        while (!s->stopping) {
                if (wait_for_work(s, not_before, check_at)) {
                        uint64_t now = clock_mono_us();
                        not_before = sync_once(s) ? now : now + RETRY_US;
                } else if (!s->stopping) {
                        store_check_readers(s->store);
                        gauge(METRIC_STORE_BYTES, store_used_bytes(s->store));
                        check_at = clock_mono_us() + CHECK_READERS_US;
                }
        }
        pthread_mutex_unlock(&s->lock);
        return NULL;
}

struct syncer *syncer_new(struct store *store, void (*on_synced)(void *arg, lsn_t), void *arg)
{
        struct syncer *s = mem_new(struct syncer);
        pthread_condattr_t attr;
        *s = (struct syncer){.store = store, .on_synced = on_synced, .arg = arg};
        pthread_mutex_init(&s->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&s->wake, &attr);
        pthread_condattr_destroy(&attr);
        int err = pthread_create(&s->thread, NULL, syncer_main, s);
        SLUICE_ASSERT(err == 0);
        return s;
}

void syncer_free(struct syncer *s)
{
        if (!s)
                return;
        pthread_mutex_lock(&s->lock);
        s->stopping = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->lock);
        mem_free(s);
}

void syncer_committed(struct syncer *s, lsn_t lsn)
{
        pthread_mutex_lock(&s->lock);
        bool awaited = lsn_cmp(lsn, s->committed) != 0;
        uint64_t now = clock_mono_us();
        if (!s->dirty || (awaited && !s->awaited_since_us))
                pthread_cond_signal(&s->wake);
        if (!s->dirty)
                s->dirty_since_us = now;
        if (awaited && !s->awaited_since_us)
                s->awaited_since_us = now;
        s->dirty = true;
        s->committed = lsn;
        pthread_mutex_unlock(&s->lock);
}
