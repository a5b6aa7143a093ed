#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/store/store.h"

enum { MAP_BYTES = 64 * 1024 * 1024 };

static char dir[64];

static int setup(void **state)
{
        (void)state;
        snprintf(dir, sizeof(dir), "/tmp/store_test.XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
        static const char *const names[] = {"data.mdb", "lock.mdb", "store.state",
                                            "data.mdb.damaged"};
        char path[128];
        (void)state;
        for (size_t i = 0; i < 4; i++) {
                snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
                unlink(path);
        }
        return rmdir(dir);
}

static int try_open(struct store **out, const char *format, size_t map_bytes, bool *unclean)
{
        struct store_options o = {
                .path = dir, .format = format, .max_bytes = map_bytes, .max_readers = 8};
        struct buf why;
        buf_init(&why, 1024);
        int err = store_open(out, &o, unclean, &why);
        assert_int_equal(err == 0 && !*unclean, why.len == 0);
        assert_null(strchr(buf_cstr(&why), '\n'));
        buf_fini(&why);
        return err;
}

static struct store *open_ok(void)
{
        struct store *s = NULL;
        bool unclean = true;
        assert_int_equal(try_open(&s, "test 1", MAP_BYTES, &unclean), 0);
        assert_false(unclean);
        return s;
}

static void assert_open_fails(const char *format, int expect)
{
        struct store *s = NULL;
        bool unclean;
        assert_int_equal(try_open(&s, format, MAP_BYTES, &unclean), expect);
        assert_null(s);
}

static void put_one(struct store *s, const char *key, const char *value)
{
        struct store_txn t;
        store_begin_write(s, &t);
        store_put(&t, slice_cstr(key), slice_cstr(value));
        assert_int_equal(store_commit(&t), 0);
}

static bool has(struct store *s, const char *key, const char *value)
{
        struct store_txn t;
        struct slice v;
        store_begin_read(s, &t);
        bool hit = store_get(&t, slice_cstr(key), &v) && slice_eq(v, slice_cstr(value));
        store_abort(&t);
        return hit;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, len), len);
        close(fd);
}

/* ---- transactions */

static void test_put_get_del(void **state)
{
        (void)state;
        struct store *s = open_ok();
        struct store_txn t;
        put_one(s, "a", "1");
        assert_true(has(s, "a", "1"));
        store_begin_write(s, &t);
        memcpy(store_put_room(&t, SLICE_LIT("room"), 4), "abcd", 4);
        assert_true(store_del(&t, SLICE_LIT("a")));
        assert_false(store_del(&t, SLICE_LIT("a")));
        store_put(&t, SLICE_LIT("empty"), SLICE_EMPTY);
        assert_int_equal(store_commit(&t), 0);
        assert_true(has(s, "room", "abcd"));
        assert_true(has(s, "empty", ""));
        assert_false(has(s, "a", "1"));
        assert_true(store_used_bytes(s) > 0);
        store_close(s);
}

static void test_abort_leaves_nothing(void **state)
{
        (void)state;
        struct store *s = open_ok();
        struct store_txn t;
        store_begin_write(s, &t);
        store_put(&t, SLICE_LIT("a"), SLICE_LIT("1"));
        store_abort(&t);
        assert_false(has(s, "a", "1"));
        store_close(s);
}

static void test_errors_are_sticky(void **state)
{
        (void)state;
        static const char long_key[600];
        struct store *s = open_ok();
        struct store_txn t;
        struct slice v;
        store_begin_write(s, &t);
        store_put(&t, SLICE_LIT("a"), SLICE_LIT("1"));
        store_put(&t, slice_of(long_key, sizeof(long_key)), SLICE_EMPTY);
        assert_int_equal(t.err, ERR_INVAL);
        store_put(&t, SLICE_LIT("b"), SLICE_LIT("1"));
        assert_null(store_put_room(&t, SLICE_LIT("c"), 1));
        assert_false(store_get(&t, SLICE_LIT("a"), &v));
        assert_int_equal(store_commit(&t), ERR_INVAL);
        assert_false(has(s, "a", "1"));
        assert_false(has(s, "b", "1"));
        store_begin_read(s, &t);
        assert_false(store_get(&t, SLICE_EMPTY, &v));
        assert_int_equal(store_commit(&t), ERR_INVAL);
        store_close(s);
}

static void test_reader_sees_its_snapshot(void **state)
{
        (void)state;
        struct store *s = open_ok();
        struct store_txn t;
        struct slice v;
        put_one(s, "a", "1");
        store_begin_read(s, &t);
        assert_true(store_get(&t, SLICE_LIT("a"), &v));
        put_one(s, "a", "2");
        assert_true(store_get(&t, SLICE_LIT("a"), &v));
        assert_true(slice_eq(v, SLICE_LIT("1")));
        store_abort(&t);
        assert_true(has(s, "a", "2"));
        store_close(s);
}

static void test_readers_are_limited(void **state)
{
        (void)state;
        struct store *s = open_ok();
        struct store_txn t[32];
        size_t n = 0;
        do
                store_begin_read(s, &t[n++]);
        while (n < 32 && t[n - 1].err == 0);
        assert_int_equal(t[n - 1].err, ERR_LIMIT);
        assert_true(n > 8);
        for (size_t i = 0; i < n; i++)
                store_abort(&t[i]);
        store_begin_read(s, &t[0]);
        assert_int_equal(t[0].err, 0);
        assert_int_equal(store_commit(&t[0]), 0);
        store_close(s);
}

/* ---- cursors, against an array */

enum { KEYS = 4000 };
static bool present[KEYS]; /* the key of i is 'k' and i in two bytes, big-endian */

static struct slice key_of(int i, char out[3])
{
        out[0] = 'k';
        out[1] = (char)(i >> 8);
        out[2] = (char)(i & 255);
        return slice_of(out, 3);
}

static int number_of(struct slice key)
{
        assert_int_equal(key.len, 3);
        return (unsigned char)key.p[1] << 8 | (unsigned char)key.p[2];
}

static int at_or_after(int i)
{
        while (i < KEYS && !present[i])
                i++;
        return i;
}

static int at_or_before(int i)
{
        while (i >= 0 && !present[i])
                i--;
        return i;
}

static void check_seeks(struct store_txn *t, int i)
{
        char room[3];
        struct slice key, value;
        int expect = at_or_after(i);
        assert_int_equal(store_seek(t, key_of(i, room), &key, &value), expect < KEYS);
        for (int n = 0; n < 20 && expect < KEYS; n++) {
                assert_int_equal(number_of(key), expect);
                assert_true(slice_eq(value, key));
                expect = at_or_after(expect + 1);
                assert_int_equal(store_next(t, &key, &value), expect < KEYS);
        }
        expect = at_or_before(i);
        assert_int_equal(store_seek_back(t, key_of(i, room), &key, &value), expect >= 0);
        if (expect >= 0)
                assert_int_equal(number_of(key), expect);
        assert_int_equal(store_get(t, key_of(i, room), &value), present[i]);
}

static void change_some(struct store_txn *t)
{
        char a[3], b[3];
        for (int n = 0; n < 50; n++) {
                int i = rand() % KEYS;
                struct slice key = key_of(i, a);
                if (rand() % 3) {
                        store_put(t, key, key);
                        present[i] = true;
                } else {
                        assert_int_equal(store_del(t, key), present[i]);
                        present[i] = false;
                }
        }
        int from = rand() % KEYS, below = from + rand() % 100;
        size_t limit = (size_t)(rand() % 40), expect = 0;
        if (below >= KEYS)
                below = KEYS - 1;
        for (int i = from; i < below && expect < limit; i++) {
                expect += present[i];
                present[i] = false;
        }
        assert_int_equal(store_del_range(t, key_of(from, a), key_of(below, b), limit), expect);
}

static void test_random_against_array(void **state)
{
        (void)state;
        struct store *s = open_ok();
        struct store_txn t;
        srand(7);
        memset(present, 0, sizeof(present));
        for (int round = 0; round < 200; round++) {
                store_begin_write(s, &t);
                change_some(&t);
                check_seeks(&t, rand() % KEYS);
                assert_int_equal(store_commit(&t), 0);
                store_begin_read(s, &t);
                for (int n = 0; n < 10; n++)
                        check_seeks(&t, rand() % KEYS);
                assert_int_equal(store_commit(&t), 0);
        }
        store_close(s);
}

static void test_reserved_keys_are_hidden(void **state)
{
        (void)state;
        struct store *s = open_ok();
        struct store_txn t;
        struct slice key;
        store_begin_write(s, &t);
        assert_false(store_seek(&t, SLICE_EMPTY, &key, NULL));
        assert_false(store_seek_back(&t, SLICE_LIT("\xff"), &key, NULL));
        assert_false(store_next(&t, &key, NULL));
        store_put(&t, SLICE_LIT("\x01"), SLICE_EMPTY);
        assert_true(store_seek(&t, SLICE_EMPTY, &key, NULL));
        assert_true(slice_eq(key, SLICE_LIT("\x01")));
        assert_false(store_seek_back(&t, SLICE_LIT("\0zzz"), &key, NULL));
        assert_int_equal(store_del_range(&t, SLICE_EMPTY, SLICE_LIT("\xff"), 100), 1);
        assert_int_equal(store_commit(&t), 0);
        store_close(s);
        store_close(open_ok()); /* the format is still there */
}

/* ---- threads */

struct reading {
        struct store *store;
        int bad;
};

static void *read_pairs(void *arg)
{
        struct reading *r = arg;
        for (int i = 0; i < 2000; i++) {
                struct store_txn t;
                struct slice a, b;
                store_begin_read(r->store, &t);
                if (!store_get(&t, SLICE_LIT("a"), &a) || !store_get(&t, SLICE_LIT("b"), &b) ||
                    !slice_eq(a, b) || !store_seek(&t, SLICE_LIT("a"), &a, NULL))
                        r->bad++;
                if (store_commit(&t) != 0)
                        r->bad++;
        }
        return NULL;
}

static void test_readers_beside_writer_and_sync(void **state)
{
        (void)state;
        struct store *s = open_ok();
        struct reading reading[3];
        pthread_t threads[3];
        put_one(s, "a", "0");
        put_one(s, "b", "0");
        for (int i = 0; i < 3; i++) {
                reading[i] = (struct reading){.store = s};
                assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &reading[i]), 0);
        }
        for (int i = 0; i < 500; i++) {
                struct store_txn t;
                store_begin_write(s, &t);
                store_put(&t, SLICE_LIT("a"), slice_of((const char *)&i, sizeof(i)));
                store_put(&t, SLICE_LIT("b"), slice_of((const char *)&i, sizeof(i)));
                assert_int_equal(store_commit(&t), 0);
                if (i % 100 == 0)
                        assert_int_equal(store_sync(s), 0);
                store_check_readers(s);
        }
        for (int i = 0; i < 3; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(reading[i].bad, 0);
        }
        store_close(s);
}

/* ---- opening */

static void test_contents_survive(void **state)
{
        (void)state;
        struct store *s = open_ok();
        put_one(s, "a", "1");
        store_close(s);
        s = open_ok();
        assert_true(has(s, "a", "1"));
        store_close(s);
}

static void test_process_death_is_clean(void **state)
{
        (void)state;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                struct store *s = open_ok();
                put_one(s, "a", "1");
                _exit(0); /* neither synced nor closed */
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        struct store *s = open_ok();
        assert_true(has(s, "a", "1"));
        store_close(s);
}

static void test_second_opener_is_refused(void **state)
{
        (void)state;
        struct store *s = open_ok();
        assert_open_fails("test 1", ERR_EXISTS);
        store_close(s);
        store_close(open_ok());
}

static void check_unclean(const char *state_text)
{
        struct store *s = open_ok();
        struct store_txn t;
        struct buf why;
        bool unclean = false;
        put_one(s, "a", "1");
        store_close(s);
        write_file("store.state", state_text, strlen(state_text));
        assert_int_equal(try_open(&s, "test 1", MAP_BYTES, &unclean), 0);
        assert_true(unclean);
        store_begin_read(s, &t);
        assert_int_equal(store_commit(&t), ERR_CORRUPT);
        store_begin_write(s, &t);
        assert_int_equal(store_commit(&t), ERR_CORRUPT);
        store_check_readers(s);

        buf_init(&why, 1024);
        assert_int_equal(store_wipe(s, &why), 0);
        buf_fini(&why);
        assert_false(has(s, "a", "1"));
        put_one(s, "b", "2");
        store_close(s);
        s = open_ok();
        assert_true(has(s, "b", "2"));
        store_close(s);
}

static void test_other_boot_is_unclean(void **state)
{
        (void)state;
        check_unclean("open 01234567-89ab-cdef-0123-456789abcdef\n");
        check_unclean(""); /* torn by the power failure */
        check_unclean("clean 12");
        check_unclean("\xff\xfe\n");
}

static void test_unclean_stays_unclean_until_wiped(void **state)
{
        (void)state;
        struct store *s = NULL;
        bool unclean;
        store_close(open_ok());
        write_file("store.state", "open x\n", 7);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(try_open(&s, "test 1", MAP_BYTES, &unclean), 0);
                assert_true(unclean);
                store_close(s);
        }
}

static void test_other_format(void **state)
{
        (void)state;
        struct store *s = open_ok();
        put_one(s, "a", "1");
        store_close(s);
        assert_open_fails("another 1", ERR_VERSION);
        assert_open_fails("tes 1", ERR_VERSION);
        s = open_ok();
        assert_true(has(s, "a", "1"));
        store_close(s);
}

/* Opens what is ours and of no use, drops it, and sees that the new store works. */
static void assert_made_anew(const char *format)
{
        struct store *s;
        struct buf why;
        bool unclean = false;
        assert_int_equal(try_open(&s, format, MAP_BYTES, &unclean), 0);
        assert_true(unclean);
        buf_init(&why, 1024);
        assert_int_equal(store_wipe(s, &why), 0);
        buf_fini(&why);
        assert_false(has(s, "a", "1"));
        put_one(s, "b", "2");
        store_close(s);
        assert_int_equal(try_open(&s, format, MAP_BYTES, &unclean), 0);
        assert_false(unclean);
        assert_true(has(s, "b", "2"));
        store_close(s);
}

static off_t file_bytes(const char *name)
{
        char path[128];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        return stat(path, &st) == 0 ? st.st_size : -1;
}

static void test_other_version_is_made_anew(void **state)
{
        (void)state;
        struct store *s = open_ok();
        put_one(s, "a", "1");
        store_close(s);
        assert_made_anew("test 2");
        assert_int_equal(file_bytes("data.mdb.damaged"), -1);
        assert_made_anew("test 1");
}

/* Our state file beside another program's sound database. */
static void test_foreign_database_is_left_alone(void **state)
{
        (void)state;
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;
        MDB_val v = {4, (void *)(uintptr_t) "some"};
        char path[128];
        store_close(open_ok());
        snprintf(path, sizeof(path), "%s/data.mdb", dir);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
        assert_int_equal(mdb_put(txn, dbi, &v, &v, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        mdb_env_close(env);
        write_file("store.state", "clean 0\n", 8);
        off_t before = file_bytes("data.mdb");
        for (int i = 0; i < 2; i++)
                assert_open_fails("test 1", ERR_CORRUPT);
        assert_int_equal(file_bytes("data.mdb"), before);
}

/* A garbage page may look like one that has no entries: the store is damaged, not somebody else's.
 */
static void test_lost_entries(void **state)
{
        enum { PAGE = 4096, FLAGS_AT = 10, LOWER_AT = 12, LEAF = 2, HEADER = 16 }; /* LMDB's */
        char path[128];
        (void)state;
        struct store *s = open_ok();
        put_one(s, "a", "1");
        store_close(s);
        snprintf(path, sizeof(path), "%s/data.mdb", dir);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        uint16_t flags, lower = HEADER, n = 0;
        for (off_t at = 2 * PAGE; pread(fd, &flags, 2, at + FLAGS_AT) == 2; at += PAGE)
                if (flags == LEAF) {
                        assert_int_equal(pwrite(fd, &lower, 2, at + LOWER_AT), 2);
                        n++;
                }
        close(fd);
        assert_true(n > 0);
        assert_made_anew("test 1");
}

/* Or like one with entries, which are in no order. */
static void test_disordered_entries(void **state)
{
        enum { PAGE = 4096, FLAGS_AT = 10, LOWER_AT = 12, LEAF = 2, HEADER = 16 }; /* LMDB's */
        char path[128];
        uint16_t page[PAGE / 2], n = 0;
        (void)state;
        struct store *s = open_ok();
        put_one(s, "a", "1");
        put_one(s, "b", "2");
        store_close(s);
        snprintf(path, sizeof(path), "%s/data.mdb", dir);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        for (off_t at = 2 * PAGE; pread(fd, page, PAGE, at) == PAGE; at += PAGE) {
                if (page[FLAGS_AT / 2] != LEAF)
                        continue;
                /* Every entry is the one in the middle, so that ours is not found. */
                int entries = (page[LOWER_AT / 2] - HEADER) / 2;
                for (int i = 0; i < entries; i++)
                        page[HEADER / 2 + i] = page[HEADER / 2 + entries / 2];
                assert_int_equal(pwrite(fd, page, PAGE, at), PAGE);
                n++;
        }
        close(fd);
        assert_true(n > 0);
        assert_made_anew("test 1");
}

static void test_foreign_data_is_left_alone(void **state)
{
        (void)state;
        char path[128];
        struct stat st;
        write_file("data.mdb", "not a database at all", 21);
        for (int i = 0; i < 2; i++)
                assert_open_fails("test 1", ERR_CORRUPT);
        snprintf(path, sizeof(path), "%s/data.mdb", dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 21);
}

static void test_garbage_is_set_aside(void **state)
{
        (void)state;
        static unsigned char garbage[64 * 1024];
        srand(11);
        for (size_t i = 0; i < sizeof(garbage); i++)
                garbage[i] = (unsigned char)rand();
        store_close(open_ok());
        for (size_t len = sizeof(garbage); len > 10; len /= 100) {
                write_file("data.mdb", garbage, len);
                write_file("store.state", "clean 0\n", 8);
                assert_made_anew("test 1");
                assert_int_equal(file_bytes("data.mdb.damaged"), len);
        }
}

static void test_truncated_data(void **state)
{
        (void)state;
        char path[128];
        struct stat st;
        struct store *s = open_ok();
        for (int i = 0; i < 1000; i++) {
                char key[16];
                snprintf(key, sizeof(key), "key %d", i);
                put_one(s, key, "some value of some length, to fill more than a page");
        }
        store_close(s);
        snprintf(path, sizeof(path), "%s/data.mdb", dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size / 2), 0);
        bool unclean = false;
        assert_int_equal(try_open(&s, "test 1", MAP_BYTES, &unclean), 0);
        assert_true(unclean);
        store_close(s);

        /* Even when no size was noted there is an error, or contents that can be walked, and no
         * SIGBUS. */
        assert_int_equal(truncate(path, 8192), 0);
        write_file("store.state", "clean 0\n", 8);
        assert_made_anew("test 1");
}

/* ---- damage that is found while the store is open */

static void count_corrupt(void *arg)
{
        ++*(int *)arg;
}

static void test_distrusted_store_is_unclean(void **state)
{
        (void)state;
        int told = 0;
        struct store_options o = {.path = dir,
                                  .format = "test 1",
                                  .max_bytes = MAP_BYTES,
                                  .max_readers = 4,
                                  .on_corrupt = count_corrupt,
                                  .arg = &told};
        struct store *s;
        struct buf why;
        bool unclean;
        buf_init(&why, 1024);
        assert_int_equal(store_open(&s, &o, &unclean, &why), 0);
        buf_fini(&why);
        put_one(s, "a", "1");
        store_distrust(s, "a test");
        store_distrust(s, "a test");
        assert_int_equal(told, 1);
        store_close(s); /* does not make it clean */
        assert_made_anew("test 1");
}

/* A memory fault in the map ends the process as ever, and the next one does not trust the store. */
static void test_fault_makes_it_unclean(void **state)
{
        (void)state;
        int status;
        store_close(open_ok());
        pid_t pid = fork();
        if (pid == 0) {
                (void)signal(SIGBUS, SIG_DFL); /* cmocka's would go on with the test */
                struct store *s = open_ok();
                struct store_txn t;
                struct slice value;
                char path[128];
                put_one(s, "a", "1");
                store_begin_read(s, &t);
                if (!store_get(&t, SLICE_LIT("a"), &value))
                        _exit(2);
                snprintf(path, sizeof(path), "%s/data.mdb", dir);
                if (truncate(path, 0) != 0)
                        _exit(3);
                _exit(*(const volatile char *)value.p); /* SIGBUS */
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
        write_file("data.mdb", "x", 1); /* so that there is something to distrust */
        assert_made_anew("test 1");
        assert_int_equal(file_bytes("data.mdb.damaged"), -1); /* the mark was read, not the data */
}

static void test_path_that_cannot_be(void **state)
{
        (void)state;
        struct store_options o = {
                .path = "/dev/null/x", .format = "f 1", .max_bytes = MAP_BYTES, .max_readers = 1};
        struct store *s = NULL;
        struct buf why;
        bool unclean;
        buf_init(&why, 1024);
        assert_int_equal(store_open(&s, &o, &unclean, &why), ERR_IO);
        assert_true(why.len > 0);
        buf_fini(&why);
}

/* ---- a full map */

static void test_full_map(void **state)
{
        (void)state;
        struct store *s = NULL;
        bool unclean;
        static char value[8192];
        int n = 0, err;
        assert_int_equal(try_open(&s, "test 1", 1024 * 1024, &unclean), 0);
        put_one(s, "first", "1");
        do {
                struct store_txn t;
                char key[16];
                snprintf(key, sizeof(key), "%d", n);
                store_begin_write(s, &t);
                store_put(&t, slice_cstr(key), slice_of(value, sizeof(value)));
                err = store_commit(&t);
        } while (err == 0 && ++n < 1000);
        assert_int_equal(err, ERR_FULL);
        assert_true(n > 10);
        assert_true(has(s, "first", "1")); /* reads go on */
        assert_int_equal(store_sync(s), 0);

        struct store_txn t; /* and with room again so do writes */
        store_begin_write(s, &t);
        assert_int_equal(store_del_range(&t, SLICE_LIT("0"), SLICE_LIT("9"), 20), 20);
        assert_int_equal(store_commit(&t), 0);
        put_one(s, "again", "2");
        store_close(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_put_get_del),
                TEST(test_abort_leaves_nothing),
                TEST(test_errors_are_sticky),
                TEST(test_reader_sees_its_snapshot),
                TEST(test_readers_are_limited),
                TEST(test_random_against_array),
                TEST(test_reserved_keys_are_hidden),
                TEST(test_readers_beside_writer_and_sync),
                TEST(test_contents_survive),
                TEST(test_process_death_is_clean),
                TEST(test_second_opener_is_refused),
                TEST(test_other_boot_is_unclean),
                TEST(test_unclean_stays_unclean_until_wiped),
                TEST(test_other_format),
                TEST(test_other_version_is_made_anew),
                TEST(test_lost_entries),
                TEST(test_disordered_entries),
                TEST(test_foreign_data_is_left_alone),
                TEST(test_foreign_database_is_left_alone),
                TEST(test_distrusted_store_is_unclean),
                TEST(test_fault_makes_it_unclean),
                TEST(test_garbage_is_set_aside),
                TEST(test_truncated_data),
                TEST(test_path_that_cannot_be),
                TEST(test_full_map),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
