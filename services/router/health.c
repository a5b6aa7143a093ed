#include "services/router/health.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/svc/svc.h"

enum { LATELY_MS = 2000 };

static struct {
        pthread_mutex_t lock;
        bool following, full;
        uint64_t left_ms;      /* when it was active last; 0: never, or it is */
        enum svc_state leader; /* the state that ingest gives */
        char why[512];
} health = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* With the lock. */
static void show(void)
{
        bool active = !health.full && health.following && health.leader == SVC_ACTIVE;
        if (active)
                health.left_ms = 0;
        else if (svc_get_state(NULL) == SVC_ACTIVE)
                health.left_ms = clock_mono_ms();
        if (health.full)
                svc_set_state(SVC_WAITING, "no space left for the shape logs");
        else if (active)
                svc_set_state(SVC_ACTIVE, "");
        else
                svc_set_state(health.leader == SVC_WAITING ? SVC_WAITING : SVC_STARTING,
                              health.why);
}

void health_init(void)
{
        health_not_following(SLICE_LIT("waiting for ingest"));
}

void health_leader(bool following, uint64_t state, struct slice reason)
{
        pthread_mutex_lock(&health.lock);
        health.following = following;
        health.leader = state <= SVC_ACTIVE ? (enum svc_state)state : SVC_STARTING;
        snprintf(health.why, sizeof(health.why), "%.*s", SLICE_FMT(reason));
        show();
        pthread_mutex_unlock(&health.lock);
}

void health_not_following(struct slice why)
{
        health_leader(false, SVC_STARTING, why);
}

void health_full(bool full)
{
        pthread_mutex_lock(&health.lock);
        health.full = full;
        show();
        pthread_mutex_unlock(&health.lock);
}

bool health_may_begin(void)
{
        if (svc_get_state(NULL) == SVC_ACTIVE)
                return true;
        pthread_mutex_lock(&health.lock);
        bool lately = health.left_ms != 0 && clock_mono_ms() - health.left_ms < LATELY_MS;
        pthread_mutex_unlock(&health.lock);
        return lately;
}
