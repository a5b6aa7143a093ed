/* Heads, etags, cursors, request heads, admission: what is decided without state. */
#include "common/test/test.h"

#include "common/base/err.h"
#include "services/edge/admission.h"
#include "services/edge/cursor.h"
#include "services/edge/etag.h"
#include "services/edge/head.h"
#include "services/edge/reqhead.h"

static void test_etag(void **state)
{
        (void)state;
        struct buf b;
        struct offset_request before = {.kind = OFFSET_BEFORE_ALL};
        struct offset_request at = {.kind = OFFSET_AT, .at = {0, OFFSET_OP_INF}};
        struct slice handle = SLICE_LIT("3833821-1721812114261");
        buf_init(&b, 256);
        etag_print(&b, handle, &before, (struct log_offset){0, 0});
        assert_string_equal(buf_cstr(&b), "\"3833821-1721812114261:-1:0_0\"");
        buf_reset(&b);
        etag_print_unique(&b, handle, &at, (struct log_offset){5, 2}, 77);
        assert_string_equal(buf_cstr(&b), "\"3833821-1721812114261:0_inf:5_2:77\"");
        buf_reset(&b);
        etag_print_refetch(&b, handle);
        assert_string_equal(buf_cstr(&b), "\"3833821-1721812114261::\"");
        buf_fini(&b);
}

/* Checklist C.88-91 */
static void test_if_none_match(void **state)
{
        (void)state;
        struct slice etag = SLICE_LIT("\"h:-1:0_0\"");
        assert_true(etag_line_matches(SLICE_LIT("\"h:-1:0_0\""), etag));
        assert_true(etag_line_matches(SLICE_LIT("h:-1:0_0"), etag));
        assert_true(etag_line_matches(SLICE_LIT("\"a\" , \"h:-1:0_0\""), etag));
        assert_false(etag_line_matches(SLICE_LIT("W/\"h:-1:0_0\""), etag));
        assert_false(etag_line_matches(SLICE_LIT("*"), etag));
        assert_false(etag_line_matches(SLICE_LIT(""), etag));
        assert_false(etag_line_matches(SLICE_LIT("\"h:-1:0_0:5\""), etag));
}

/* §2.6 */
/* #149 */
static void test_cursor(void **state)
{
        (void)state;
        uint64_t epoch_us = 1728432000ull * 1000000, none = 0;
        assert_int_equal(cursor_next(epoch_us + 1000000, 20000, SLICE_EMPTY, none), 20);
        assert_int_equal(cursor_next(epoch_us + 20000000, 20000, SLICE_EMPTY, none), 20);
        assert_int_equal(cursor_next(epoch_us + 21000000, 20000, SLICE_EMPTY, none), 40);
        assert_int_equal(cursor_next(epoch_us + 21000000, 20000, SLICE_LIT("20"), none), 40);
        assert_int_equal(cursor_next(epoch_us + 21000000, 20000, SLICE_LIT("40"), 0), 41);
        assert_int_equal(cursor_next(epoch_us + 21000000, 20000, SLICE_LIT("40"), 3599), 3640);
        assert_int_equal(cursor_next(epoch_us + 21000000, 999, SLICE_LIT("40"), 0), 0);
        assert_int_equal(cursor_next(epoch_us + 21000000, 20000, SLICE_LIT("x"), 0), 0);
        assert_int_equal(cursor_next(epoch_us, 20000, SLICE_LIT("18446744073709551615"), 0), 0);
        assert_int_equal(cursor_next(0, 20000, SLICE_EMPTY, 0), 0);
}

static void assert_cache(enum head_cache what, const char *expected)
{
        char room[HEAD_CACHE_BYTES];
        struct slice s = head_cache_control(what, 60, 300, room);
        if (!slice_eq(s, slice_cstr(expected)))
                fail_msg("%.*s", SLICE_FMT(s));
}

/* §2.8 */
static void test_cache_control(void **state)
{
        (void)state;
        char room[HEAD_CACHE_BYTES];
        assert_cache(HEAD_CACHE_INITIAL,
                     "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746");
        assert_cache(HEAD_CACHE_LIVE, "public, max-age=5, stale-while-revalidate=5");
        assert_cache(HEAD_CACHE_STREAM, "public, max-age=59");
        assert_cache(HEAD_CACHE_CATCH_UP, "public, max-age=60, stale-while-revalidate=300");
        assert_cache(HEAD_CACHE_REFETCH, "public, max-age=60, must-revalidate");
        assert_cache(HEAD_CACHE_LOST, "public, max-age=1, must-revalidate");
        head_cache_control(HEAD_CACHE_CATCH_UP, UINT64_MAX, UINT64_MAX, room); /* fits */
}

static void test_request_id(void **state)
{
        (void)state;
        char room[HEAD_REQUEST_ID_BYTES];
        uint64_t fresh[2] = {UINT64_MAX, 0};
        struct slice given = SLICE_LIT("abcdefghijklmnopqrst");
        assert_true(slice_eq(head_request_id(given, fresh, room), given));
        struct slice made = head_request_id(SLICE_LIT("short"), fresh, room);
        assert_true(slice_eq(made, SLICE_LIT("777777777777AAAAAAAAAAAA")));
}

static bool has_field(const struct http_head *h, enum http_field field)
{
        for (uint32_t i = 0; i < h->n; i++)
                if (h->fields[i].field == field)
                        return true;
        return false;
}

static void test_base(void **state)
{
        (void)state;
        struct http_head h;
        struct head_base base = {.request_id = SLICE_LIT("x"), .origin = SLICE_EMPTY};
        head_begin(&h, 401, &base);
        assert_false(has_field(&h, HTTP_ACCESS_CONTROL_ALLOW_ORIGIN)); /* no CORS */
        assert_true(has_field(&h, HTTP_VARY));
        base.cors = true;
        head_begin(&h, 204, &base);
        assert_true(has_field(&h, HTTP_ACCESS_CONTROL_EXPOSE_HEADERS));
        assert_false(has_field(&h, HTTP_VARY));
        assert_true(head_allows_header(SLICE_LIT("If-None-Match")));
        assert_true(head_allows_header(SLICE_LIT("TRACEPARENT")));
        assert_false(head_allows_header(SLICE_LIT("if-none-match, traceparent")));
        assert_false(head_allows_header(SLICE_LIT("")));
}

static void assert_request(const char *raw, int status, bool has_body)
{
        struct reqhead h = reqhead_check(slice_cstr(raw));
        if (h.status != status || h.has_body != has_body)
                fail_msg("%d %d: %s", h.status, h.has_body, raw);
}

static void test_reqhead(void **state)
{
        (void)state;
        assert_request("GET / HTTP/1.1\r\nhost: x\r\n\r\ncontent-length: 5\r\n", 0, false);
        assert_request("POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n", 0, true);
        assert_request("POST / HTTP/1.1\nContent-Length: 0\n\n", 0, true);
        assert_request("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 0, true);
        assert_request("POST / HTTP/1.1\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\n", 400,
                       true);
        assert_request("POST / HTTP/1.1\r\ncontent-length: 5, 5\r\n\r\n", 400, true);
        assert_request("POST / HTTP/1.1\r\ncontent-length: +5\r\n\r\n", 400, true);
        assert_request("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
                       400, true);
        assert_request("", 0, false);
}

static void test_reqhead_limits(void **state)
{
        (void)state;
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_puts(&b, "GET /");
        for (int i = 0; i < REQHEAD_MAX_LINE; i++)
                buf_putc(&b, 'a');
        buf_puts(&b, " HTTP/1.1\r\n\r\n");
        assert_request(buf_cstr(&b), 414, false);
        buf_reset(&b);
        buf_puts(&b, "GET / HTTP/1.1\r\n");
        for (int i = 0; i < REQHEAD_MAX_HEADERS; i++)
                buf_puts(&b, "a: b\r\n");
        assert_request(buf_cstr(&b), 0, false);
        buf_puts(&b, "a: b\r\n");
        assert_request(buf_cstr(&b), 431, false);
        buf_fini(&b);
}

/* #182 #184 #185 */
static void test_admission(void **state)
{
        (void)state;
        struct admission a;
        struct buf why;
        buf_init(&why, 512);
        assert_int_equal(admission_init(&a, SLICE_LIT("{\"initial\":1,\"existing\":2}"), &why), 0);
        assert_true(admission_acquire(&a, ADMISSION_INITIAL));
        assert_false(admission_acquire(&a, ADMISSION_INITIAL));
        assert_true(admission_acquire(&a, ADMISSION_EXISTING)); /* counted apart */
        admission_move(&a, ADMISSION_INITIAL, ADMISSION_EXISTING);
        assert_false(admission_acquire(&a, ADMISSION_EXISTING));
        assert_true(admission_acquire(&a, ADMISSION_INITIAL));
        admission_release(&a, ADMISSION_EXISTING);
        admission_release(&a, ADMISSION_EXISTING);
        admission_release(&a, ADMISSION_INITIAL);
        assert_int_equal(admission_init(&a, SLICE_LIT("{}"), &why), 0);
        assert_int_equal(a.limit[ADMISSION_EXISTING], 10000);
        assert_int_equal(admission_init(&a, SLICE_LIT("[]"), &why), ERR_CONF);
        assert_int_equal(admission_init(&a, SLICE_LIT("{\"x\":1}"), &why), ERR_CONF);
        assert_int_equal(admission_init(&a, SLICE_LIT("{\"initial\":-1}"), &why), ERR_CONF);
        assert_int_equal(admission_init(&a, SLICE_LIT("nonsense"), &why), ERR_CONF);
        buf_fini(&why);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_etag),       cmocka_unit_test(test_if_none_match),
                cmocka_unit_test(test_cursor),     cmocka_unit_test(test_cache_control),
                cmocka_unit_test(test_request_id), cmocka_unit_test(test_base),
                cmocka_unit_test(test_reqhead),    cmocka_unit_test(test_reqhead_limits),
                cmocka_unit_test(test_admission),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
