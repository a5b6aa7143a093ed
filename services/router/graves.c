#include "services/router/graves.h"

#include <pthread.h>

#include "common/base/mem.h"

enum { N_GRAVES = 256, KEEP_MS = 10000 };

struct grave {
        uint64_t id, created_us, until_ms;
        struct slice failed; /* owned */
};

struct graves {
        pthread_mutex_t lock;
        uint32_t next;
        struct grave list[N_GRAVES];
};

struct graves *graves_new(void)
{
        struct graves *g = mem_new(struct graves);
        pthread_mutex_init(&g->lock, NULL);
        return g;
}

void graves_free(struct graves *g)
{
        if (!g)
                return;
        for (uint32_t i = 0; i < N_GRAVES; i++)
                mem_free((void *)g->list[i].failed.p);
        pthread_mutex_destroy(&g->lock);
        mem_free(g);
}

void graves_dig(struct graves *g, uint64_t id, uint64_t created_us, struct slice failed,
                uint64_t now_ms)
{
        pthread_mutex_lock(&g->lock);
        struct grave *grave = &g->list[g->next++ % N_GRAVES];
        mem_free((void *)grave->failed.p);
        *grave = (struct grave){id, created_us, now_ms + KEEP_MS, slice_dup(failed)};
        pthread_mutex_unlock(&g->lock);
}

bool graves_find(struct graves *g, uint64_t id, uint64_t created_us, uint64_t now_ms,
                 struct buf *out)
{
        bool found = false;
        pthread_mutex_lock(&g->lock);
        for (uint32_t i = 0; i < N_GRAVES && !found; i++) {
                const struct grave *grave = &g->list[i];
                found = grave->failed.p && grave->id == id && grave->created_us == created_us &&
                        grave->until_ms > now_ms;
                if (found)
                        buf_put_slice(out, grave->failed);
        }
        pthread_mutex_unlock(&g->lock);
        return found;
}
