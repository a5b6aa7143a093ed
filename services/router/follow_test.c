/* Following a leader that this test plays: missing frames, refused acknowledgements, another
 * leader, a purge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/bus/bus.h"
#include "common/svc/loop.h"
#include "common/svc/svc.h"
#include "common/wire/msg.h"
#include "common/wire/wr.h"
#include "services/router/follow.h"
#include "services/router/test_engine.h"

/* One ingest: publishes, answers, remembers what it was asked. */
struct leader {
        struct pub *pub;
        struct rpc_server *server;
        char changes[96], control[96];

        pthread_mutex_t lock;
        pthread_cond_t asked;
        bool leads, refuse_acks, purge;
        uint64_t epoch, next_seq, start;
        uint32_t hellos, replays;
        struct msg_hello hello;
        struct msg_ack ack; /* the newest */
        uint64_t received;  /* what acknowledgements are answered with */
        struct buf frames[16];
};

static void reply(struct rpc_call *call, const union msg *m)
{
        struct buf out;
        buf_init(&out, 1 << 20);
        msg_encode(&out, m);
        rpc_reply(call, buf_slice(&out));
        buf_fini(&out);
}

static void refuse(struct rpc_call *call, uint64_t status)
{
        reply(call, &(union msg){.failed = {.type = MSG_failed,
                                            .status = status,
                                            .body = SLICE_EMPTY,
                                            .message = SLICE_LIT("no"),
                                            .handle = SLICE_EMPTY}});
}

static void on_hello(struct leader *l, struct rpc_call *call, const struct msg_hello *m)
{
        l->hellos++;
        l->hello = *m;
        if (!l->leads) {
                refuse(call, 503);
                return;
        }
        reply(call, &(union msg){.hello_ok = {.type = MSG_hello_ok,
                                              .epoch = l->epoch,
                                              .system_id = 5,
                                              .timeline = 1,
                                              .next_seq = l->next_seq,
                                              .start_lsn = l->start,
                                              .purge = l->purge}});
}

static void on_replay(struct leader *l, struct rpc_call *call, const struct msg_replay *m)
{
        struct buf frames;
        buf_init(&frames, 1 << 20);
        l->replays++;
        for (uint64_t seq = m->from_seq; seq < 16 && m->epoch == l->epoch; seq++)
                if (l->frames[seq].len)
                        wr_bin(&frames, buf_slice(&l->frames[seq]));
                else
                        break;
        reply(call,
              &(union msg){.replay_ok = {.type = MSG_replay_ok, .frames = buf_slice(&frames)}});
        buf_fini(&frames);
}

static void on_call(void *arg, struct rpc_call *call)
{
        struct leader *l = arg;
        union msg m;
        assert_int_equal(msg_decode(rpc_call_body(call), &m), 0);
        pthread_mutex_lock(&l->lock);
        if (m.type == MSG_hello) {
                on_hello(l, call, &m.hello);
        } else if (m.type == MSG_replay) {
                on_replay(l, call, &m.replay);
        } else if (l->refuse_acks || !l->leads) {
                refuse(call, 409);
        } else {
                l->ack = m.ack;
                reply(call, &(union msg){.status_ok = {.type = MSG_status_ok,
                                                       .state = SVC_ACTIVE,
                                                       .reason = SLICE_EMPTY,
                                                       .lsn = l->received}});
        }
        pthread_cond_broadcast(&l->asked);
        pthread_mutex_unlock(&l->lock);
}

static void leader_open(struct leader *l, const char *dir, int i)
{
        struct buf why;
        buf_init(&why, 1024);
        *l = (struct leader){.next_seq = 1};
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->asked, NULL);
        snprintf(l->changes, sizeof(l->changes), "ipc://%s/changes%d", dir, i);
        snprintf(l->control, sizeof(l->control), "ipc://%s/control%d", dir, i);
        for (int seq = 0; seq < 16; seq++)
                buf_init(&l->frames[seq], 1 << 20);
        assert_int_equal(pub_open(&l->pub, l->changes, 100, &why), 0);
        assert_int_equal(rpc_server_open(&l->server, l->control, 16, 1 << 20, on_call, l, &why), 0);
        buf_fini(&why);
}

static void leader_close(struct leader *l)
{
        pub_close(l->pub);
        rpc_server_close(l->server);
        for (int seq = 0; seq < 16; seq++)
                buf_fini(&l->frames[seq]);
}

/* ---- the router's side */

struct bench {
        struct test_store store;
        struct test_stream stream;
        struct leader leaders[2];
        struct notify *notify;
        struct writer *writer;
        struct loop *loop;
        struct follow *follow;
        pthread_t thread;
        uint32_t gone;
};

static void on_applied(void *arg, uint64_t epoch, uint64_t seq, lsn_t applied)
{
        struct bench *b = arg;
        follow_applied(b->follow, epoch, seq, applied);
}

static void on_settled(void *arg)
{
        (void)arg;
}

static void on_committed(void *arg, lsn_t applied)
{
        struct bench *b = arg;
        follow_synced(b->follow, applied);
}

static void on_lost(void *arg)
{
        struct bench *b = arg;
        follow_lost(b->follow);
}

static void on_full(void *arg, bool full)
{
        (void)arg;
        (void)full;
}

static void on_gone(void *arg, const struct shape *s)
{
        (void)arg;
        (void)s;
}

static void on_described(void *arg, uint32_t oid)
{
        (void)arg;
        (void)oid;
}

static void on_table(void *arg, uint32_t oid, bool used)
{
        (void)arg;
        (void)oid;
        (void)used;
}

static void *run_loop(void *arg)
{
        loop_run(arg);
        return NULL;
}

static void bench_open(struct bench *b)
{
        struct buf why;
        char url[96], changes[200], control[200];
        buf_init(&why, 1024);
        *b = (struct bench){0};
        test_store_open(&b->store, 64 << 20);
        stream_open(&b->stream);
        leader_open(&b->leaders[0], b->store.dir, 0);
        leader_open(&b->leaders[1], b->store.dir, 1);
        snprintf(url, sizeof(url), "ipc://%s/notices", b->store.dir);
        snprintf(changes, sizeof(changes), "%s, %s", b->leaders[0].changes, b->leaders[1].changes);
        snprintf(control, sizeof(control), "%s,%s", b->leaders[0].control, b->leaders[1].control);
        assert_int_equal(notify_open(&b->notify, url, 1, &why), 0);
        struct writer_options o = {.engine = {.store = b->store.store,
                                              .chunk_bytes = 1 << 20,
                                              .max_pending = 1 << 20,
                                              .max_held = 1 << 20,
                                              .wall_us = test_clock},
                                   .notify = b->notify,
                                   .max_queue_bytes = 1 << 20,
                                   .arg = b,
                                   .on_applied = on_applied,
                                   .on_committed = on_committed,
                                   .on_settled = on_settled,
                                   .on_lost = on_lost,
                                   .on_full = on_full,
                                   .on_gone = on_gone,
                                   .on_table = on_table,
                                   .on_described = on_described};
        assert_int_equal(writer_open(&b->writer, &o, &why), 0);
        b->loop = loop_new();
        struct follow_options f = {.loop = b->loop,
                                   .writer = b->writer,
                                   .index = 2,
                                   .changes_urls = changes,
                                   .control_urls = control};
        assert_int_equal(follow_open(&b->follow, &f, &why), 0);
        writer_start(b->writer);
        follow_start(b->follow);
        assert_int_equal(pthread_create(&b->thread, NULL, run_loop, b->loop), 0);
        buf_fini(&why);
}

static void bench_close(struct bench *b)
{
        follow_stop(b->follow);
        writer_stop(b->writer);
        loop_stop(b->loop);
        pthread_join(b->thread, NULL);
        follow_close(b->follow);
        loop_free(b->loop);
        writer_close(b->writer);
        notify_close(b->notify);
        leader_close(&b->leaders[0]);
        leader_close(&b->leaders[1]);
        stream_close(&b->stream);
        test_store_close(&b->store);
}

/* Frame `seq` of the leader, kept for replays; sent when `send`. */
static void publish(struct bench *b, struct leader *l, uint64_t seq, uint64_t commit, bool send)
{
        stream_begin(&b->stream, (uint32_t)commit, commit, true);
        stream_insert(&b->stream, 0, "1", "x");
        stream_end(&b->stream, true);
        struct batch *batch = stream_cut(&b->stream, commit);
        pthread_mutex_lock(&l->lock);
        buf_reset(&l->frames[seq]);
        pub_frame(&l->frames[seq], l->epoch, seq, batch->bytes);
        pthread_mutex_unlock(&l->lock);
        batch_unref(batch);
        if (send)
                pub_send(l->pub, buf_slice(&l->frames[seq]));
}

static void lead(struct leader *l, uint64_t epoch, uint64_t start, bool purge)
{
        pthread_mutex_lock(&l->lock);
        l->leads = true;
        l->epoch = epoch;
        l->start = start;
        l->purge = purge;
        pthread_mutex_unlock(&l->lock);
}

/* Until the leader knows that `seq` is applied and synced. */
static void wait_acked(struct leader *l, uint64_t seq)
{
        pthread_mutex_lock(&l->lock);
        while (l->ack.epoch != l->epoch || l->ack.seq != seq ||
               l->ack.synced_lsn != l->ack.applied_lsn)
                pthread_cond_wait(&l->asked, &l->lock);
        pthread_mutex_unlock(&l->lock);
}

static void wait_replays(struct leader *l, uint32_t n)
{
        pthread_mutex_lock(&l->lock);
        while (l->replays < n)
                pthread_cond_wait(&l->asked, &l->lock);
        pthread_mutex_unlock(&l->lock);
}

static void test_gaps(void **state)
{
        struct bench b;
        struct leader *l = &b.leaders[1];
        (void)state;
        bench_open(&b);
        lead(l, 7, 500, false); /* the other one is a standby */
        wait_acked(l, 0);
        assert_int_equal(l->ack.router, 2);
        assert_int_equal(l->hello.applied_lsn, 0);
        publish(&b, l, 1, 1000, true);
        wait_acked(l, 1);
        wait_replays(l, 1); /* what it asks for when it joins */
        /* two are lost; the one after them makes it known */
        publish(&b, l, 2, 1100, false);
        publish(&b, l, 3, 1200, false);
        publish(&b, l, 4, 1300, true);
        wait_acked(l, 4);
        assert_int_equal(l->replays, 2);
        assert_int_equal(l->ack.applied_lsn, 1300);
        /* twice is once */
        pub_send(l->pub, buf_slice(&l->frames[4]));
        pub_send(l->pub, SLICE_LIT("not a frame"));
        publish(&b, l, 5, 1400, true);
        wait_acked(l, 5);
        assert_int_equal(l->hellos >= 1, 1);
        bench_close(&b);
}

/* What was published before the router joined is fetched at once, not when more comes. */
static void test_late(void **state)
{
        struct bench b;
        struct leader *l = &b.leaders[0];
        (void)state;
        bench_open(&b);
        l->epoch = 7;
        publish(&b, l, 1, 1000, false);
        publish(&b, l, 2, 1100, false);
        lead(l, 7, 500, false);
        wait_acked(l, 2);
        assert_int_equal(l->ack.applied_lsn, 1100);
        bench_close(&b);
}

/* The leader has more and nothing comes: it is fetched, and the bus connects again. */
static void test_unheard(void **state)
{
        struct bench b;
        struct leader *l = &b.leaders[0];
        (void)state;
        bench_open(&b);
        lead(l, 7, 500, false);
        wait_acked(l, 0);
        wait_replays(l, 1);
        publish(&b, l, 1, 1000, false);
        publish(&b, l, 2, 1100, false);
        pthread_mutex_lock(&l->lock);
        l->received = 1100;
        pthread_mutex_unlock(&l->lock);
        wait_acked(l, 2);
        assert_int_equal(l->ack.applied_lsn, 1100);
        assert_int_equal(l->replays, 2);
        /* and goes on by the new connection, or is fetched when it is not there yet */
        publish(&b, l, 3, 1200, true);
        pthread_mutex_lock(&l->lock);
        l->received = 1200;
        pthread_mutex_unlock(&l->lock);
        wait_acked(l, 3);
        bench_close(&b);
}

static void test_another_leader(void **state)
{
        struct bench b;
        struct leader *old = &b.leaders[0], *new = &b.leaders[1];
        (void)state;
        bench_open(&b);
        lead(old, 7, 500, false);
        wait_acked(old, 0);
        publish(&b, old, 1, 1000, true);
        wait_acked(old, 1);
        /* the other one took over and speaks */
        pthread_mutex_lock(&old->lock);
        old->leads = false;
        pthread_mutex_unlock(&old->lock);
        lead(new, 9, 1000, false);
        publish(&b, new, 1, 1100, true);
        wait_acked(new, 1); /* the frame that announced it is asked for again */
        assert_int_equal(new->hello.applied_lsn, 1000);
        assert_int_equal(new->hello.system_id, 5);
        publish(&b, new, 2, 1200, true);
        wait_acked(new, 2);

        /* what is missing is gone: said hello again */
        uint32_t hellos = new->hellos;
        pthread_mutex_lock(&new->lock);
        new->next_seq = 5;
        new->start = 1200;
        pthread_mutex_unlock(&new->lock);
        publish(&b, new, 4, 1400, true);
        pthread_mutex_lock(&new->lock);
        while (new->hellos == hellos)
                pthread_cond_wait(&new->asked, &new->lock);
        pthread_mutex_unlock(&new->lock);
        wait_acked(new, 4);
        publish(&b, new, 5, 1500, true);
        wait_acked(new, 5);

        /* an acknowledgement is refused: hello, and everything is dropped on demand */
        pthread_mutex_lock(&new->lock);
        hellos = new->hellos;
        new->refuse_acks = true;
        new->purge = true;
        new->next_seq = 1;
        new->epoch = 12;
        new->start = 100;
        pthread_mutex_unlock(&new->lock);
        pthread_mutex_lock(&new->lock);
        while (new->hellos == hellos)
                pthread_cond_wait(&new->asked, &new->lock);
        new->refuse_acks = false;
        pthread_mutex_unlock(&new->lock);
        wait_acked(new, 0);
        publish(&b, new, 1, 200, true);
        wait_acked(new, 1);
        assert_int_equal(new->ack.applied_lsn, 200);
        bench_close(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gaps),
                cmocka_unit_test(test_late),
                cmocka_unit_test(test_unheard),
                cmocka_unit_test(test_another_leader),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
