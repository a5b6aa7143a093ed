/* The load generator's event loop: one thread, epoll, sources that live in their owners. */
#ifndef TESTS_BENCH_NET_H
#define TESTS_BENCH_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_source {
        int fd; /* -1: not watched */
        void (*on_ready)(void *arg, uint32_t epoll_events);
        void *arg;
};

struct net {
        int epfd;
        char *scratch; /* receive buffer shared by all connections */
};

enum { NET_SCRATCH_BYTES = 256 * 1024 };

struct net *net_new(void);
void net_free(struct net *n);
/* `events` as epoll's. The source must stay where it is until removed. */
void net_add(struct net *n, struct net_source *s, uint32_t events);
void net_change(struct net *n, struct net_source *s, uint32_t events);
/* The fd stays open; s->fd becomes -1. Events of this round already fetched for it are dropped. */
void net_remove(struct net *n, struct net_source *s);
/* Waits at most until `deadline_ns` (now_ns()) and runs the callbacks of one round. */
void net_poll(struct net *n, uint64_t deadline_ns);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* One-shot timer. */
struct net_timer {
        struct net_source source;
        struct net *net;
        void (*on_time)(void *arg);
        void *arg;
};

void net_timer_init(struct net_timer *t, struct net *n, void (*on_time)(void *arg), void *arg);
void net_timer_set(struct net_timer *t, uint64_t after_ns);
void net_timer_fini(struct net_timer *t);

#endif
