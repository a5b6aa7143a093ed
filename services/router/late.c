#include "services/router/late.h"

#include <pthread.h>

#include "common/base/assert.h"
#include "common/base/list.h"
#include "common/base/mem.h"

struct kept {
        struct list node;
        struct rpc_call *call;
};

struct late {
        struct late_options o;
        pthread_t thread;

        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct list kept;  /* until the writer has settled */
        struct list ready; /* to be answered */
        bool stopping;
};

static void move_all(struct list *from, struct list *to)
{
        for (struct list *n; (n = list_pop_front(from));)
                list_push_back(to, n);
}

static void *late_main(void *arg)
{
        struct late *l = arg;
        pthread_mutex_lock(&l->lock);
        while (!l->stopping) {
                struct list *n = list_pop_front(&l->ready);
                if (!n) {
                        pthread_cond_wait(&l->wake, &l->lock);
                        continue;
                }
                pthread_mutex_unlock(&l->lock);
                struct kept *k = LIST_OBJ(n, struct kept, node);
                l->o.answer(l->o.arg, k->call);
                mem_free(k);
                pthread_mutex_lock(&l->lock);
        }
        pthread_mutex_unlock(&l->lock);
        return NULL;
}

struct late *late_new(const struct late_options *o)
{
        struct late *l = mem_new(struct late);
        l->o = *o;
        list_init(&l->kept);
        list_init(&l->ready);
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->wake, NULL);
        int err = pthread_create(&l->thread, NULL, late_main, l);
        SLUICE_ASSERT(err == 0);
        return l;
}

void late_stop(struct late *l)
{
        pthread_mutex_lock(&l->lock);
        bool running = !l->stopping;
        l->stopping = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        if (running)
                pthread_join(l->thread, NULL);
}

void late_free(struct late *l)
{
        if (!l)
                return;
        late_stop(l);
        move_all(&l->kept, &l->ready);
        for (struct list *n; (n = list_pop_front(&l->ready));)
                mem_free(LIST_OBJ(n, struct kept, node));
        pthread_cond_destroy(&l->wake);
        pthread_mutex_destroy(&l->lock);
        mem_free(l);
}

/* Asked again under the lock: what is kept before late_settled() takes it is not forgotten. */
bool late_keep(struct late *l, struct rpc_call *call)
{
        if (!l->o.is_ahead(l->o.arg))
                return false;
        pthread_mutex_lock(&l->lock);
        bool keep = l->o.is_ahead(l->o.arg);
        if (keep) {
                struct kept *k = mem_new(struct kept);
                k->call = call;
                list_init(&k->node);
                list_push_back(&l->kept, &k->node);
        }
        pthread_mutex_unlock(&l->lock);
        return keep;
}

void late_settled(struct late *l)
{
        pthread_mutex_lock(&l->lock);
        if (!list_empty(&l->kept)) {
                move_all(&l->kept, &l->ready);
                pthread_cond_signal(&l->wake);
        }
        pthread_mutex_unlock(&l->lock);
}
