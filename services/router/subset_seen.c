#include "services/router/subset_seen.h"

#include <errno.h>
#include <semaphore.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"

struct question {
        const struct pg_snapshot *snapshot;
        struct subset_unseen *out;
        int err;
        sem_t done;
};

static void add(struct subset_unseen *u, uint32_t xid)
{
        if (u->n == u->cap) {
                u->cap = u->cap ? u->cap * 2 : 16;
                u->xids = mem_resize(u->xids, u->cap, sizeof(*u->xids));
        }
        u->xids[u->n++] = xid;
}

static void run(void *arg, struct engine *e, bool full)
{
        struct question *q = arg;
        const struct pg_snapshot *s = q->snapshot;
        (void)full;
        for (uint32_t i = 0; i < s->n_xip; i++)
                if (xidset_has(e->xids, (uint32_t)s->xip[i]))
                        add(q->out, (uint32_t)s->xip[i]);
        for (uint32_t xid = (uint32_t)s->xmax; xidset_next(e->xids, &xid); xid++)
                add(q->out, xid);
}

static void after(void *arg, int err)
{
        struct question *q = arg;
        q->err = err;
        SLUICE_ASSERT(sem_post(&q->done) == 0);
}

int subset_unseen_list(struct writer *w, const struct pg_snapshot *s, struct subset_unseen *out)
{
        struct question q = {.snapshot = s, .out = out};
        SLUICE_ASSERT(sem_init(&q.done, 0, 0) == 0);
        writer_post(w, WRITER_ANYTIME, run, after, &q);
        while (sem_wait(&q.done) != 0)
                SLUICE_ASSERT(errno == EINTR);
        sem_destroy(&q.done);
        return q.err;
}

bool subset_unseen_passed(const struct subset_unseen *u, const struct pg_snapshot *s)
{
        for (uint32_t i = 0; i < u->n; i++)
                if (!pg_snapshot_sees(s, u->xids[i]))
                        return false;
        return true;
}

void subset_unseen_fini(struct subset_unseen *u)
{
        mem_free(u->xids);
        *u = (struct subset_unseen){0};
}
