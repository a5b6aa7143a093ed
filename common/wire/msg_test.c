#include "common/test/test.h"

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/definition.h"
#include "common/wire/msg.h"
#include "common/wire/notice.h"

#include <stdio.h>

/* Golden byte vectors: a change here is a change of the wire format and needs a new WIRE_VERSION.
 * One line for each message of the table, its fields filled by the rule in fill(). */
static const struct golden {
        enum msg_type type;
        const char *hex;
} GOLDEN[] = {
#include "common/wire/msg_golden.inc"
};

enum { N_GOLDEN = sizeof(GOLDEN) / sizeof(*GOLDEN) };

/* The n-th field gets n (U64), n odd (BOOL), "n" (STR, BIN). */
static void fill(enum msg_type type, union msg *m)
{
        static const char digits[][3] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"};
        unsigned n = 0;
        memset(m, 0, sizeof(*m));
        m->type = type;
        switch (type) {
#define MSG(name, number, what)                                                                    \
        case MSG_##name: {                                                                         \
                struct msg_##name *f = &m->name;
#define END()                                                                                      \
        (void)f;                                                                                   \
        return;                                                                                    \
        }
#define U64(name, what)  f->name = ++n;
#define BOOL(name, what) f->name = ++n % 2 == 1;
#define STR(name, what)  f->name = slice_cstr(digits[n++]);
#define BIN(name, what)  f->name = slice_cstr(digits[n++]);
#include "common/wire/messages.def"
        }
}

static const enum msg_type TYPES[] = {
#define MSG(name, number, what) MSG_##name,
#include "common/wire/messages.def"
};

enum { N_TYPES = sizeof(TYPES) / sizeof(*TYPES) };

static void to_hex(struct slice bytes, struct buf *out)
{
        for (size_t i = 0; i < bytes.len; i++)
                buf_printf(out, "%02x", (unsigned)(unsigned char)bytes.p[i]);
}

static void test_golden_vectors(void **state)
{
        (void)state;
        struct buf b, hex;
        buf_init(&b, 4096);
        buf_init(&hex, 8192);
        assert_int_equal(N_GOLDEN, N_TYPES);
        for (size_t i = 0; i < N_GOLDEN; i++) {
                union msg m;
                fill(GOLDEN[i].type, &m);
                buf_reset(&b);
                buf_reset(&hex);
                msg_encode(&b, &m);
                to_hex(buf_slice(&b), &hex);
                assert_string_equal(buf_cstr(&hex), GOLDEN[i].hex);
        }
        buf_fini(&b);
        buf_fini(&hex);
}

static void test_round_trip_and_truncation(void **state)
{
        (void)state;
        struct buf b, again;
        buf_init(&b, 4096);
        buf_init(&again, 4096);
        for (size_t i = 0; i < N_TYPES; i++) {
                union msg m, back;
                fill(TYPES[i], &m);
                buf_reset(&b);
                msg_encode(&b, &m);
                assert_int_equal(msg_decode(buf_slice(&b), &back), 0);
                assert_int_equal(back.type, m.type);
                buf_reset(&again);
                msg_encode(&again, &back);
                assert_int_equal(b.len, again.len);
                assert_memory_equal(b.p, again.p, b.len);
                for (size_t len = 0; len < b.len; len++)
                        assert_int_not_equal(msg_decode(slice_of(b.p, len), &back), 0);
                buf_putc(&b, '\xc0');
                assert_int_equal(msg_decode(buf_slice(&b), &back), ERR_FORMAT);
        }
        buf_fini(&b);
        buf_fini(&again);
}

static void test_other_versions_and_numbers(void **state)
{
        (void)state;
        union msg m;
        assert_int_equal(msg_decode(SLICE_LIT("\x92\x01\x08"), &m), ERR_VERSION);
        assert_int_equal(msg_decode(SLICE_LIT("\x92\x02\x7f"), &m), ERR_FORMAT);
        assert_int_equal(msg_decode(SLICE_LIT("\x93\x02\x08\x00"), &m), ERR_FORMAT);
        assert_int_equal(msg_decode(SLICE_LIT("\x92\x02\x08"), &m), 0);
        assert_string_equal(msg_name(m.type), "ensure_table_ok");
}

static void test_notices(void **state)
{
        (void)state;
        struct buf notices, frame;
        buf_init(&notices, 4096);
        buf_init(&frame, 4096);
        struct notice n = {.kind = NOTICE_APPEND,
                           .handle = SLICE_LIT("1-2"),
                           .prev = OFFSET_SNAPSHOT_END,
                           .tail = {7, 2},
                           .flags = NOTICE_INLINE,
                           .bytes = SLICE_LIT("{}")};
        notice_encode(&notices, &n);
        n.kind = NOTICE_GONE;
        notice_encode(&notices, &n);
        notice_frame(&frame, (lsn_t){99}, 2, buf_slice(&notices));
        struct notice_reader r;
        struct notice got;
        assert_int_equal(notice_reader_start(&r, buf_slice(&frame)), 0);
        assert_true(r.lsn.v == 99);
        assert_true(notice_reader_next(&r, &got));
        assert_int_equal(got.kind, NOTICE_APPEND);
        assert_int_equal(offset_cmp(got.prev, OFFSET_SNAPSHOT_END), 0);
        assert_slice_equal(got.bytes, "{}");
        assert_true(notice_reader_next(&r, &got));
        assert_int_equal(got.kind, NOTICE_GONE);
        assert_false(notice_reader_next(&r, &got));
        assert_int_equal(r.rd.err, 0);
        for (size_t len = 0; len < frame.len; len++) {
                int err = notice_reader_start(&r, slice_of(frame.p, len));
                while (notice_reader_next(&r, &got))
                        ;
                assert_true(err != 0 || r.rd.err != 0);
        }
        buf_fini(&notices);
        buf_fini(&frame);
}

static void test_definitions(void **state)
{
        (void)state;
        struct slice columns[] = {SLICE_LIT("b"), SLICE_LIT("a")};
        struct slice params[] = {SLICE_LIT("x"), SLICE_LIT("")};
        struct definition d = {.schema = SLICE_LIT("public"),
                               .table = SLICE_LIT("t"),
                               .has_columns = true,
                               .columns = columns,
                               .n_columns = 2,
                               .where = SLICE_LIT("a = $1"),
                               .params = params,
                               .n_params = 2,
                               .replica = REPLICA_FULL};
        struct definition back;
        struct buf b, swapped;
        buf_init(&b, 4096);
        buf_init(&swapped, 4096);
        definition_encode(&b, &d);
        struct slice first = columns[0];
        columns[0] = columns[1];
        columns[1] = first;
        definition_encode(&swapped, &d);
        assert_int_equal(b.len, swapped.len);
        assert_memory_equal(b.p, swapped.p, b.len);
        assert_int_equal(definition_decode(buf_slice(&b), &back), 0);
        assert_true(back.has_columns && !back.has_queryable);
        assert_slice_equal(back.columns[0], "a");
        assert_slice_equal(back.params[1], "");
        assert_int_equal(back.replica, REPLICA_FULL);
        definition_fini(&back);
        for (size_t len = 0; len < b.len; len++)
                assert_int_not_equal(definition_decode(slice_of(b.p, len), &back), 0);
        buf_fini(&b);
        buf_fini(&swapped);
}

/* Adding a shard moves only what the new shard takes. */
static void test_shards_move_little(void **state)
{
        (void)state;
        unsigned counts[4] = {0};
        for (uint64_t hash = 0; hash < 10000; hash++) {
                uint32_t three = definition_shard(hash, 3), four = definition_shard(hash, 4);
                assert_true(four == three || four == 3);
                counts[four]++;
        }
        for (int i = 0; i < 4; i++)
                assert_in_range(counts[i], 2200, 2800);
}

int main(int argc, char **argv)
{
        (void)argv;
        if (argc > 1) { /* prints msg_golden.inc */
                struct buf b, hex;
                buf_init(&b, 4096);
                buf_init(&hex, 1 << 20);
                for (size_t i = 0; i < N_TYPES; i++) {
                        union msg m;
                        fill(TYPES[i], &m);
                        buf_reset(&b);
                        msg_encode(&b, &m);
                        buf_printf(&hex, "{MSG_%s, \"", msg_name(TYPES[i]));
                        to_hex(buf_slice(&b), &hex);
                        buf_puts(&hex, "\"},\n");
                }
                fputs(buf_cstr(&hex), stdout);
                buf_fini(&b);
                buf_fini(&hex);
                return 0;
        }
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden_vectors),
                cmocka_unit_test(test_round_trip_and_truncation),
                cmocka_unit_test(test_other_versions_and_numbers),
                cmocka_unit_test(test_notices),
                cmocka_unit_test(test_definitions),
                cmocka_unit_test(test_shards_move_little),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
