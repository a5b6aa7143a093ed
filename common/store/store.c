/* Opening, closing and syncing the environment. Transactions are in txn.c, the state file in
 * state.c.
 *
 * Why NOSYNC is sound: a commit is acknowledged only after store_sync() (I3). If the process dies
 * the kernel still has all pages, and the file is whole. If the machine dies, pages may have
 * reached the disk in any order; then the state file still says "open" with the id of the boot that
 * is gone, and the contents are not even looked at, because LMDB trusts its pages.
 *
 * The format's name stands in the data itself, under the reserved key.
 *
 * A store that is damaged is not mended: it is a copy of what Postgres has, and is made anew. Only
 * what is certainly ours is thrown away, though: a state file beside it says so, and then the
 * format in the data; what has no readable format is set aside. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/obs/log.h"
#include "common/store/env.h"
#include "common/store/fault.h"

enum {
        SPARE_READERS = 4,
        PATH_MAX_BYTES = 4096,
        SHORTFALL_MAX_BYTES = 64 * 1024 * 1024,
        WALK_ENTRIES = 100
};

static const unsigned env_flags = MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD;

static void data_path(const struct store *s, const char *name, char out[PATH_MAX_BYTES])
{
        snprintf(out, PATH_MAX_BYTES, "%s/%s", s->path, name); /* state_open() checked the length */
}

static uint64_t data_bytes(const struct store *s)
{
        char path[PATH_MAX_BYTES];
        struct stat st;
        data_path(s, "data.mdb", path);
        return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Makes the directory and its parents. */
static int make_directory(const char *directory, struct buf *why)
{
        char path[PATH_MAX_BYTES];
        int len = snprintf(path, sizeof(path), "%s", directory);
        if (len <= 0 || (size_t)len >= sizeof(path)) {
                buf_puts(why, "the path of the store is empty or too long");
                return ERR_INVAL;
        }
        for (char *p = path + 1; *p; p++) {
                if (*p != '/')
                        continue;
                *p = '\0';
                (void)mkdir(path, 0755);
                *p = '/';
        }
        struct stat st;
        int error = 0;
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
                error = errno;
        else if (stat(path, &st) != 0)
                error = errno;
        else if (!S_ISDIR(st.st_mode))
                error = ENOTDIR;
        if (error == 0)
                return 0;
        buf_printf(why, "cannot make directory %s: %s", directory, strerror(error));
        return error == EACCES || error == EPERM || error == EROFS ? ERR_DENIED : ERR_IO;
}

/* ---- the environment */

void store_distrust(struct store *s, const char *what)
{
        CHECK_OBJ(s, STORE_MAGIC);
        if (atomic_exchange(&s->distrusted, true))
                return;
        log_error("store_corrupt", "store %s is corrupt and is given up: %s", s->path, what);
        if (state_mark_untrusted(&s->state) != 0)
                log_error("store_mark_failed", "store %s cannot be marked as corrupt", s->path);
        if (s->on_corrupt)
                s->on_corrupt(s->arg);
}

/* LMDB has met pages that cannot be, and has no way back to its caller. What is on disk is not
 * looked at again: the next start finds the store unclean. */
static void on_lmdb_assert(MDB_env *env, const char *message)
{
        struct store *s = mdb_env_get_userctx(env);
        char what[64];
        snprintf(what, sizeof(what), "LMDB, %.*s", (int)strcspn(message, " "), message);
        s->on_corrupt = NULL;
        store_distrust(s, what);
        _exit(EXIT_FAILURE);
}

static void close_env(struct store *s)
{
        fault_unwatch(s);
        if (s->env)
                mdb_env_close(s->env);
        s->env = NULL;
}

/* A page behind the end of the file would be a SIGBUS; in a hole it is zeros, which LMDB recognises
 * as damage. The file may rightly be short of pages that were allocated and freed in one
 * transaction, but not of most. */
static int cover_all_pages(struct store *s)
{
        MDB_envinfo info;
        MDB_stat st;
        int fd;
        if (mdb_env_info(s->env, &info) != 0 || mdb_env_stat(s->env, &st) != 0 ||
            mdb_env_get_fd(s->env, &fd) != 0)
                return ERR_IO;
        uint64_t needed = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize, have = data_bytes(s);
        if (needed / 2 > have + SHORTFALL_MAX_BYTES)
                return ERR_CORRUPT;
        return have >= needed || ftruncate(fd, (off_t)needed) == 0 ? 0 : ERR_IO;
}

static int open_dbi(struct store *s)
{
        MDB_txn *txn;
        int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
        if (rc == 0) {
                rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
                if (rc == 0)
                        rc = mdb_txn_commit(txn);
                else
                        mdb_txn_abort(txn);
        }
        return store_error(s, rc);
}

static int open_env(struct store *s, struct buf *why)
{
        int rc = mdb_env_create(&s->env);
        if (rc == 0)
                rc = mdb_env_set_mapsize(s->env, s->max_bytes);
        if (rc == 0)
                rc = mdb_env_set_maxreaders(s->env, s->max_readers + SPARE_READERS);
        if (rc == 0)
                rc = mdb_env_set_userctx(s->env, s);
        if (rc == 0)
                rc = mdb_env_set_assert(s->env, on_lmdb_assert);
        if (rc == 0)
                rc = mdb_env_open(s->env, s->path, env_flags, 0600);
        if (rc == 0)
                fault_watch(s);
        int err = store_error(s, rc);
        if (err) {
                buf_printf(why, "cannot open store %s: %s", s->path, mdb_strerror(rc));
        } else {
                err = cover_all_pages(s);
                if (!err)
                        err = open_dbi(s);
                if (err)
                        buf_printf(why, "cannot open store %s: %s", s->path, err_text(err));
        }
        if (err)
                close_env(s);
        return err;
}

/* ---- the format */

static const unsigned char format_key[] = {STORE_RESERVED, 'f', 'o', 'r', 'm', 'a', 't'};

/* What the file turned out to be. */
enum finding {
        FOUND_OURS,
        FOUND_EMPTY,
        FOUND_OTHER_VERSION,
        FOUND_DAMAGE,      /* ours */
        FOUND_UNREADABLE,  /* nothing says whose it is, or was */
        FOUND_FOREIGN,     /* sound, and not ours */
        FOUND_OTHER_FORMAT /* likewise, of a program that uses this module */
};

static enum finding compare_format(const struct store *s, struct slice found)
{
        size_t name = (size_t)(strrchr(s->format, ' ') - s->format) + 1;
        if (slice_eq(found, slice_cstr(s->format)))
                return FOUND_OURS;
        return slice_starts(found, slice_of(s->format, name)) ? FOUND_OTHER_VERSION
                                                              : FOUND_OTHER_FORMAT;
}

/* May `key` come next? `last`: empty at first. */
static bool is_in_order(const struct store *s, MDB_txn *txn, const MDB_val *last,
                        const MDB_val *key)
{
        unsigned flags;
        if (key->mv_size == 0 || key->mv_size > (size_t)mdb_env_get_maxkeysize(s->env))
                return false;
        if (last->mv_size == 0)
                return true;
        int order = mdb_cmp(txn, s->dbi, last, key);
        return order < 0 || (order == 0 && mdb_dbi_flags(txn, s->dbi, &flags) == 0 &&
                             (flags & MDB_DUPSORT) != 0);
}

/* Does a walk over the first entries meet as many as the file says it has, in their order? Pages
 * that are garbage look like a database in which our key is not found. */
static bool is_walkable(const struct store *s, MDB_txn *txn, size_t entries)
{
        MDB_cursor *cursor;
        MDB_val last = {0}, key, value;
        size_t n = 0, wanted = entries < WALK_ENTRIES ? entries : WALK_ENTRIES;
        if (mdb_cursor_open(txn, s->dbi, &cursor) != 0)
                return false;
        while (n < wanted && mdb_cursor_get(cursor, &key, &value, n ? MDB_NEXT : MDB_FIRST) == 0 &&
               is_in_order(s, txn, &last, &key)) {
                last = key;
                n++;
        }
        mdb_cursor_close(cursor);
        return n == wanted;
}

static enum finding read_format(const struct store *s, MDB_txn *txn)
{
        MDB_val key = {sizeof(format_key), (void *)(uintptr_t)format_key}, value;
        MDB_stat stat_;
        int rc = mdb_get(txn, s->dbi, &key, &value);
        if (rc == 0)
                return compare_format(s, slice_of(value.mv_data, value.mv_size));
        if (rc != MDB_NOTFOUND || mdb_stat(txn, s->dbi, &stat_) != 0)
                return FOUND_UNREADABLE;
        if (stat_.ms_entries == 0)
                return FOUND_EMPTY;
        return is_walkable(s, txn, stat_.ms_entries) ? FOUND_FOREIGN : FOUND_UNREADABLE;
}

static enum finding check_format(const struct store *s)
{
        MDB_txn *txn;
        if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
                return FOUND_UNREADABLE;
        enum finding f = read_format(s, txn);
        mdb_txn_abort(txn);
        return f;
}

static int write_format(struct store *s)
{
        MDB_txn *txn;
        MDB_val key = {sizeof(format_key), (void *)(uintptr_t)format_key};
        MDB_val value = {strlen(s->format), s->format};
        int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
        if (rc == 0) {
                rc = mdb_put(txn, s->dbi, &key, &value, 0);
                if (rc == 0)
                        rc = mdb_txn_commit(txn);
                else
                        mdb_txn_abort(txn);
        }
        if (rc == 0)
                rc = mdb_env_sync(s->env, 1);
        return store_error(s, rc);
}

/* ---- life */

static int mark_open(struct store *s, struct buf *why)
{
        int err = state_mark_open(&s->state);
        if (err)
                buf_printf(why, "cannot mark store %s as open: %s", s->path, err_text(err));
        return err;
}

/* An empty store. It is marked before there is anything in it, so it is never taken for a foreign
 * one. */
static int create(struct store *s, struct buf *why)
{
        int err = mark_open(s, why);
        if (!err)
                err = open_env(s, why);
        if (!err) {
                err = write_format(s);
                if (err)
                        buf_printf(why, "cannot write to store %s: %s", s->path, err_text(err));
        }
        return err;
}

/* A store that can be trusted. Nothing is written before its format is known to be ours. Errors but
 * those of the file itself are in *err. */
static enum finding look_into(struct store *s, int *err, struct buf *why)
{
        bool shorter = s->state.kind == STATE_CLEAN && data_bytes(s) < s->state.clean_bytes;
        *err = open_env(s, why);
        if (*err == ERR_CORRUPT || *err == ERR_VERSION) {
                *err = 0;
                return FOUND_UNREADABLE;
        }
        if (*err)
                return FOUND_OURS;
        enum finding f = check_format(s);
        return shorter && (f == FOUND_OURS || f == FOUND_EMPTY) ? FOUND_DAMAGE : f;
}

static int use_env(struct store *s, bool empty, struct buf *why)
{
        int err = mark_open(s, why);
        return !err && empty ? write_format(s) : err;
}

static int reopen(struct store *s, bool *unclean, struct buf *why)
{
        int err = 0;
        enum finding f = look_into(s, &err, why);
        if (err)
                return err;
        if (f == FOUND_OURS || f == FOUND_EMPTY)
                return use_env(s, f == FOUND_EMPTY, why);
        close_env(s);
        buf_reset(why);
        if (f == FOUND_FOREIGN || f == FOUND_OTHER_FORMAT) {
                buf_printf(why, "store %s is not a store of this program%s%s", s->path,
                           f == FOUND_FOREIGN ? "" : ": its format is not ",
                           f == FOUND_FOREIGN ? "" : s->format);
                return f == FOUND_FOREIGN ? ERR_CORRUPT : ERR_VERSION;
        }
        *unclean = true;
        s->set_aside = f == FOUND_UNREADABLE;
        if (f == FOUND_OTHER_VERSION)
                buf_printf(why, "store %s is of another version than %s", s->path, s->format);
        else
                buf_printf(why, "store %s is damaged: %s", s->path,
                           f == FOUND_DAMAGE ? "the file is shorter than when it was closed"
                                             : "the file is not readable as one");
        return 0;
}

/* We make the state file before the data: data without one is somebody else's. In this order, so
 * that a process that creates the store at this moment is not accused. */
static int refuse_foreign(const struct store *s, struct buf *why)
{
        if (data_bytes(s) == 0 || state_exists(s->path))
                return 0;
        buf_printf(why, "directory %s has a database that is not ours", s->path);
        return ERR_CORRUPT;
}

static int open_by_state(struct store *s, bool *unclean, struct buf *why)
{
        *unclean = false;
        if (data_bytes(s) == 0)
                return create(s, why);
        switch (s->state.kind) {
        case STATE_TRUSTED:
        case STATE_CLEAN:
                return reopen(s, unclean, why);
        case STATE_ABSENT: /* the data appeared after refuse_foreign() looked */
                buf_printf(why, "directory %s is being changed by another program", s->path);
                return ERR_CORRUPT;
        case STATE_UNTRUSTED:
                *unclean = true;
                buf_printf(why,
                           "store %s was found damaged, or the machine went down before it was "
                           "synced",
                           s->path);
                return 0;
        }
        return ERR_INVAL;
}

static struct store *new_store(const struct store_options *o)
{
        struct store *s = mem_new(struct store);
        s->magic = STORE_MAGIC;
        s->state.fd = -1;
        s->path = slice_dup_cstr(slice_cstr(o->path));
        s->format = slice_dup_cstr(slice_cstr(o->format));
        s->max_bytes = o->max_bytes;
        s->max_readers = o->max_readers;
        s->on_corrupt = o->on_corrupt;
        s->arg = o->arg;
        s->idle = mem_array(o->max_readers, sizeof(*s->idle));
        SLUICE_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
        return s;
}

static void free_store(struct store *s)
{
        close_env(s);
        if (s->state.fd >= 0)
                state_close(&s->state);
        pthread_mutex_destroy(&s->lock);
        mem_free(s->idle);
        mem_free(s->path);
        mem_free(s->format);
        s->magic = 0;
        mem_free(s);
}

int store_open(struct store **out, const struct store_options *o, bool *unclean, struct buf *why)
{
        SLUICE_ASSERT(out && o && o->path && o->format && strrchr(o->format, ' ') && unclean &&
                      why);
        SLUICE_ASSERT(o->max_bytes > 0 && o->max_readers > 0);
        int err = make_directory(o->path, why);
        if (err)
                return err;
        struct store *s = new_store(o);
        err = refuse_foreign(s, why);
        if (!err)
                err = state_open(&s->state, o->path, why);
        if (!err)
                err = open_by_state(s, unclean, why);
        if (err)
                free_store(s);
        else
                *out = s;
        return err;
}

void store_close(struct store *s)
{
        CHECK_OBJ(s, STORE_MAGIC);
        if (s->env) {
                store_drop_readers(s);
                if (store_sync(s) == 0 && !atomic_load(&s->distrusted))
                        (void)state_mark_clean(&s->state, data_bytes(s)); /* else: still "open" */
        }
        free_store(s);
}

static int remove_file(const struct store *s, const char *name, struct buf *why)
{
        char path[PATH_MAX_BYTES];
        data_path(s, name, path);
        if (unlink(path) == 0 || errno == ENOENT)
                return 0;
        buf_printf(why, "cannot remove %s: %s", path, strerror(errno));
        return ERR_IO;
}

static int set_aside(const struct store *s, struct buf *why)
{
        char from[PATH_MAX_BYTES], to[PATH_MAX_BYTES];
        data_path(s, "data.mdb", from);
        data_path(s, "data.mdb.damaged", to);
        if (rename(from, to) != 0) {
                buf_printf(why, "cannot rename %s: %s", from, strerror(errno));
                return ERR_IO;
        }
        log_warning("store_set_aside", "%s is what was found; it may be removed", to);
        return 0;
}

int store_wipe(struct store *s, struct buf *why)
{
        CHECK_OBJ(s, STORE_MAGIC);
        if (s->env)
                store_drop_readers(s);
        close_env(s);
        int err = s->set_aside ? set_aside(s, why) : remove_file(s, "data.mdb", why);
        s->set_aside = false;
        if (!err)
                err = remove_file(s, "lock.mdb", why);
        if (err)
                return err;
        atomic_store(&s->distrusted, false);
        err = create(s, why);
        if (err)
                close_env(s);
        return err;
}

int store_sync(struct store *s)
{
        CHECK_OBJ(s, STORE_MAGIC);
        return s->env ? store_error(s, mdb_env_sync(s->env, 1)) : ERR_CORRUPT;
}

void store_check_readers(struct store *s)
{
        CHECK_OBJ(s, STORE_MAGIC);
        int dead;
        if (s->env)
                (void)mdb_reader_check(s->env, &dead); /* tried again a second later */
}

uint64_t store_used_bytes(struct store *s)
{
        struct store_txn t;
        MDB_stat st;
        uint64_t bytes = 0;
        store_begin_read(s, &t);
        if (t.err == 0 && mdb_stat(t.txn, s->dbi, &st) == 0)
                bytes = (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) *
                        (uint64_t)st.ms_psize;
        store_abort(&t);
        return bytes;
}
