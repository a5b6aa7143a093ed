#include "tests/bench/net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

enum { ROUND = 256 };
#define NS_PER_S 1000000000ULL

uint64_t now_ns(void)
{
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The events of the round being dispatched, so that net_remove() can drop those of a dead source.
 */
static struct epoll_event round_events[ROUND];
static int round_count;

struct net *net_new(void)
{
        struct net *n = mem_new(struct net);
        n->epfd = epoll_create1(EPOLL_CLOEXEC);
        SLUICE_ASSERT(n->epfd >= 0);
        n->scratch = mem_array(NET_SCRATCH_BYTES, 1);
        return n;
}

void net_free(struct net *n)
{
        close(n->epfd);
        mem_free(n->scratch);
        mem_free(n);
}

static void control(struct net *n, int op, struct net_source *s, uint32_t events)
{
        struct epoll_event e = {.events = events, .data.ptr = s};
        SLUICE_ASSERT(epoll_ctl(n->epfd, op, s->fd, &e) == 0);
}

void net_add(struct net *n, struct net_source *s, uint32_t events)
{
        control(n, EPOLL_CTL_ADD, s, events);
}

void net_change(struct net *n, struct net_source *s, uint32_t events)
{
        control(n, EPOLL_CTL_MOD, s, events);
}

void net_remove(struct net *n, struct net_source *s)
{
        control(n, EPOLL_CTL_DEL, s, 0);
        s->fd = -1;
        for (int i = 0; i < round_count; i++)
                if (round_events[i].data.ptr == s)
                        round_events[i].data.ptr = NULL;
}

void net_poll(struct net *n, uint64_t deadline_ns)
{
        uint64_t now = now_ns();
        uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        struct timespec ts = {.tv_sec = (time_t)(left / NS_PER_S),
                              .tv_nsec = (long)(left % NS_PER_S)};
        round_count = epoll_pwait2(n->epfd, round_events, ROUND, &ts, NULL);
        SLUICE_ASSERT(round_count >= 0 || errno == EINTR);
        for (int i = 0; i < round_count; i++) {
                struct net_source *s = round_events[i].data.ptr;
                if (s)
                        s->on_ready(s->arg, round_events[i].events);
        }
        round_count = 0;
}

static void timer_ready(void *arg, uint32_t events)
{
        (void)events;
        struct net_timer *t = arg;
        uint64_t expirations;
        if (read(t->source.fd, &expirations, sizeof expirations) == sizeof expirations)
                t->on_time(t->arg);
}

void net_timer_init(struct net_timer *t, struct net *n, void (*on_time)(void *arg), void *arg)
{
        *t = (struct net_timer){.net = n, .on_time = on_time, .arg = arg};
        t->source = (struct net_source){
                .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
                .on_ready = timer_ready,
                .arg = t};
        SLUICE_ASSERT(t->source.fd >= 0);
        net_add(n, &t->source, EPOLLIN);
}

void net_timer_set(struct net_timer *t, uint64_t after_ns)
{
        if (after_ns == 0)
                after_ns = 1; /* 0 would disarm */
        struct itimerspec when = {.it_value = {.tv_sec = (time_t)(after_ns / NS_PER_S),
                                               .tv_nsec = (long)(after_ns % NS_PER_S)}};
        SLUICE_ASSERT(timerfd_settime(t->source.fd, 0, &when, NULL) == 0);
}

void net_timer_fini(struct net_timer *t)
{
        int fd = t->source.fd;
        net_remove(t->net, &t->source);
        close(fd);
}
