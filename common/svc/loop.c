/* One thread's event loop.
 *
 * A turn: wait for events or the next timer, run what was posted, the events, the timers that are
 * due. What a callback posts or arms runs in a later turn, so no source can starve another.
 *
 * Callbacks may unwatch or free anything, themselves included: a watch that ends is unhooked at
 * once and its memory kept until the turn's events are done, because the kernel's answer may still
 * name it. Timers leave the heap before their callback runs.
 *
 * The queue of posted functions has no limit of its own: whoever posts bounds what it has under way
 * (I7). */
#include "common/svc/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/list.h"
#include "common/base/mem.h"

enum {
        LOOP_MAGIC = 0x4c4f4f50,
        WATCH_MAGIC = 0x57415443,
        TIMER_MAGIC = 0x54494d45,
        EVENTS_PER_TURN = 128,
        IDLE = -1, /* heap position of a timer that is not armed */
};

static const uint64_t LONGEST_MS = 1000ULL * 60 * 60 * 24 * 365 * 100;

struct posted {
        loop_callback *cb;
        void *arg;
};

struct posted_queue {
        struct posted *items;
        size_t n, cap;
};

struct loop {
        uint32_t magic;
        int epoll_fd, wake_fd;
        struct list dead;         /* loop_fd.node: ended in this turn */
        struct loop_timer **heap; /* by (due, seq), least first */
        size_t n_timers, timers_cap;
        uint64_t timer_seq;
        struct posted_queue running; /* the loop's own, swapped with `inbox` */

        pthread_mutex_t lock; /* guards what follows */
        struct posted_queue inbox;
        bool woken; /* wake_fd has been written for this inbox */
        _Atomic bool stop;
};

struct loop_fd {
        uint32_t magic;
        struct loop *loop;
        struct list node;
        int fd;
        uint32_t events;
        bool dead;
        loop_fd_callback *cb;
        void *arg;
};

struct loop_timer {
        uint32_t magic;
        struct loop *loop;
        uint64_t due_us;
        uint64_t seq; /* equal due times run in the order they were set */
        ptrdiff_t at; /* in the heap, or IDLE */
        loop_callback *cb;
        void *arg;
};

/* ---- life */

struct loop *loop_new(void)
{
        struct loop *l = mem_new(struct loop);
        l->magic = LOOP_MAGIC;
        l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        SLUICE_ASSERT(l->epoll_fd >= 0);
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        SLUICE_ASSERT(l->wake_fd >= 0);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
        SLUICE_ASSERT(epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) == 0);
        SLUICE_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
        list_init(&l->dead);
        return l;
}

static void bury_dead(struct loop *l)
{
        struct list *node;
        while ((node = list_pop_front(&l->dead)))
                mem_free(LIST_OBJ(node, struct loop_fd, node));
}

/* ---- posting */

static void wake(struct loop *l)
{
        uint64_t one = 1;
        ssize_t n;
        do
                n = write(l->wake_fd, &one, sizeof(one));
        while (n < 0 && errno == EINTR);
        SLUICE_ASSERT(n == sizeof(one) || errno == EAGAIN); /* EAGAIN: it is awake already */
}

void loop_post(struct loop *l, loop_callback *cb, void *arg)
{
        CHECK_OBJ(l, LOOP_MAGIC);
        SLUICE_ASSERT(cb != NULL);
        pthread_mutex_lock(&l->lock);
        struct posted_queue *q = &l->inbox;
        if (q->n == q->cap) {
                q->cap = q->cap ? q->cap * 2 : 64;
                q->items = mem_resize(q->items, q->cap, sizeof(*q->items));
        }
        q->items[q->n++] = (struct posted){cb, arg};
        if (!l->woken) {
                l->woken = true;
                wake(l); /* under the lock: once it is released the loop may stop and be freed */
        }
        pthread_mutex_unlock(&l->lock);
}

void loop_stop(struct loop *l)
{
        CHECK_OBJ(l, LOOP_MAGIC);
        pthread_mutex_lock(&l->lock);
        atomic_store(&l->stop, true);
        wake(l);
        pthread_mutex_unlock(&l->lock);
}

static void swap_inbox(struct loop *l)
{
        pthread_mutex_lock(&l->lock);
        struct posted_queue full = l->inbox;
        l->inbox = l->running;
        l->running = full;
        l->woken = false;
        pthread_mutex_unlock(&l->lock);
}

/* Returns how many ran. */
static size_t run_posted(struct loop *l)
{
        swap_inbox(l);
        size_t n = l->running.n;
        for (size_t i = 0; i < n; i++)
                l->running.items[i].cb(l->running.items[i].arg);
        l->running.n = 0;
        return n;
}

void loop_free(struct loop *l)
{
        CHECK_OBJ(l, LOOP_MAGIC);
        while (run_posted(l) > 0)
                ;
        bury_dead(l);
        for (size_t i = 0; i < l->n_timers; i++)
                l->heap[i]->at = IDLE; /* so that freeing it later does not look for its loop */
        close(l->epoll_fd);
        close(l->wake_fd);
        pthread_mutex_destroy(&l->lock);
        mem_free(l->heap);
        mem_free(l->running.items);
        mem_free(l->inbox.items);
        l->magic = 0;
        mem_free(l);
}

/* ---- file descriptors */

static uint32_t to_epoll(uint32_t events)
{
        return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) |
               (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

/* An error or a hang-up is shown as whatever the watch waits for: the next read or write tells. */
static uint32_t from_epoll(uint32_t epoll_events, uint32_t wanted)
{
        if (epoll_events & (EPOLLERR | EPOLLHUP))
                return wanted;
        uint32_t events = (epoll_events & EPOLLIN ? (uint32_t)LOOP_READ : 0) |
                          (epoll_events & EPOLLOUT ? (uint32_t)LOOP_WRITE : 0);
        return events & wanted;
}

struct loop_fd *loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_callback *cb, void *arg)
{
        CHECK_OBJ(l, LOOP_MAGIC);
        SLUICE_ASSERT(fd >= 0 && cb != NULL);
        struct loop_fd *w = mem_new(struct loop_fd);
        *w = (struct loop_fd){.magic = WATCH_MAGIC, .loop = l, .fd = fd, .cb = cb, .arg = arg};
        list_init(&w->node);
        loop_watch_set(w, events);
        return w;
}

/* A paused descriptor leaves the set: epoll would report its hang-up all the same, for ever. */
void loop_watch_set(struct loop_fd *w, uint32_t events)
{
        CHECK_OBJ(w, WATCH_MAGIC);
        SLUICE_ASSERT(!w->dead && (events & ~(uint32_t)(LOOP_READ | LOOP_WRITE)) == 0);
        if (events == w->events)
                return;
        int op = w->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
        struct epoll_event ev = {.events = to_epoll(events), .data.ptr = w};
        SLUICE_ASSERT(epoll_ctl(w->loop->epoll_fd, op, w->fd, &ev) == 0);
        w->events = events;
}

void loop_unwatch(struct loop_fd *w)
{
        CHECK_OBJ(w, WATCH_MAGIC);
        SLUICE_ASSERT(!w->dead);
        if (w->events) /* fails when the descriptor was closed first: then it has left by itself */
                (void)epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
        w->dead = true;
        list_push_back(&w->loop->dead, &w->node);
}

static void drain_wake_fd(struct loop *l)
{
        uint64_t count;
        ssize_t n = read(l->wake_fd, &count, sizeof(count));
        SLUICE_ASSERT(n == sizeof(count) || errno == EAGAIN || errno == EINTR);
}

static void run_events(const struct epoll_event *events, int n)
{
        for (int i = 0; i < n; i++) {
                struct loop_fd *w = events[i].data.ptr;
                if (!w || w->dead)
                        continue;
                CHECK_OBJ(w, WATCH_MAGIC);
                uint32_t ready = from_epoll(events[i].events, w->events);
                if (ready)
                        w->cb(w->arg, ready);
        }
}

/* ---- timers: a binary heap that knows where each timer stands */

static bool timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
        return a->due_us != b->due_us ? a->due_us < b->due_us : a->seq < b->seq;
}

static void heap_place(struct loop *l, size_t at, struct loop_timer *t)
{
        l->heap[at] = t;
        t->at = (ptrdiff_t)at;
}

static void heap_up(struct loop *l, size_t at)
{
        struct loop_timer *t = l->heap[at];
        while (at > 0 && timer_before(t, l->heap[(at - 1) / 2])) {
                heap_place(l, at, l->heap[(at - 1) / 2]);
                at = (at - 1) / 2;
        }
        heap_place(l, at, t);
}

static void heap_down(struct loop *l, size_t at)
{
        struct loop_timer *t = l->heap[at];
        for (;;) {
                size_t child = 2 * at + 1;
                if (child >= l->n_timers)
                        break;
                if (child + 1 < l->n_timers && timer_before(l->heap[child + 1], l->heap[child]))
                        child++;
                if (!timer_before(l->heap[child], t))
                        break;
                heap_place(l, at, l->heap[child]);
                at = child;
        }
        heap_place(l, at, t);
}

static void heap_add(struct loop *l, struct loop_timer *t)
{
        if (l->n_timers == l->timers_cap) {
                l->timers_cap = l->timers_cap ? l->timers_cap * 2 : 16;
                l->heap = mem_resize(l->heap, l->timers_cap, sizeof(struct loop_timer *));
        }
        size_t at = l->n_timers++;
        heap_place(l, at, t);
        heap_up(l, at);
}

static void heap_remove(struct loop *l, struct loop_timer *t)
{
        size_t at = (size_t)t->at;
        SLUICE_ASSERT(at < l->n_timers && l->heap[at] == t);
        struct loop_timer *last = l->heap[--l->n_timers];
        t->at = IDLE;
        if (last == t)
                return;
        heap_place(l, at, last);
        heap_up(l, at);
        heap_down(l, (size_t)last->at);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_callback *cb, void *arg)
{
        CHECK_OBJ(l, LOOP_MAGIC);
        SLUICE_ASSERT(cb != NULL);
        struct loop_timer *t = mem_new(struct loop_timer);
        *t = (struct loop_timer){.magic = TIMER_MAGIC, .loop = l, .at = IDLE, .cb = cb, .arg = arg};
        return t;
}

void loop_timer_set(struct loop_timer *t, uint64_t after_ms)
{
        CHECK_OBJ(t, TIMER_MAGIC);
        loop_timer_cancel(t);
        t->due_us = clock_mono_us() + (after_ms < LONGEST_MS ? after_ms : LONGEST_MS) * 1000;
        t->seq = t->loop->timer_seq++;
        heap_add(t->loop, t);
}

void loop_timer_cancel(struct loop_timer *t)
{
        CHECK_OBJ(t, TIMER_MAGIC);
        if (t->at != IDLE)
                heap_remove(t->loop, t);
}

bool loop_timer_armed(const struct loop_timer *t)
{
        CHECK_OBJ(t, TIMER_MAGIC);
        return t->at != IDLE;
}

void loop_timer_free(struct loop_timer *t)
{
        if (!t)
                return;
        loop_timer_cancel(t);
        t->magic = 0;
        mem_free(t);
}

static void run_timers(struct loop *l)
{
        uint64_t now = clock_mono_us(), limit = l->timer_seq;
        while (l->n_timers > 0 && l->heap[0]->due_us <= now && l->heap[0]->seq < limit) {
                struct loop_timer *t = l->heap[0];
                heap_remove(l, t);
                t->cb(t->arg);
        }
}

/* Milliseconds until the next timer, rounded up so that it is due when we wake; -1: none. */
static int wait_ms(const struct loop *l)
{
        if (l->n_timers == 0)
                return -1;
        uint64_t now = clock_mono_us(), due = l->heap[0]->due_us;
        if (due <= now)
                return 0;
        uint64_t ms = (due - now + 999) / 1000;
        return ms > 3600000 ? 3600000 : (int)ms;
}

/* ---- running */

static void turn(struct loop *l)
{
        struct epoll_event events[EVENTS_PER_TURN];
        int n = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, wait_ms(l));
        SLUICE_ASSERT(n >= 0 || errno == EINTR);
        for (int i = 0; i < n; i++)
                if (!events[i].data.ptr)
                        drain_wake_fd(l);
        run_posted(l);
        run_events(events, n);
        run_timers(l);
        bury_dead(l);
}

void loop_run(struct loop *l)
{
        CHECK_OBJ(l, LOOP_MAGIC);
        while (!atomic_exchange(&l->stop, false))
                turn(l);
}
