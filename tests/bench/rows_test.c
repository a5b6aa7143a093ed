#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "tests/bench/ids.h"
#include "tests/bench/rows.h"

struct seen {
        int count;
        struct row rows[8];
        char lsn[32];
};

static void on_row(void *arg, const struct row *row)
{
        struct seen *s = arg;
        assert_true(s->count < 8);
        s->rows[s->count++] = *row;
        if (row->lsn.len)
                memcpy(s->lsn, row->lsn.p, row->lsn.len);
}

static int run(const char *text, size_t step, bool sse, struct seen *s)
{
        struct rows r;
        memset(s, 0, sizeof *s);
        rows_init(&r, on_row, s);
        int err = 0;
        size_t len = strlen(text);
        for (size_t at = 0; at < len && !err; at += step) {
                size_t piece = len - at < step ? len - at : step;
                char *copy = malloc(piece);
                memcpy(copy, text + at, piece);
                err = sse ? rows_feed_sse(&r, copy, piece) : rows_feed(&r, copy, piece);
                free(copy);
        }
        if (!err)
                err = rows_end(&r);
        rows_fini(&r);
        return err;
}

static const char array[] =
        "[{\"key\":\"\\\"public\\\".\\\"items\\\"/"
        "\\\"1\\\"\",\"value\":{\"id\":\"17\",\"name\":null,"
        "\"payload\":\"123456 "
        "x}]{\\\\\"},\"headers\":{\"operation\":\"insert\",\"relation\":[\"public\",\"items\"]}},\n"
        "{\"headers\":{\"txids\":[7],\"last\":true,\"operation\":\"update\"},\"value\":{\"id\":"
        "\"18\"},\"old_value\":{}},"
        "{\"headers\":{\"control\":\"up-to-date\",\"global_last_seen_lsn\":\"99\"}}]";

static void check_array(const struct seen *s)
{
        assert_int_equal(s->count, 3);
        assert_int_equal(s->rows[0].kind, ROW_INSERT);
        assert_true(s->rows[0].has_id);
        assert_int_equal(s->rows[0].id, 17);
        assert_int_equal(s->rows[0].stamp_ns, 123456);
        assert_int_equal(s->rows[1].kind, ROW_UPDATE);
        assert_int_equal(s->rows[1].id, 18);
        assert_int_equal(s->rows[1].stamp_ns, 0);
        assert_int_equal(s->rows[2].kind, ROW_UP_TO_DATE);
        assert_string_equal(s->lsn, "99");
}

static void array_in_pieces_of_any_size(void **state)
{
        (void)state;
        for (size_t step = 1; step <= sizeof array; step++) {
                struct seen s;
                assert_int_equal(run(array, step, false, &s), 0);
                check_array(&s);
        }
}

static void event_stream_in_pieces_of_any_size(void **state)
{
        (void)state;
        const char *text =
                "data: "
                "{\"value\":{\"id\":\"17\",\"payload\":\"123456\"},\"headers\":{\"operation\":"
                "\"insert\"}}\n\n"
                ": keep-alive\n\n"
                "data: "
                "{\"headers\":{\"control\":\"up-to-date\",\"global_last_seen_lsn\":\"5\"}}\n\n";
        for (size_t step = 1; step <= strlen(text); step++) {
                struct seen s;
                assert_int_equal(run(text, step, true, &s), 0);
                assert_int_equal(s.count, 2);
                assert_int_equal(s.rows[0].stamp_ns, 123456);
                assert_int_equal(s.rows[1].kind, ROW_UP_TO_DATE);
        }
}

static void empty_array(void **state)
{
        (void)state;
        struct seen s;
        assert_int_equal(run("[]", 2, false, &s), 0);
        assert_int_equal(s.count, 0);
}

static void truncation_is_noticed(void **state)
{
        (void)state;
        char text[sizeof array];
        for (size_t len = 0; len < sizeof array - 1; len++) {
                struct seen s;
                memcpy(text, array, len);
                text[len] = 0;
                assert_int_equal(run(text, sizeof array, false, &s), ERR_FORMAT);
        }
}

static void malformed_is_refused(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "{}",
                "[{}]",
                "[,]",
                "[{\"headers\":{}},]",
                "[{\"headers\":{}}{\"headers\":{}}]",
                "[{\"headers\":{}}]x",
                "[{\"headers\":{} \"value\":{}}]",
                "[{\"headers\":[]}]",
                "[{\"headers\":{\"operation\":1}}]",
                "[1]",
        };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct seen s;
                assert_int_equal(run(bad[i], 100, false, &s), ERR_FORMAT);
        }
        struct seen s;
        assert_int_equal(run("event: x\n\n", 100, true, &s), ERR_FORMAT);
        assert_int_equal(run("data: {\"headers\":{}} {}\n\n", 100, true, &s), ERR_FORMAT);
}

static void ids_come_exactly_once(void **state)
{
        (void)state;
        struct ids ids;
        ids_init(&ids, 10, 100);
        assert_false(ids_see(&ids, 9));
        assert_true(ids_see(&ids, 10));
        assert_false(ids_see(&ids, 10));
        assert_true(ids_see(&ids, 109));
        assert_false(ids_see(&ids, 110));
        assert_int_equal(ids.seen, 2);
        ids_reset(&ids);
        assert_true(ids_see(&ids, 10));
        ids_fini(&ids);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(array_in_pieces_of_any_size),
                cmocka_unit_test(event_stream_in_pieces_of_any_size),
                cmocka_unit_test(empty_array),
                cmocka_unit_test(truncation_is_noticed),
                cmocka_unit_test(malformed_is_refused),
                cmocka_unit_test(ids_come_exactly_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
