/* Requests that come while the writer is ahead are answered when it has settled, in order. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "services/router/late.h"

enum { CALLS = 20, TIMEOUT_MS = 20000 };

struct bench {
        struct late *late;
        struct rpc_server *server;
        struct rpc_client *client;
        atomic_bool ahead;
        atomic_int kept, answered, failed;
        sem_t told;
        char dir[32], url[64];
};

static bool is_ahead(void *arg)
{
        struct bench *b = arg;
        return b->ahead;
}

static void answer(void *arg, struct rpc_call *call)
{
        struct bench *b = arg;
        assert_false(b->ahead);
        rpc_reply(call, rpc_call_body(call));
}

static void on_call(void *arg, struct rpc_call *call)
{
        struct bench *b = arg;
        if (late_keep(b->late, call)) {
                b->kept++;
                sem_post(&b->told);
        } else {
                answer(b, call);
        }
}

static void on_reply(void *arg, int err, struct bus_msg *reply)
{
        struct bench *b = arg;
        (void)reply;
        if (err)
                b->failed++;
        else
                b->answered++;
        sem_post(&b->told);
}

static void ask(struct bench *b)
{
        assert_int_equal(rpc_send(b->client, SLICE_LIT("?"), TIMEOUT_MS, on_reply, b), 0);
}

static void await(struct bench *b, int n)
{
        for (int i = 0; i < n; i++)
                assert_int_equal(sem_wait(&b->told), 0);
}

static void bench_open(struct bench *b)
{
        struct buf why;
        buf_init(&why, 1024);
        *b = (struct bench){.dir = "/tmp/late-test-XXXXXX"};
        assert_non_null(mkdtemp(b->dir));
        snprintf(b->url, sizeof(b->url), "ipc://%s/s", b->dir);
        assert_int_equal(sem_init(&b->told, 0, 0), 0);
        b->late = late_new(&(struct late_options){is_ahead, answer, b});
        assert_int_equal(rpc_server_open(&b->server, b->url, CALLS, 1024, on_call, b, &why), 0);
        /* those of the last round may still be in their callbacks */
        assert_int_equal(rpc_client_open(&b->client, b->url, 2 * CALLS, 1024, &why), 0);
        buf_fini(&why);
}

static void bench_close(struct bench *b)
{
        char command[64];
        late_stop(b->late);
        rpc_server_close(b->server);
        late_free(b->late);
        rpc_client_close(b->client);
        snprintf(command, sizeof(command), "rm -rf %s", b->dir);
        assert_int_equal(system(command), 0);
}

static void test_kept_until_settled(void **state)
{
        struct bench b;
        (void)state;
        bench_open(&b);
        ask(&b);
        await(&b, 1);
        assert_int_equal(b.answered, 1);
        for (int round = 0; round < 3; round++) {
                b.ahead = true;
                b.kept = b.answered = 0;
                for (int i = 0; i < CALLS; i++)
                        ask(&b);
                await(&b, CALLS);
                assert_int_equal(b.kept, CALLS);
                assert_int_equal(b.answered, 0);
                b.ahead = false;
                late_settled(b.late);
                await(&b, CALLS);
                assert_int_equal(b.answered, CALLS);
        }
        assert_int_equal(b.failed, 0);
        bench_close(&b);
}

static void test_closed_while_kept(void **state)
{
        struct bench b;
        (void)state;
        bench_open(&b);
        b.ahead = true;
        ask(&b);
        await(&b, 1);
        assert_int_equal(b.kept, 1);
        bench_close(&b);
        assert_int_equal(b.answered, 0);
        assert_int_equal(b.failed, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kept_until_settled),
                cmocka_unit_test(test_closed_while_kept),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
