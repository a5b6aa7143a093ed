#include "services/router/limit.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hmap.h"
#include "common/base/mem.h"

enum { CHECK_MS = 1000 };

struct limit {
        struct writer *writer;
        uint64_t max;
        struct loop_timer *timer;
        pthread_mutex_t lock;
        struct hmap used; /* shape id -> clock_mono_ms(), never 0 */
};

void limit_used(struct limit *l, uint64_t shape_id)
{
        if (!l)
                return;
        uintptr_t now = (uintptr_t)clock_mono_ms() | 1;
        pthread_mutex_lock(&l->lock);
        (void)hmap_put(&l->used, HMAP_KEY(shape_id), (void *)now);
        pthread_mutex_unlock(&l->lock);
}

void limit_forget(struct limit *l, uint64_t shape_id)
{
        if (!l)
                return;
        pthread_mutex_lock(&l->lock);
        (void)hmap_take(&l->used, HMAP_KEY(shape_id));
        pthread_mutex_unlock(&l->lock);
}

/* ---- on the writer's thread */

struct candidate {
        struct shape *shape;
        uintptr_t used;
};

static int by_use(const void *a, const void *b)
{
        const struct candidate *x = a, *y = b;
        if (x->used != y->used)
                return x->used < y->used ? -1 : 1;
        return (x->shape->id > y->shape->id) - (x->shape->id < y->shape->id);
}

/* Shapes whose snapshot is under way are wanted by somebody. */
static size_t list_candidates(struct limit *l, struct engine *e, struct candidate *out)
{
        size_t n = 0, cursor = 0;
        pthread_mutex_lock(&l->lock);
        for (struct shape *s; (s = registry_next(&e->shapes, &cursor));)
                if (s->state == SHAPE_COMPLETE)
                        out[n++] = (struct candidate){
                                s, (uintptr_t)hmap_find(&l->used, HMAP_KEY(s->id))};
        pthread_mutex_unlock(&l->lock);
        qsort(out, n, sizeof(*out), by_use);
        return n;
}

static void run_check(void *arg, struct engine *e, bool full)
{
        struct limit *l = arg;
        size_t count = registry_count(&e->shapes);
        (void)full;
        if (count <= l->max)
                return;
        struct candidate *list = mem_array(count, sizeof(*list));
        size_t n = list_candidates(l, e, list), surplus = count - l->max;
        for (size_t i = 0; i < n && i < surplus; i++)
                engine_remove(e, list[i].shape, GONE_SURPLUS, SLICE_EMPTY);
        mem_free(list);
}

static void after_check(void *arg, int err)
{
        (void)arg;
        (void)err;
}

/* ---- the loop's */

static void on_timer(void *arg)
{
        struct limit *l = arg;
        writer_post(l->writer, WRITER_COMMIT, run_check, after_check, l);
        loop_timer_set(l->timer, CHECK_MS);
}

struct limit *limit_new(struct loop *loop, struct writer *writer, uint64_t max_shapes)
{
        if (max_shapes == 0)
                return NULL;
        struct limit *l = mem_new(struct limit);
        l->writer = writer;
        l->max = max_shapes;
        l->timer = loop_timer_new(loop, on_timer, l);
        SLUICE_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
        hmap_init(&l->used);
        return l;
}

void limit_start(struct limit *l)
{
        if (l)
                loop_timer_set(l->timer, CHECK_MS);
}

void limit_free(struct limit *l)
{
        if (!l)
                return;
        loop_timer_free(l->timer);
        hmap_fini(&l->used);
        pthread_mutex_destroy(&l->lock);
        mem_free(l);
}
