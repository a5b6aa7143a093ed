#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "tests/bench/http_parse.h"

struct seen {
        int heads;
        int status;
        struct buf body;
        char etag[32];
};

static void on_head(void *arg, const struct http_head *head)
{
        struct seen *s = arg;
        struct slice v;
        s->heads++;
        s->status = head->status;
        if (http_field(head, "etag", &v))
                memcpy(s->etag, v.p, v.len);
}

static void on_body(void *arg, const char *bytes, size_t len)
{
        struct seen *s = arg;
        buf_put(&s->body, bytes, len);
}

static const struct http_events events = {.on_head = on_head, .on_body = on_body};

/* Feeds `text` in pieces of `step` bytes and returns the bytes consumed up to the response's end,
 * or the error. */
static ssize_t feed(const char *text, size_t step, struct seen *s, bool *ended)
{
        struct http_parser p;
        http_parser_init(&p);
        memset(s, 0, sizeof *s);
        buf_init(&s->body, 4096);
        *ended = false;
        ssize_t used = 0, n = 0;
        size_t len = strlen(text);
        for (size_t at = 0; at < len && !*ended; at += step) {
                size_t piece = len - at < step ? len - at : step;
                char *copy =
                        malloc(piece); /* exact, so that reading beyond is seen by the sanitizer */
                memcpy(copy, text + at, piece);
                n = http_parse(&p, copy, piece, &events, s, ended);
                free(copy);
                if (n < 0)
                        break;
                used += n;
        }
        http_parser_fini(&p);
        return n < 0 ? n : used;
}

static void check_body(const char *text, const char *body, size_t rest)
{
        for (size_t step = 1; step <= strlen(text); step++) {
                struct seen s;
                bool ended;
                ssize_t used = feed(text, step, &s, &ended);
                assert_true(ended);
                assert_int_equal(s.heads, 1);
                if (step == strlen(text))
                        assert_int_equal((size_t)used, strlen(text) - rest);
                assert_string_equal(s.body.p ? buf_cstr(&s.body) : "", body);
                buf_fini(&s.body);
        }
}

static void body_with_length(void **state)
{
        (void)state;
        check_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag:  \"a\" \r\n\r\nhello", "hello",
                   0);
}

static void empty_bodies(void **state)
{
        (void)state;
        check_body("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", 0);
        check_body("HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n", "", 0);
        check_body("HTTP/1.1 204 No Content\r\n\r\n", "", 0);
}

static void chunked_body(void **state)
{
        (void)state;
        check_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                   "Chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n",
                   "hello!", 0);
        check_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                   "chunked\r\n\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
                   "0123456789", 0);
}

static void interim_response_is_skipped(void **state)
{
        (void)state;
        check_body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
                   "x", 0);
}

static void stops_at_the_end(void **state)
{
        (void)state;
        struct seen s;
        bool ended;
        const char *text = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1";
        assert_int_equal(feed(text, strlen(text), &s, &ended), strlen(text) - 8);
        assert_true(ended);
        buf_fini(&s.body);
}

static void fields_are_found_without_case(void **state)
{
        (void)state;
        struct http_head head = {
                .fields = slice_cstr("A: 1\r\nElectric-Offset: 0_inf\r\nup:\r\n\r\n")};
        struct slice v;
        assert_true(http_field(&head, "electric-offset", &v));
        assert_true(slice_eq(v, SLICE_LIT("0_inf")));
        assert_true(http_field(&head, "up", &v));
        assert_int_equal(v.len, 0);
        assert_false(http_field(&head, "electric", &v));
}

static void rejects(const char *text, int err)
{
        struct seen s;
        bool ended;
        assert_int_equal(feed(text, strlen(text), &s, &ended), err);
        buf_fini(&s.body);
}

static void malformed_is_refused(void **state)
{
        (void)state;
        rejects("SSH-2.0-x\r\n\r\n", ERR_FORMAT);
        rejects("HTTP/1.1 2x0 OK\r\n\r\n", ERR_FORMAT);
        rejects("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", ERR_FORMAT);
        rejects("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", ERR_FORMAT);
        rejects("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11111111111111111\r\n",
                ERR_FORMAT);
        rejects("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", ERR_FORMAT);
}

static void endless_head_is_refused(void **state)
{
        (void)state;
        char *text = malloc(HTTP_HEAD_BYTES + 100);
        memset(text, 'x', HTTP_HEAD_BYTES + 99);
        text[HTTP_HEAD_BYTES + 99] = 0;
        rejects(text, ERR_LIMIT);
        free(text);
}

/* A read may end between the CR and LF of a chunk and bring a long piece of the body with the next:
 * only the line is limited, not what comes after it. */
static void line_cut_before_a_long_body(void **state)
{
        (void)state;
        enum { BODY = 4 * HTTP_HEAD_BYTES };
        struct buf text;
        buf_init(&text, 2 * BODY);
        buf_printf(&text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r");
        size_t cut = text.len;
        buf_printf(&text, "\n%x\r\n", (unsigned)BODY);
        for (int i = 0; i < BODY; i++)
                buf_putc(&text, 'y');
        buf_puts(&text, "\r\n0\r\n\r\n");
        struct http_parser p;
        struct seen s = {0};
        bool ended;
        http_parser_init(&p);
        buf_init(&s.body, 2 * BODY);
        assert_int_equal(http_parse(&p, text.p, cut, &events, &s, &ended), cut);
        assert_false(ended);
        assert_int_equal(http_parse(&p, text.p + cut, text.len - cut, &events, &s, &ended),
                         text.len - cut);
        assert_true(ended);
        assert_int_equal(s.body.len, BODY + 1);
        buf_fini(&s.body);
        buf_fini(&text);
        http_parser_fini(&p);
}

static void body_until_close(void **state)
{
        (void)state;
        struct http_parser p;
        struct seen s = {0};
        bool ended;
        const char *text = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc";
        http_parser_init(&p);
        buf_init(&s.body, 100);
        http_parse(&p, text, strlen(text), &events, &s, &ended);
        assert_false(ended);
        assert_true(http_parse_eof(&p));
        assert_string_equal(buf_cstr(&s.body), "abc");
        buf_fini(&s.body);
        http_parser_fini(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(body_with_length),
                cmocka_unit_test(empty_bodies),
                cmocka_unit_test(chunked_body),
                cmocka_unit_test(interim_response_is_skipped),
                cmocka_unit_test(stops_at_the_end),
                cmocka_unit_test(fields_are_found_without_case),
                cmocka_unit_test(malformed_is_refused),
                cmocka_unit_test(endless_head_is_refused),
                cmocka_unit_test(line_cut_before_a_long_body),
                cmocka_unit_test(body_until_close),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
