#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/svc/loop.h"

/* What happened, one letter each. */
struct trace {
        struct loop *loop;
        char text[128];
        size_t len;
};

static void note(struct trace *t, char c)
{
        assert_true(t->len + 1 < sizeof(t->text));
        t->text[t->len++] = c;
        t->text[t->len] = '\0';
}

static void stop_loop(void *arg)
{
        struct trace *t = arg;
        loop_stop(t->loop);
}

static void note_a(void *arg)
{
        note(arg, 'a');
}

static void note_b(void *arg)
{
        note(arg, 'b');
}

static void note_c(void *arg)
{
        note(arg, 'c');
}

/* ---- posting */

static void post_more(void *arg)
{
        struct trace *t = arg;
        note(t, '(');
        loop_post(t->loop, note_b, t);
        loop_post(t->loop, stop_loop, t);
        note(t, ')');
}

static void test_post_order(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        loop_post(t.loop, note_a, &t);
        loop_post(t.loop, post_more, &t);
        loop_post(t.loop, note_c, &t);
        loop_run(t.loop);
        assert_string_equal(t.text, "a()cb");
        loop_free(t.loop);
}

static void test_stop_before_run(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        loop_stop(t.loop);
        loop_run(t.loop);
        loop_post(t.loop, stop_loop, &t);
        loop_run(t.loop); /* the first stop is used up */
        loop_free(t.loop);
}

static void test_free_runs_what_was_posted(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        loop_post(t.loop, post_more, &t);
        loop_post(t.loop, note_a, &t);
        loop_free(t.loop);
        assert_string_equal(t.text, "()ab");
}

enum { POSTERS = 4, POSTS = 5000 };

struct counter {
        struct loop *loop;
        int next[POSTERS], disorder, total;
};

struct post {
        struct counter *counter;
        int poster, number;
};

static void count_post(void *arg)
{
        struct post *p = arg;
        struct counter *c = p->counter;
        c->disorder += c->next[p->poster]++ != p->number;
        free(p);
        if (++c->total == POSTERS * POSTS)
                loop_stop(c->loop);
}

struct poster {
        struct counter *counter;
        int poster;
};

static void *post_many(void *arg)
{
        struct poster *me = arg;
        for (int i = 0; i < POSTS; i++) {
                struct post *p = malloc(sizeof(*p));
                *p = (struct post){me->counter, me->poster, i};
                loop_post(me->counter->loop, count_post, p);
        }
        return NULL;
}

static void test_posts_of_many_threads(void **state)
{
        (void)state;
        struct counter c = {.loop = loop_new()};
        struct poster posters[POSTERS];
        pthread_t threads[POSTERS];
        for (int i = 0; i < POSTERS; i++) {
                posters[i] = (struct poster){&c, i};
                assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
        }
        loop_run(c.loop);
        for (int i = 0; i < POSTERS; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(c.total, POSTERS * POSTS);
        assert_int_equal(c.disorder, 0);
        loop_free(c.loop);
}

/* ---- file descriptors */

struct pipe_watch {
        struct trace *trace;
        struct loop_fd *watch, *victim;
        int fds[2];
};

static void open_pipe(struct pipe_watch *p, struct trace *t)
{
        *p = (struct pipe_watch){.trace = t};
        assert_int_equal(pipe2(p->fds, O_NONBLOCK), 0);
}

static void close_pipe(struct pipe_watch *p)
{
        for (int i = 0; i < 2; i++)
                if (p->fds[i] >= 0)
                        close(p->fds[i]);
}

static void read_byte(void *arg, uint32_t events)
{
        struct pipe_watch *p = arg;
        char c;
        assert_int_equal(events, LOOP_READ);
        ssize_t n = read(p->fds[0], &c, 1);
        note(p->trace, n == 1 ? c : '.');
        if (n == 0) {
                loop_unwatch(p->watch); /* itself */
                loop_stop(p->trace->loop);
        }
}

static void test_read_until_end(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        struct pipe_watch p;
        open_pipe(&p, &t);
        assert_int_equal(write(p.fds[1], "xyz", 3), 3);
        close(p.fds[1]);
        p.fds[1] = -1;
        p.watch = loop_watch(t.loop, p.fds[0], LOOP_READ, read_byte, &p);
        loop_run(t.loop);
        assert_string_equal(t.text, "xyz.");
        close_pipe(&p);
        loop_free(t.loop);
}

static void write_once(void *arg, uint32_t events)
{
        struct pipe_watch *p = arg;
        assert_int_equal(events, LOOP_WRITE);
        note(p->trace, 'w');
        loop_watch_set(p->watch, 0);
        loop_post(p->trace->loop, stop_loop, p->trace);
}

static void test_write_then_pause(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        struct pipe_watch p;
        open_pipe(&p, &t);
        p.watch = loop_watch(t.loop, p.fds[1], LOOP_WRITE, write_once, &p);
        loop_run(t.loop);
        assert_string_equal(t.text, "w");
        loop_unwatch(p.watch);
        close_pipe(&p);
        loop_free(t.loop);
}

/* A paused descriptor whose peer is gone must not keep the loop busy, nor be reported. */
static void test_paused_hangup_is_silent(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        struct pipe_watch p;
        open_pipe(&p, &t);
        p.watch = loop_watch(t.loop, p.fds[0], LOOP_READ, read_byte, &p);
        loop_watch_set(p.watch, 0);
        close(p.fds[1]);
        p.fds[1] = -1;
        struct loop_timer *timer = loop_timer_new(t.loop, stop_loop, &t);
        loop_timer_set(timer, 5);
        loop_run(t.loop);
        assert_string_equal(t.text, "");
        loop_watch_set(p.watch, LOOP_READ); /* now it is told */
        loop_run(t.loop);
        assert_string_equal(t.text, ".");
        loop_timer_free(timer);
        close_pipe(&p);
        loop_free(t.loop);
}

static void kill_victim(void *arg, uint32_t events)
{
        struct pipe_watch *p = arg;
        (void)events;
        note(p->trace, 'k');
        if (p->victim)
                loop_unwatch(p->victim);
        loop_unwatch(p->watch);
        loop_post(p->trace->loop, stop_loop, p->trace);
}

/* Both are readable in the same turn; whichever runs first ends both. */
static void test_unwatch_another_of_the_same_turn(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        struct pipe_watch p, q;
        open_pipe(&p, &t);
        open_pipe(&q, &t);
        assert_int_equal(write(p.fds[1], "x", 1), 1);
        assert_int_equal(write(q.fds[1], "x", 1), 1);
        p.watch = q.victim = loop_watch(t.loop, p.fds[0], LOOP_READ, kill_victim, &p);
        q.watch = p.victim = loop_watch(t.loop, q.fds[0], LOOP_READ, kill_victim, &q);
        loop_run(t.loop);
        assert_string_equal(t.text, "k");
        close_pipe(&p);
        close_pipe(&q);
        loop_free(t.loop);
}

/* ---- timers */

static void test_timers_run_in_order(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        struct loop_timer *a = loop_timer_new(t.loop, note_a, &t);
        struct loop_timer *b = loop_timer_new(t.loop, note_b, &t);
        struct loop_timer *c = loop_timer_new(t.loop, note_c, &t);
        struct loop_timer *stop = loop_timer_new(t.loop, stop_loop, &t);
        uint64_t start = clock_mono_us();
        assert_false(loop_timer_armed(a));
        loop_timer_set(stop, 30);
        loop_timer_set(c, 20);
        loop_timer_set(a, 1);
        loop_timer_set(b, 1);
        loop_timer_set(a, 10); /* later than it was */
        assert_true(loop_timer_armed(a));
        loop_run(t.loop);
        assert_string_equal(t.text, "bac");
        assert_true(clock_mono_us() - start >= 30000);
        assert_false(loop_timer_armed(a));
        loop_timer_set(a, UINT64_MAX);
        loop_free(t.loop);
        loop_timer_free(a); /* allowed after the loop */
        loop_timer_free(b);
        loop_timer_free(c);
        loop_timer_free(stop);
        loop_timer_free(NULL);
}

struct self_free {
        struct trace *trace;
        struct loop_timer *timer, *other;
};

static void free_self_and_other(void *arg)
{
        struct self_free *s = arg;
        note(s->trace, 'f');
        loop_timer_free(s->other);
        loop_timer_free(s->timer);
        loop_stop(s->trace->loop);
}

static void test_timer_frees_itself_and_another(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        struct self_free s = {.trace = &t};
        s.timer = loop_timer_new(t.loop, free_self_and_other, &s);
        s.other = loop_timer_new(t.loop, note_a, &t);
        loop_timer_set(s.timer, 0);
        loop_timer_set(s.other, 0);
        loop_run(t.loop);
        assert_string_equal(t.text, "f");
        loop_free(t.loop);
}

static struct loop_timer *again;

static void rearm(void *arg)
{
        struct trace *t = arg;
        note(t, 'r');
        loop_timer_set(again, 0);
        if (t->len == 5)
                loop_stop(t->loop);
}

/* A timer that is always due again leaves room for the others. */
static void test_rearming_does_not_starve(void **state)
{
        (void)state;
        struct trace t = {.loop = loop_new()};
        again = loop_timer_new(t.loop, rearm, &t);
        loop_timer_set(again, 0);
        loop_run(t.loop);
        assert_string_equal(t.text, "rrrrr");
        loop_timer_free(again);
        loop_free(t.loop);
}

enum { MANY = 300 };

struct many {
        struct loop *loop;
        struct loop_timer *timers[MANY];
        uint64_t last_due_ms, due_ms[MANY];
        int left, disorder;
};

struct one_of_many {
        struct many *many;
        int i;
};

static void on_many(void *arg)
{
        struct one_of_many *one = arg;
        struct many *m = one->many;
        m->disorder += m->due_ms[one->i] < m->last_due_ms;
        m->last_due_ms = m->due_ms[one->i];
        if (--m->left == 0)
                loop_stop(m->loop);
}

/* The heap under setting, resetting and cancelling: what is left comes in order. */
static void test_many_timers(void **state)
{
        (void)state;
        struct many m = {.loop = loop_new()};
        struct one_of_many ones[MANY];
        srand(9);
        for (int i = 0; i < MANY; i++) {
                ones[i] = (struct one_of_many){&m, i};
                m.timers[i] = loop_timer_new(m.loop, on_many, &ones[i]);
        }
        for (int n = 0; n < 3000; n++) {
                int i = rand() % MANY;
                m.due_ms[i] = (uint64_t)(rand() % 8) * 10; /* further apart than this loop takes */
                loop_timer_set(m.timers[i], m.due_ms[i]);
                if (rand() % 3 == 0)
                        loop_timer_cancel(m.timers[rand() % MANY]);
        }
        for (int i = 0; i < MANY; i++) { /* all times count from about the same moment */
                if (!loop_timer_armed(m.timers[i]))
                        continue;
                loop_timer_set(m.timers[i], m.due_ms[i]);
                m.left++;
        }
        assert_true(m.left > 10);
        loop_run(m.loop);
        assert_int_equal(m.left, 0);
        assert_int_equal(m.disorder, 0);
        for (int i = 0; i < MANY; i++)
                loop_timer_free(m.timers[i]);
        loop_free(m.loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_post_order),
                cmocka_unit_test(test_stop_before_run),
                cmocka_unit_test(test_free_runs_what_was_posted),
                cmocka_unit_test(test_posts_of_many_threads),
                cmocka_unit_test(test_read_until_end),
                cmocka_unit_test(test_write_then_pause),
                cmocka_unit_test(test_paused_hangup_is_silent),
                cmocka_unit_test(test_unwatch_another_of_the_same_turn),
                cmocka_unit_test(test_timers_run_in_order),
                cmocka_unit_test(test_timer_frees_itself_and_another),
                cmocka_unit_test(test_rearming_does_not_starve),
                cmocka_unit_test(test_many_timers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
