#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/pg/pg.h"

struct url_case {
        const char *url, *ca_file;
        int err;
};

/* Every password here is a variation of "sesame", which no message may contain. */
static const struct url_case url_cases[] = {
        {"postgres://u:sesame@h:5432/db", NULL, 0},
        {"postgresql://u:sesame@h/db?sslmode=require", NULL, 0},
        {"postgresql://u:sesame@h/db?sslmode=disable", "", 0},
        {"postgresql://h1:1,h2:2/db", NULL, 0},
        {"postgresql:///db?host=/run/postgresql&user=a@b", NULL, 0},
        {"postgres://u:ses%40me@h/db?options=-c%20work_mem%3D1MB", NULL, 0},
        {"host=h user=u password=sesame dbname=db", NULL, 0},
        {"postgres://u:sesame@h/db", "/etc/passwd", 0},
        {"postgres://u:sesame@h/db?sslmode=verify-full", "/etc/passwd", 0},

        {"", NULL, ERR_CONF},
        {"sesame", NULL, ERR_CONF},
        {"mysql://u:sesame@h/db", NULL, ERR_CONF},
        {"mysql://u:sesame@h/db?a=b", NULL, ERR_CONF},
        {"postgres://u:sesame@h/db?replication=database", NULL, ERR_CONF},
        {"replication=true password=sesame", NULL, ERR_CONF},
        {"postgres://u:sesame@h/db?sslmode=verify-full", NULL, ERR_CONF},
        {"postgres://u:sesame@h/db?sslmode=verify-ca", "", ERR_CONF},
        {"postgres://u:sesame@h/db?sslmode=sometimes", NULL, ERR_CONF},
        {"postgres://u:sesame@h/db?sslmode=disable", "/etc/passwd", ERR_CONF},
        {"postgres://u:sesame@h/db", "/does/not/exist", ERR_CONF},
        {"postgres://u:sesame@h:54x2/db", NULL, ERR_CONF},
        {"postgres://u:sesame@h/db?nonsense=1", NULL, ERR_CONF},
        {"postgres://u:sesame%zz@h/db", NULL, ERR_CONF},
        /* unescaped passwords, which libpq would take for a host, a port or a database */
        {"postgres://u:s/sesame@h/db", NULL, ERR_CONF},
        {"postgres://u:12/sesame@h/db", NULL, ERR_CONF},
        {"postgres://u:p@sesame@h/db", NULL, ERR_CONF},
        {"postgres://u:p@sesame/x@h/db", NULL, ERR_CONF},
        {"postgres://u:sesame", NULL, ERR_CONF},
        {"postgres://u:p@h/x?sesame@h/db", NULL, ERR_CONF},
};

static void test_check_url(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(url_cases) / sizeof(url_cases[0]); i++) {
                struct buf why;
                buf_init(&why, 1024);
                int err = pg_check_url(url_cases[i].url, url_cases[i].ca_file, &why);
                if (err != url_cases[i].err)
                        fail_msg("%s: %s", url_cases[i].url, err_text(err));
                assert_int_equal(err == 0, why.len == 0);
                assert_null(strstr(buf_cstr(&why), "sesame"));
                assert_null(strchr(buf_cstr(&why), '\n'));
                buf_fini(&why);
        }
}

struct line_case {
        const char *message, *line;
};

static const struct line_case line_cases[] = {
        {"ERROR:  relation \"x\" does not exist\nLINE 1: select * from x\n                      "
         "^\n",
         "relation \"x\" does not exist"},
        {"ERROR:  a\nDETAIL:  b\nHINT:  c\n", "a DETAIL: b HINT: c"},
        {"FATAL:  terminating connection\n\tdue to shutdown\n",
         "FATAL: terminating connection due to shutdown"},
        {"", "unknown database error"},
        {NULL, "unknown database error"},
        {"\n\n", "unknown database error"},
        {"no newline", "no newline"},
};

static void test_error_line(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(line_cases) / sizeof(line_cases[0]); i++) {
                struct buf out;
                buf_init(&out, 1024);
                pg_error_line(line_cases[i].message, &out);
                assert_string_equal(buf_cstr(&out), line_cases[i].line);
                buf_fini(&out);
        }
}

static void assert_put(void (*put)(struct buf *, struct slice), struct slice in, const char *expect)
{
        struct buf out;
        buf_init(&out, 256);
        put(&out, in);
        assert_string_equal(buf_cstr(&out), expect);
        buf_fini(&out);
}

static void test_quoting(void **state)
{
        (void)state;
        assert_put(pg_put_ident, SLICE_LIT("plain"), "\"plain\"");
        assert_put(pg_put_ident, SLICE_LIT("we\"ird 'x'"), "\"we\"\"ird 'x'\"");
        assert_put(pg_put_ident, SLICE_EMPTY, "\"\"");
        assert_put(pg_put_literal, SLICE_LIT("it's \"q\" \\ back"), "'it''s \"q\" \\ back'");
        assert_put(pg_put_literal, SLICE_EMPTY, "''");
}

/* ---- what a connection says when it fails, against a server of one canned answer */

struct canned {
        const char *error; /* body of an ErrorResponse; fields separated by '|' */
        enum pg_failure failure;
        const char *line; /* must occur in *why */
};

static const struct canned canned_cases[] = {
        {"SFATAL|VFATAL|C28P01|Mpassword authentication failed for user \"u\"|Fauth.c|L1|Rf",
         PG_FAIL_FATAL, "FATAL: password authentication failed for user \"u\""},
        {"SFATAL|VFATAL|C3D000|Mdatabase \"db\" does not exist|Fx.c|L1|Rf", PG_FAIL_FATAL,
         "FATAL: database \"db\" does not exist"},
        {"SFATAL|VFATAL|C42501|Mmust be superuser or replication role|Fx.c|L1|Rf", PG_FAIL_FATAL,
         "replication role"},
        {"SFATAL|VFATAL|C53300|Msorry, too many clients already|Fx.c|L1|Rf", PG_FAIL_RETRY,
         "too many clients"},
        {"SFATAL|VFATAL|C57P03|Mthe database system is starting up|Fx.c|L1|Rf", PG_FAIL_RETRY,
         "starting up"},
        {"SFATAL|VFATAL|C57P01|Mterminating connection|Fx.c|L1|Rf", PG_FAIL_RETRY, "terminating"},
};

/* Answers one connection; runs in a child process. */
static void serve_once(int listen_fd, const char *error)
{
        char request[2048], answer[512];
        size_t len = 5;
        int fd = accept(listen_fd, NULL, NULL);
        if (fd < 0 || read(fd, request, sizeof(request)) <= 0)
                _exit(1);
        for (const char *p = error; *p; p++)
                answer[len++] = *p == '|' ? '\0' : *p;
        answer[len++] = '\0';
        answer[len++] = '\0';
        answer[0] = 'E';
        uint32_t size = (uint32_t)len - 1;
        for (int i = 0; i < 4; i++)
                answer[1 + i] = (char)(size >> (24 - 8 * i));
        if (write(fd, answer, len) != (ssize_t)len)
                _exit(1);
        (void)!read(fd, request, sizeof(request)); /* until libpq has gone */
        _exit(0);
}

static void check_canned(const char *dir, const struct canned *c)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        char url[256];
        snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/.s.PGSQL.7777", dir);
        snprintf(url, sizeof(url), "postgres://u:sesame@/db?host=%s&port=7777", dir);
        unlink(addr.sun_path);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        assert_int_equal(listen(fd, 1), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
                serve_once(fd, c->error);
        close(fd);

        struct pg_options o = {.url = url, .application_name = "test", .connect_timeout_s = 10};
        PGconn *conn = NULL;
        enum pg_failure failure = PG_FAIL_RETRY;
        struct buf why;
        buf_init(&why, 4096);
        assert_int_equal(pg_connect(&o, &conn, &failure, &why), ERR_DB);
        assert_null(conn);
        assert_int_equal(failure, c->failure);
        assert_non_null(strstr(buf_cstr(&why), c->line));
        assert_null(strstr(buf_cstr(&why), "sesame"));
        assert_null(strstr(buf_cstr(&why), "LOCATION"));
        assert_null(strchr(buf_cstr(&why), '\n'));
        buf_fini(&why);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        unlink(addr.sun_path);
}

static void test_connect_failures(void **state)
{
        (void)state;
        char dir[] = "/tmp/pg_test.XXXXXX";
        assert_non_null(mkdtemp(dir));
        for (size_t i = 0; i < sizeof(canned_cases) / sizeof(canned_cases[0]); i++)
                check_canned(dir, &canned_cases[i]);
        rmdir(dir);
}

static void test_connect_refused(void **state)
{
        (void)state;
        struct pg_options o = {.url = "postgres://u:sesame@/db?host=/does/not/exist",
                               .connect_timeout_s = 5};
        PGconn *conn = NULL;
        enum pg_failure failure = PG_FAIL_FATAL;
        struct buf why;
        buf_init(&why, 4096);
        assert_int_equal(pg_connect(&o, &conn, &failure, &why), ERR_DB);
        assert_int_equal(failure, PG_FAIL_RETRY);
        assert_null(strstr(buf_cstr(&why), "sesame"));
        assert_true(why.len > 0);

        buf_reset(&why);
        o.url = "postgres://u:sesame@h/db?sslmode=verify-full";
        assert_int_equal(pg_connect(&o, &conn, &failure, &why), ERR_DB);
        assert_int_equal(failure, PG_FAIL_FATAL);
        buf_fini(&why);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_check_url),       cmocka_unit_test(test_error_line),
                cmocka_unit_test(test_quoting),         cmocka_unit_test(test_connect_failures),
                cmocka_unit_test(test_connect_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
