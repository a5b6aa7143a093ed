/* The encoder between real loops: each form is made once, everybody who waits is told, the queue is
 * bounded. */
#include "common/test/test.h"

#include <pthread.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "services/edge/edge.h"
#include "services/edge/encoder.h"

enum { LOOPS = 2, ASKS = 6 };

static struct http_server *server;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static int n_told;

static void *on_start(void *arg, struct http_loop *loop, uint32_t index)
{
        (void)arg;
        (void)index;
        return loop;
}

static void nothing(void *state)
{
        (void)state;
}

static void on_request(void *state, struct http_request *r)
{
        (void)state;
        (void)r;
}

static int open_server(void **state)
{
        (void)state;
        static const struct http_callbacks callbacks = {.on_start = on_start,
                                                        .on_stop = nothing,
                                                        .on_request = on_request,
                                                        .on_tick = nothing,
                                                        .on_work = nothing,
                                                        .on_drain = nothing,
                                                        .on_drained = nothing};
        struct http_conf conf = {.host = "127.0.0.1",
                                 .threads = LOOPS,
                                 .idle_ms = 1000,
                                 .send_timeout_ms = 1000,
                                 .max_body_bytes = 1000,
                                 .bodies_bytes = 1000};
        struct buf why;
        buf_init(&why, 512);
        assert_int_equal(http_server_open(&server, &conf, &callbacks, NULL, &why), 0);
        buf_fini(&why);
        http_server_start(server);
        return 0;
}

static int close_server(void **state)
{
        (void)state;
        http_server_stop(server);
        http_server_free(server);
        return 0;
}

/* On the asker's loop. */
static void on_done(void *state, struct encoder_ask *ask)
{
        SLUICE_ASSERT(state == ask->loop);
        pthread_mutex_lock(&lock);
        n_told++;
        pthread_cond_signal(&told);
        pthread_mutex_unlock(&lock);
}

static void await_told(int n)
{
        pthread_mutex_lock(&lock);
        while (n_told < n)
                pthread_cond_wait(&told, &lock);
        n_told = 0;
        pthread_mutex_unlock(&lock);
}

static char plain[200000];

static void fill(struct slice *part)
{
        for (size_t i = 0; i < sizeof(plain); i++)
                plain[i] = (char)('a' + i * i % 7);
        *part = slice_of(plain, sizeof(plain));
}

static struct encoder_ask ask_for(const char *name, const struct slice *part, uint32_t loop)
{
        return (struct encoder_ask){.loop = http_server_loop(server, loop),
                                    .name = slice_cstr(name),
                                    .coding = CODING_GZIP,
                                    .parts = part,
                                    .n_parts = 1,
                                    .plain_bytes = part->len,
                                    .done = on_done};
}

static void test_once_per_process(void **state)
{
        (void)state;
        struct slice part;
        struct encoder_ask asks[ASKS];
        struct encoder_form *form = NULL, *kept = NULL;
        fill(&part);
        struct encoder *e = encoder_new(1);
        int64_t before = metric_get(&edge_metrics[EDGE_FORMS_MADE]);
        int waiting = 0;
        for (uint32_t i = 0; i < ASKS; i++) {
                asks[i] = ask_for("one", &part, i % LOOPS);
                enum encoder_verdict v = encoder_ask(e, &asks[i], &asks[i].form);
                assert_true(v == ENCODER_WAIT || v == ENCODER_FORM);
                waiting += v == ENCODER_WAIT;
        }
        assert_true(waiting >= 1);
        await_told(waiting);
        assert_int_equal(metric_get(&edge_metrics[EDGE_FORMS_MADE]) - before, 1);
        kept = asks[0].form;
        assert_non_null(kept);
        assert_true(encoder_form_bytes(kept).len < part.len / 8 * 7);
        for (int i = 1; i < ASKS; i++)
                assert_ptr_equal(asks[i].form, kept);
        struct encoder_ask late = ask_for("one", &part, 0);
        assert_int_equal(encoder_ask(e, &late, &form), ENCODER_FORM);
        assert_ptr_equal(form, kept);
        for (int i = 0; i < ASKS + 1; i++)
                encoder_form_unref(e, kept);
        /* Nobody has it any more: it is made anew. */
        late = ask_for("one", &part, 0);
        assert_int_equal(encoder_ask(e, &late, &form), ENCODER_WAIT);
        await_told(1);
        encoder_form_unref(e, late.form);
        encoder_stop(e);
        encoder_free(e);
}

static void test_not_worth_it(void **state)
{
        (void)state;
        uint64_t seed = 3;
        for (size_t i = 0; i < sizeof(plain); i++)
                plain[i] = (char)(test_random(&seed) >> 33);
        struct slice part = slice_of(plain, sizeof(plain));
        struct encoder *e = encoder_new(1);
        struct encoder_ask ask = ask_for("noise", &part, 0);
        struct encoder_form *form = NULL;
        assert_int_equal(encoder_ask(e, &ask, &form), ENCODER_WAIT);
        await_told(1);
        assert_null(ask.form);
        encoder_stop(e);
        encoder_free(e);
}

static void test_bounds(void **state)
{
        (void)state;
        struct slice part;
        struct encoder_form *form = NULL;
        fill(&part);
        struct encoder *e = encoder_new(1);
        struct encoder_ask ask = ask_for("huge", &part, 0);
        ask.plain_bytes = ENCODER_QUEUE_BYTES + 1;
        assert_int_equal(encoder_ask(e, &ask, &form), ENCODER_BUSY);
        encoder_stop(e);
        encoder_free(e);
        e = encoder_new(0);
        ask = ask_for("idle", &part, 0);
        assert_int_equal(encoder_ask(e, &ask, &form), ENCODER_BUSY);
        encoder_stop(e);
        encoder_free(e);
}

/* What has not begun when the process ends is told that it will not come. */
static void test_stop(void **state)
{
        (void)state;
        struct slice part;
        struct encoder_ask asks[ASKS];
        static const char *const names[ASKS] = {"a", "b", "c", "d", "e", "f"};
        fill(&part);
        struct encoder *e = encoder_new(1);
        for (uint32_t i = 0; i < ASKS; i++) {
                asks[i] = ask_for(names[i], &part, i % LOOPS);
                assert_int_equal(encoder_ask(e, &asks[i], &asks[i].form), ENCODER_WAIT);
        }
        encoder_stop(e);
        await_told(ASKS);
        for (int i = 0; i < ASKS; i++)
                if (asks[i].form)
                        encoder_form_unref(e, asks[i].form);
        encoder_free(e);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_once_per_process), cmocka_unit_test(test_not_worth_it),
                cmocka_unit_test(test_bounds), cmocka_unit_test(test_stop)};
        return cmocka_run_group_tests(tests, open_server, close_server);
}
