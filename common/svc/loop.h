/* An event loop of one thread: file descriptors, timers, and functions posted from other threads.
 * epoll. */
#ifndef COMMON_SVC_LOOP_H
#define COMMON_SVC_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void loop_fd_callback(void *arg, uint32_t events);
typedef void loop_callback(void *arg);

/* Asserts that the kernel gives what is asked. */
struct loop *loop_new(void);
/* Runs what was posted and not run yet, cancels the timers, then frees. Watches end before it;
 * timers may be freed after it. */
void loop_free(struct loop *l);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
/* Any thread. */
void loop_stop(struct loop *l);
/* Any thread: `cb(arg)` runs on the loop, in the order posted, never inside this call. The queue
 * has no limit of its own: callers bound what they have under way (I7). */
void loop_post(struct loop *l, loop_callback *cb, void *arg);

/* The rest: the loop's own thread, or before it runs. */
struct loop_fd *loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_callback *cb,
                           void *arg);
void loop_watch_set(struct loop_fd *w, uint32_t events); /* 0: paused */
/* The fd stays open. Allowed inside any callback. */
void loop_unwatch(struct loop_fd *w);

/* One-shot; armed again by loop_timer_set(). */
struct loop_timer *loop_timer_new(struct loop *l, loop_callback *cb, void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t after_ms);
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_armed(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

#endif
