/* How soon the edge asks a router for its state; the router is an rpc server that says what the
 * test wants it to. */
#include "services/edge/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "common/base/err.h"

/* Shorter than the second after which an active router is asked again anyway. */
enum { SOON_MS = 700, GIVE_UP_MS = 30000, RESTS = 50 };

struct env {
        struct loop *loop;
        struct upstream *up;
        struct loop_timer *look, *soon;
        void (*then)(struct env *e); /* once the router is known to be active */
        atomic_int state;            /* what the router says */
        atomic_uint polls;
        unsigned polls_before;
        unsigned looks, rests;
        enum svc_state seen;
        unsigned polls_seen;
};

/* NNG's thread. */
static void on_call(void *arg, struct rpc_call *call)
{
        struct env *e = arg;
        union msg m = {.status_ok = {.type = MSG_status_ok,
                                     .state = (uint64_t)atomic_load(&e->state),
                                     .reason = SLICE_LIT("as the test says")}};
        struct buf reply;
        atomic_fetch_add(&e->polls, 1);
        buf_init(&reply, 1024);
        msg_encode(&reply, &m);
        rpc_reply(call, buf_slice(&reply));
        buf_fini(&reply);
}

static void on_soon(void *arg)
{
        struct env *e = arg;
        e->polls_seen = atomic_load(&e->polls) - e->polls_before;
        e->seen = upstream_shard_state(e->up, 0);
        loop_stop(e->loop);
}

static void on_look(void *arg)
{
        struct env *e = arg;
        assert_true(e->looks++ < GIVE_UP_MS);
        /* the second poll comes soon after the first one, which did not know yet; its answer is
         * let arrive */
        if (upstream_shard_state(e->up, 0) != SVC_ACTIVE || atomic_load(&e->polls) < 2 ||
            e->rests++ < RESTS) {
                loop_timer_set(e->look, 1);
                return;
        }
        e->polls_before = atomic_load(&e->polls);
        loop_timer_set(e->soon, SOON_MS);
        e->then(e);
}

/* What is known SOON_MS after `then`. */
static void run(struct env *e, void (*then)(struct env *e))
{
        static const struct upstream_callbacks none = {0};
        struct rpc_server *router;
        struct pub *notices;
        struct buf why;
        *e = (struct env){.loop = loop_new(), .then = then};
        atomic_init(&e->state, SVC_ACTIVE);
        buf_init(&why, 1024);
        assert_int_equal(
                rpc_server_open(&router, "inproc://upstream", 8, 1 << 20, on_call, e, &why), 0);
        assert_int_equal(pub_open(&notices, "inproc://upstream-notices", 8, &why), 0);
        assert_int_equal(upstream_open(&e->up, "inproc://upstream-notices", "inproc://upstream",
                                       &none, e->loop, &why),
                         0);
        e->look = loop_timer_new(e->loop, on_look, e);
        e->soon = loop_timer_new(e->loop, on_soon, e);
        loop_timer_set(e->look, 1);
        upstream_start(e->up);
        loop_run(e->loop);
        upstream_stop(e->up);
        upstream_free(e->up);
        loop_timer_free(e->look);
        loop_timer_free(e->soon);
        loop_free(e->loop);
        pub_close(notices);
        rpc_server_close(router);
        buf_fini(&why);
}

static void nothing(struct env *e)
{
        (void)e;
}

static void ask(struct env *e)
{
        atomic_store(&e->state, SVC_WAITING);
        upstream_ask(e->up, 0);
}

static void doubt(struct env *e)
{
        upstream_doubt(e->up, 0);
        assert_int_equal(upstream_shard_state(e->up, 0), SVC_STARTING);
}

/* As a measure for the others. */
static void test_an_active_router_is_left_alone(void **state)
{
        struct env e;
        (void)state;
        run(&e, nothing);
        assert_int_equal(e.polls_seen, 0);
}

/* Its notices say that it is another process: what it says then counts at once, and as long as it
 * is not active it is asked again and again. */
static void test_asked_at_once(void **state)
{
        struct env e;
        (void)state;
        run(&e, ask);
        assert_int_equal(e.seen, SVC_WAITING);
        assert_true(e.polls_seen > 1);
}

/* It has told a client that it is not ready; it is by now. */
static void test_doubts_are_short(void **state)
{
        struct env e;
        (void)state;
        run(&e, doubt);
        assert_int_equal(e.seen, SVC_ACTIVE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_active_router_is_left_alone),
                cmocka_unit_test(test_asked_at_once),
                cmocka_unit_test(test_doubts_are_short),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
