#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/err.h"
#include "supervisor/datadir.h"

static char base[] = "/tmp/datadir-test-XXXXXX";

static int make_base(void **state)
{
        (void)state;
        return mkdtemp(base) == NULL ? -1 : 0;
}

static int remove_base(void **state)
{
        (void)state;
        char command[64];
        snprintf(command, sizeof(command), "rm -rf '%s'", base);
        return system(command);
}

static void makes_what_is_missing(void **state)
{
        (void)state;
        char path[PATH_MAX], url[DATADIR_URL_MAX], line[32];
        snprintf(path, sizeof(path), "%s/a/b", base);
        struct datadir d;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(datadir_open(path, &d, &why), 0);
        struct stat st;
        assert_int_equal(stat(d.run, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        datadir_url(&d, "changes", url);
        assert_memory_equal(url, "ipc:///tmp/datadir-test-", 24);
        assert_non_null(strstr(url, "/a/b/run/changes.ipc"));

        assert_int_equal(datadir_read_line(&d, "port", line, sizeof(line)), ERR_NOTFOUND);
        assert_int_equal(datadir_write_line(&d, "port", "5433", &why), 0);
        assert_int_equal(datadir_read_line(&d, "port", line, sizeof(line)), 0);
        assert_string_equal(line, "5433");
        assert_int_equal(datadir_read_line(&d, "port", line, 3), ERR_LIMIT);
        datadir_close(&d);
        buf_fini(&why);
}

static void a_second_supervisor_is_refused(void **state)
{
        (void)state;
        struct datadir first, second;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(datadir_open(base, &first, &why), 0);
        assert_int_equal(datadir_open(base, &second, &why), ERR_EXISTS);
        char pid[32];
        snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
        assert_non_null(strstr(buf_cstr(&why), pid));
        datadir_close(&first);
        assert_int_equal(datadir_open(base, &second, &why), 0);
        datadir_close(&second);
        buf_fini(&why);
}

static void long_paths_have_short_sockets(void **state)
{
        (void)state;
        char path[PATH_MAX], url[DATADIR_URL_MAX], again[DATADIR_URL_MAX];
        snprintf(path, sizeof(path), "%s/%0*d", base, 200, 7);
        struct datadir d;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(datadir_open(path, &d, &why), 0);
        datadir_url(&d, "router-63-notices", url);
        assert_true(strlen(url) - strlen("ipc://") <= 107);
        datadir_close(&d);
        assert_int_equal(datadir_open(path, &d, &why), 0);
        datadir_url(&d, "router-63-notices", again);
        assert_string_equal(url, again);
        datadir_close(&d);
        buf_fini(&why);
}

static void what_cannot_be_made_is_said(void **state)
{
        (void)state;
        struct datadir d;
        struct buf why;
        buf_init(&why, 1024);
        assert_int_equal(datadir_open("/proc/nowhere/here", &d, &why), ERR_IO);
        assert_non_null(strstr(buf_cstr(&why), "cannot make the directory"));
        buf_fini(&why);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(makes_what_is_missing),
                cmocka_unit_test(a_second_supervisor_is_refused),
                cmocka_unit_test(long_paths_have_short_sockets),
                cmocka_unit_test(what_cannot_be_made_is_said),
        };
        return cmocka_run_group_tests(tests, make_base, remove_base);
}
