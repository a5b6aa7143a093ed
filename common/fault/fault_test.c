#include "common/fault/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/test/test.h"

static char dir[64], file[128];

static int setup(void **state)
{
        (void)state;
        snprintf(dir, sizeof(dir), "/tmp/sluice-fault-XXXXXX");
        assert_non_null(mkdtemp(dir));
        snprintf(file, sizeof(file), "%s/%s", dir, fault_name(FAULT_ROUTER_SYNC_BEFORE));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        unlink(file);
        return rmdir(dir);
}

static void order(const char *action)
{
        int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, action, strlen(action)), strlen(action));
        close(fd);
}

/* How a child fares that passes two points. */
static int pass_points(const char *fault_dir, int flags)
{
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                fault_init(fault_dir);
                fault_point(FAULT_ROUTER_SYNC_BEFORE);
                fault_point(FAULT_ROUTER_SYNC_AFTER);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, flags), pid);
        if (WIFSTOPPED(status)) {
                kill(pid, SIGCONT);
                int after;
                assert_int_equal(waitpid(pid, &after, 0), pid);
                assert_true(WIFEXITED(after));
        }
        return status;
}

static void off_unless_there_is_a_directory(void **state)
{
        (void)state;
        order("kill");
        assert_true(WIFEXITED(pass_points("", 0)));
        assert_int_equal(access(file, F_OK), 0);
}

static void kills_once(void **state)
{
        (void)state;
        order("kill\n");
        int status = pass_points(dir, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_not_equal(access(file, F_OK), 0);
        assert_true(WIFEXITED(pass_points(dir, 0)));
}

static void stops_and_goes_on(void **state)
{
        (void)state;
        order("stop");
        assert_true(WIFSTOPPED(pass_points(dir, WUNTRACED)));
}

static void names_differ(void **state)
{
        (void)state;
        for (int i = 0; i < FAULT_POINTS; i++)
                for (int j = 0; j < i; j++)
                        assert_string_not_equal(fault_name((enum fault_point)i),
                                                fault_name((enum fault_point)j));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(off_unless_there_is_a_directory, setup, teardown),
                cmocka_unit_test_setup_teardown(kills_once, setup, teardown),
                cmocka_unit_test_setup_teardown(stops_and_goes_on, setup, teardown),
                cmocka_unit_test(names_differ),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
