#include "common/test/test.h"

#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/ingest/feedback.h"
#include "services/ingest/peers.h"

static const struct term TERM = {
        .epoch = 9, .system_id = 77, .timeline = 1, .start = {100}, .known = {500}};

static void push(struct window *w, uint64_t last_lsn)
{
        window_push(w, window_next_seq(w), (lsn_t){last_lsn}, slice_dup(SLICE_LIT("frame")));
}

static struct msg_hello hello_of(uint64_t router, uint64_t applied, uint64_t synced)
{
        return (struct msg_hello){MSG_hello, router, 8, 77, 1, applied, synced};
}

static void test_hello(void **state)
{
        (void)state;
        struct peers p = {0};
        struct msg_hello_ok ok;
        struct window *w = window_new(1000, 16, TERM.start);
        peers_begin(&p, 2, &TERM);
        push(w, 200);
        push(w, 300);
        lsn_t reach = {300};

        struct msg_hello fresh = hello_of(0, 0, 0);
        fresh.system_id = fresh.timeline = 0;
        assert_int_equal(peers_hello(&p, &fresh, w, reach, &ok), HELLO_FOLLOW);
        assert_false(ok.purge);
        assert_int_equal(ok.next_seq, 3);
        assert_int_equal(ok.start_lsn, 300);

        struct msg_hello of_last_term = hello_of(1, 200, 250); /* compares it with what it has */
        assert_int_equal(peers_hello(&p, &of_last_term, w, reach, &ok), HELLO_FOLLOW);
        assert_false(ok.purge);
        assert_int_equal(ok.next_seq, 1);
        assert_int_equal(ok.start_lsn, 100);
        assert_int_equal(p.list[1].synced.v, 200);

        struct msg_hello behind = hello_of(1, 200, 150);
        behind.epoch = TERM.epoch;
        assert_int_equal(peers_hello(&p, &behind, w, reach, &ok), HELLO_FOLLOW);
        assert_false(ok.purge);
        assert_int_equal(ok.next_seq, 2);
        assert_int_equal(ok.start_lsn, 200);
        assert_int_equal(p.list[1].synced.v, 150);

        struct msg_hello beyond_stream =
                hello_of(1, 450, 450); /* knows more of the WAL than this term has brought */
        beyond_stream.epoch = TERM.epoch;
        assert_int_equal(peers_hello(&p, &beyond_stream, w, reach, &ok), HELLO_FOLLOW);
        assert_false(ok.purge);
        assert_int_equal(ok.next_seq, 3);

        struct msg_hello nobody = hello_of(2, 200, 200);
        assert_int_equal(peers_hello(&p, &nobody, w, reach, &ok), HELLO_UNKNOWN);
        window_free(w);
}

static void expect_purge_in(const struct term *term, struct msg_hello hello)
{
        struct peers p = {0};
        struct msg_hello_ok ok;
        struct window *w = window_new(1000, 16, TERM.start);
        peers_begin(&p, 1, term);
        push(w, 200);
        assert_int_equal(peers_hello(&p, &hello, w, (lsn_t){200}, &ok), HELLO_FOLLOW);
        assert_true(ok.purge);
        assert_int_equal(ok.next_seq, 2);
        assert_int_equal(ok.start_lsn, 200);
        window_free(w);
}

static void expect_purge(struct msg_hello hello)
{
        expect_purge_in(&TERM, hello);
}

/* Whoever followed an earlier term cannot go on from a slot that was made in this one, even where
 * the positions would allow it; who followed this one can. */
static void test_slot_made_now(void **state)
{
        (void)state;
        struct term term = TERM;
        struct peers p = {0};
        struct msg_hello_ok ok;
        struct msg_hello hello = hello_of(0, 200, 200);
        struct window *w = window_new(1000, 16, TERM.start);
        term.slot_epoch = term.epoch;
        expect_purge_in(&term, hello);
        peers_begin(&p, 1, &term);
        push(w, 200);
        hello.epoch = term.epoch;
        assert_int_equal(peers_hello(&p, &hello, w, (lsn_t){200}, &ok), HELLO_FOLLOW);
        assert_false(ok.purge);
        window_free(w);
}

/* A router that has followed a later epoch: of another leader, or of a database that has gone back.
 */
static void test_later_epoch(void **state)
{
        (void)state;
        struct peers p = {0};
        struct msg_hello_ok ok;
        struct msg_hello hello = hello_of(0, 200, 200);
        struct term next = TERM;
        struct window *w = window_new(1000, 16, TERM.start);
        push(w, 200);
        hello.epoch = TERM.epoch + 5;
        peers_begin(&p, 1, &TERM);
        for (int i = 0; i < 2; i++) /* this term cannot tell */
                assert_int_equal(peers_hello(&p, &hello, w, (lsn_t){200}, &ok), HELLO_AHEAD);

        next.epoch = TERM.epoch + 1; /* the next one is not later either: the database went back */
        peers_begin(&p, 1, &next);
        assert_int_equal(peers_hello(&p, &hello, w, (lsn_t){200}, &ok), HELLO_FOLLOW);
        assert_true(ok.purge);

        hello.epoch = TERM.epoch + 9; /* which says nothing about a claim that is higher still */
        assert_int_equal(peers_hello(&p, &hello, w, (lsn_t){200}, &ok), HELLO_AHEAD);
        next.epoch = TERM.epoch + 10; /* this term is later: somebody else led between */
        peers_begin(&p, 1, &next);
        assert_int_equal(peers_hello(&p, &hello, w, (lsn_t){200}, &ok), HELLO_FOLLOW);
        assert_false(ok.purge);
        window_free(w);
}

static void test_purge(void **state)
{
        (void)state;
        struct msg_hello other_system = hello_of(0, 200, 200), promoted = other_system;
        other_system.system_id = 78;
        expect_purge(other_system);
        promoted.timeline = 2;
        expect_purge(promoted);
        expect_purge(hello_of(0, 501, 501)); /* beyond what the database has */
        expect_purge(hello_of(0, 99, 99));   /* the slot begins after it */
}

static void test_restart(void **state)
{
        (void)state;
        struct peers p = {0};
        struct msg_hello_ok ok;
        struct window *w = window_new(1000, 16, TERM.start);
        peers_begin(&p, 2, &TERM);
        push(w, 200);
        push(w, 300);
        struct msg_hello behind = hello_of(1, 150, 150), of_last_term = hello_of(1, 250, 250);
        behind.epoch = TERM.epoch;
        window_release(w, 1);
        assert_int_equal(peers_hello(&p, &of_last_term, w, (lsn_t){300}, &ok), HELLO_RESTART);
        assert_int_equal(peers_hello(&p, &behind, w, (lsn_t){300}, &ok), HELLO_RESTART);
        assert_false(p.list[1].heard);
        window_free(w);
}

static void test_ack(void **state)
{
        (void)state;
        struct peers p = {0};
        struct msg_hello_ok ok;
        struct window *w = window_new(1000, 16, TERM.start);
        lsn_t reach = {600};
        peers_begin(&p, 2, &TERM);
        push(w, 600);
        struct msg_hello hello = hello_of(0, 100, 100);
        struct msg_ack ack = {MSG_ack, 0, 9, 1, 600, 550};
        assert_int_equal(peers_ack(&p, &ack, w, reach), ERR_NOTFOUND); /* not introduced */
        assert_int_equal(peers_hello(&p, &hello, w, reach, &ok), HELLO_FOLLOW);
        assert_int_equal(peers_acked_seq(&p), 0);
        assert_int_equal(peers_ack(&p, &ack, w, reach), 0);
        assert_int_equal(peers_acked_seq(&p), 1);
        ack.seq = 2;
        assert_int_equal(peers_ack(&p, &ack, w, reach), ERR_RANGE); /* not published */
        ack.seq = 1;
        ack.applied_lsn = 601;
        assert_int_equal(peers_ack(&p, &ack, w, reach), ERR_RANGE);
        ack.applied_lsn = 500;
        ack.synced_lsn = 501;
        assert_int_equal(peers_ack(&p, &ack, w, reach), ERR_RANGE);
        ack.epoch = 8;
        assert_int_equal(peers_ack(&p, &ack, w, reach), ERR_NOTFOUND);
        assert_int_equal(p.list[0].synced.v, 550);
        window_free(w);
}

/* I3 against the plain definition: never beyond what any configured router has synced, never back.
 */
static void test_confirm(void **state)
{
        (void)state;
        uint64_t seed = 3;
        for (int round = 0; round < 300; round++) {
                struct peers p = {0};
                uint32_t n = 1 + (uint32_t)(test_random(&seed) % 4);
                uint64_t synced[4], before = TERM.start.v;
                bool heard[4] = {false};
                struct window *w = window_new(1000, 16, TERM.start);
                peers_begin(&p, n, &TERM);
                for (uint32_t i = 0; i < 4; i++)
                        synced[i] = TERM.start.v;
                for (int step = 0; step < 40; step++) {
                        uint32_t i = (uint32_t)(test_random(&seed) % n);
                        uint64_t lsn = TERM.start.v + test_random(&seed) % 400;
                        struct msg_hello_ok ok;
                        struct msg_hello hello = hello_of(i, lsn, lsn);
                        struct msg_ack ack = {MSG_ack, i, 9, 0, lsn, lsn};
                        if (!heard[i]) {
                                (void)peers_hello(&p, &hello, w, (lsn_t){500}, &ok);
                                /* behind what was confirmed: purged, and needs nothing before 500
                                 */
                                synced[i] = lsn < before ? 500 : lsn;
                                heard[i] = true;
                        } else if (peers_ack(&p, &ack, w, (lsn_t){500}) == 0 && lsn > synced[i]) {
                                synced[i] = lsn;
                        }
                        uint64_t least = UINT64_MAX, now = feedback_confirm(&p).v;
                        for (uint32_t k = 0; k < n; k++)
                                least = synced[k] < least ? synced[k] : least;
                        assert_int_equal(now, least > before ? least : before);
                        before = now;
                }
                window_free(w);
        }
}

/* Who is silent while others are not has no say any more, until it says hello again; but still in
 * what Postgres may forget. */
static void test_silent(void **state)
{
        (void)state;
        struct peers p = {0};
        struct msg_hello_ok ok;
        struct window *w = window_new(1000, 16, TERM.start);
        peers_begin(&p, 3, &TERM);
        for (uint64_t i = 0; i < 2; i++) {
                struct msg_hello hello = hello_of(i, 100, 100);
                assert_int_equal(peers_hello(&p, &hello, w, TERM.start, &ok), HELLO_FOLLOW);
                peers_saw(&p, i, 1000);
        }
        push(w, 200);
        struct msg_ack ack = {MSG_ack, 0, TERM.epoch, 1, 200, 200};
        assert_int_equal(peers_ack(&p, &ack, w, (lsn_t){200}), 0);
        assert_int_equal(peers_forget_silent(&p, 2000), UINT32_MAX); /* both are: nobody waits */
        peers_saw(&p, 0, 2000);
        assert_int_equal(peers_acked_seq(&p), 0);
        assert_int_equal(peers_forget_silent(&p, 1000), UINT32_MAX);
        assert_int_equal(peers_forget_silent(&p, 2000), 1);
        assert_int_equal(peers_forget_silent(&p, 2000), UINT32_MAX);
        assert_int_equal(peers_heard(&p), 1);
        assert_int_equal(peers_acked_seq(&p), 1);
        assert_int_equal(feedback_confirm(&p).v, TERM.start.v);
        ack.router = 1;
        assert_int_equal(peers_ack(&p, &ack, w, (lsn_t){200}), ERR_NOTFOUND);
        struct msg_hello again = hello_of(1, 100, 100);
        assert_int_equal(peers_hello(&p, &again, w, (lsn_t){200}, &ok), HELLO_FOLLOW);
        assert_int_equal(ok.next_seq, 1);
        window_free(w);
}

static void test_status(void **state)
{
        (void)state;
        char bytes[FEEDBACK_STATUS_BYTES];
        feedback_status((lsn_t){0x1ff}, (lsn_t){0xfe}, 946684800000000ULL + 5, bytes);
        static const unsigned char want[FEEDBACK_STATUS_BYTES] = {
                'r', 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0, 0, 0xff,
                0,   0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0};
        assert_memory_equal(bytes, want, sizeof(want));
        assert_int_equal(feedback_interval_ms(60000), 15000);
        assert_int_equal(feedback_interval_ms(5000), 1666);
        assert_int_equal(feedback_interval_ms(0), 15000);
        assert_int_equal(feedback_interval_ms(30), 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hello),         cmocka_unit_test(test_purge),
                cmocka_unit_test(test_slot_made_now), cmocka_unit_test(test_later_epoch),
                cmocka_unit_test(test_restart),       cmocka_unit_test(test_ack),
                cmocka_unit_test(test_confirm),       cmocka_unit_test(test_silent),
                cmocka_unit_test(test_status),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
