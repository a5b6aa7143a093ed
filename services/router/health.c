#include "services/router/health.h"

#include <pthread.h>
#include <stdio.h>

#include "common/svc/svc.h"

static struct {
        pthread_mutex_t lock;
        bool following, full;
        enum svc_state leader; /* the state that ingest gives */
        char why[512];
} health = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* With the lock. */
static void show(void)
{
        if (health.full)
                svc_set_state(SVC_WAITING, "no space left for the shape logs");
        else if (health.following && health.leader == SVC_ACTIVE)
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

bool health_is_active(void)
{
        return svc_get_state(NULL) == SVC_ACTIVE;
}
