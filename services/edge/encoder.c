#include "services/edge/encoder.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/hmap.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "services/edge/compress.h"
#include "services/edge/edge.h"

enum { FORM_MAGIC = 0xf03e0001 };

struct encoder_form {
        uint32_t magic;
        uint32_t refs; /* 0 while it is being made */
        struct slice name;
        struct slice bytes; /* of the result; p is NULL before */
        struct list node;   /* in encoder.queue, until a thread takes it */
        struct list asks;   /* whoever waits for it; the first lends the plain bytes */
};

/* All below the lock, the threads' array apart. */
struct encoder {
        pthread_mutex_t lock;
        pthread_cond_t work;
        struct hmap forms; /* name -> struct encoder_form */
        struct list queue;
        size_t plain_bytes; /* that wait or are in work */
        bool stopping;
        uint32_t n_threads;
        pthread_t *threads;
};

static struct encoder_ask *first_ask(const struct encoder_form *f)
{
        SLUICE_ASSERT(!list_empty(&f->asks));
        return LIST_OBJ(f->asks.next, struct encoder_ask, node);
}

static void free_form(struct encoder_form *f)
{
        mem_free((void *)(uintptr_t)f->bytes.p);
        mem_free((void *)(uintptr_t)f->name.p);
        f->magic = 0;
        mem_free(f);
}

/* ---- telling */

static void deliver(void *state, struct http_post *post)
{
        struct encoder_ask *ask = (struct encoder_ask *)(void *)post;
        ask->done(state, ask);
}

/* The asks leave the form, each with a reference when it was `made`; the caller posts them. Locked.
 */
static void settle(struct encoder *e, struct encoder_form *f, bool made, struct list *told)
{
        struct list *node;
        e->plain_bytes -= first_ask(f)->plain_bytes;
        while ((node = list_pop_front(&f->asks))) {
                LIST_OBJ(node, struct encoder_ask, node)->form = made ? f : NULL;
                f->refs += made;
                list_push_back(told, node);
        }
        if (made)
                return;
        hmap_take(&e->forms, f->name);
        free_form(f);
}

/* An ask may be gone as soon as it is posted. */
static void tell(struct list *told)
{
        struct list *node;
        while ((node = list_pop_front(told))) {
                struct encoder_ask *ask = LIST_OBJ(node, struct encoder_ask, node);
                ask->post.cb = deliver;
                http_loop_post(ask->loop, &ask->post);
        }
}

/* ---- the threads */

/* True when the form is worth having: at least an eighth smaller. */
static bool make(struct encoder_form *f)
{
        const struct encoder_ask *ask = first_ask(f);
        int err = compress_body(ask->coding, ask->parts, ask->n_parts, ask->plain_bytes / 8 * 7,
                                &f->bytes);
        if (err != 0 && err != ERR_LIMIT)
                log_error("compress_failed", "%.*s of %zu bytes: %s",
                          (int)coding_name(ask->coding).len, coding_name(ask->coding).p,
                          ask->plain_bytes, err_text(err));
        edge_count(EDGE_FORMS_MADE, err == 0);
        return err == 0;
}

static struct encoder_form *next_form(struct encoder *e)
{
        struct list *node = NULL;
        while (!e->stopping && !(node = list_pop_front(&e->queue)))
                pthread_cond_wait(&e->work, &e->lock);
        return node ? LIST_OBJ(node, struct encoder_form, node) : NULL;
}

static void *encoder_main(void *arg)
{
        struct encoder *e = arg;
        struct encoder_form *f;
        setpriority(PRIO_PROCESS, (id_t)gettid(), ENCODER_NICE);
        pthread_mutex_lock(&e->lock);
        while ((f = next_form(e))) {
                struct list told;
                list_init(&told);
                pthread_mutex_unlock(&e->lock);
                bool made = make(f);
                pthread_mutex_lock(&e->lock);
                settle(e, f, made, &told);
                pthread_mutex_unlock(&e->lock);
                tell(&told);
                pthread_mutex_lock(&e->lock);
        }
        pthread_mutex_unlock(&e->lock);
        return NULL;
}

struct encoder *encoder_new(uint32_t threads)
{
        struct encoder *e = mem_new(struct encoder);
        pthread_mutex_init(&e->lock, NULL);
        pthread_cond_init(&e->work, NULL);
        hmap_init(&e->forms);
        list_init(&e->queue);
        e->n_threads = threads;
        e->threads = mem_array(threads + 1, sizeof(*e->threads));
        for (uint32_t i = 0; i < threads; i++)
                SLUICE_ASSERT(pthread_create(&e->threads[i], NULL, encoder_main, e) == 0);
        return e;
}

void encoder_stop(struct encoder *e)
{
        struct list told, *node;
        list_init(&told);
        pthread_mutex_lock(&e->lock);
        e->stopping = true;
        pthread_cond_broadcast(&e->work);
        pthread_mutex_unlock(&e->lock);
        for (uint32_t i = 0; i < e->n_threads; i++)
                pthread_join(e->threads[i], NULL);
        while ((node = list_pop_front(&e->queue)))
                settle(e, LIST_OBJ(node, struct encoder_form, node), false, &told);
        tell(&told);
}

void encoder_free(struct encoder *e)
{
        SLUICE_ASSERT(hmap_count(&e->forms) == 0);
        hmap_fini(&e->forms);
        pthread_cond_destroy(&e->work);
        pthread_mutex_destroy(&e->lock);
        mem_free(e->threads);
        mem_free(e);
}

/* ---- asking */

static bool is_full(const struct encoder *e, const struct encoder_ask *ask)
{
        return e->n_threads == 0 || e->stopping ||
               e->plain_bytes + ask->plain_bytes > ENCODER_QUEUE_BYTES;
}

static void enqueue(struct encoder *e, struct encoder_ask *ask)
{
        struct encoder_form *f = mem_new(struct encoder_form);
        f->magic = FORM_MAGIC;
        f->name = slice_dup(ask->name);
        list_init(&f->asks);
        list_push_back(&f->asks, &ask->node);
        list_push_back(&e->queue, &f->node);
        hmap_put(&e->forms, f->name, f);
        e->plain_bytes += ask->plain_bytes;
        pthread_cond_signal(&e->work);
}

enum encoder_verdict encoder_ask(struct encoder *e, struct encoder_ask *ask,
                                 struct encoder_form **out)
{
        enum encoder_verdict verdict = ENCODER_WAIT;
        SLUICE_ASSERT(ask->n_parts > 0 && ask->done);
        pthread_mutex_lock(&e->lock);
        struct encoder_form *f = hmap_find(&e->forms, ask->name);
        if (f && f->refs > 0) {
                f->refs++;
                *out = f;
                verdict = ENCODER_FORM;
        } else if (f) {
                list_push_back(&f->asks, &ask->node);
        } else if (is_full(e, ask)) {
                verdict = ENCODER_BUSY;
        } else {
                enqueue(e, ask);
        }
        pthread_mutex_unlock(&e->lock);
        return verdict;
}

struct slice encoder_form_bytes(const struct encoder_form *f)
{
        CHECK_OBJ(f, FORM_MAGIC);
        return f->bytes;
}

void encoder_form_unref(struct encoder *e, struct encoder_form *f)
{
        CHECK_OBJ(f, FORM_MAGIC);
        pthread_mutex_lock(&e->lock);
        SLUICE_ASSERT(f->refs > 0);
        bool last = --f->refs == 0;
        if (last)
                hmap_take(&e->forms, f->name);
        pthread_mutex_unlock(&e->lock);
        if (last)
                free_form(f);
}
