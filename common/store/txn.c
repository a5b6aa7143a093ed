/* Transactions. A read transaction is made once and then reset and renewed, which takes no lock of
 * LMDB's and no system call; a fetch pays for its seeks only. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/store/env.h"

enum cursor_state {
        CURSOR_NONE,
        CURSOR_STALE, /* of an earlier use of the reader: must be renewed */
        CURSOR_READY,
        CURSOR_ON_KEY /* store_next() may follow */
};

/* ---- errors */

/* LMDB reports a write that was cut short by a full disk as EIO. */
static bool disk_is_full(const struct store *s)
{
        struct statvfs v;
        return statvfs(s->path, &v) == 0 && v.f_bavail < 16;
}

int store_error(const struct store *s, int rc)
{
        switch (rc) {
        case 0:
                return 0;
        case MDB_MAP_FULL:
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
                return ERR_FULL;
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_INVALID:
                return ERR_CORRUPT;
        case MDB_VERSION_MISMATCH:
        case MDB_INCOMPATIBLE:
                return ERR_VERSION;
        case MDB_NOTFOUND:
                return ERR_NOTFOUND;
        case MDB_READERS_FULL:
        case MDB_TXN_FULL:
        case ENOMEM:
                return ERR_LIMIT;
        case MDB_BAD_VALSIZE:
        case EINVAL:
                return ERR_INVAL;
        case EACCES:
        case EPERM:
        case EROFS:
                return ERR_DENIED;
        case MDB_PANIC: /* a meta page could not be written: only opening anew helps */
                return ERR_IO;
        default:
                return disk_is_full(s) ? ERR_FULL : ERR_IO;
        }
}

/* Keeps the first error. True when there is none. */
static bool ok(struct store_txn *t, int rc)
{
        if (rc == 0 || t->err != 0)
                return t->err == 0;
        t->err = store_error(t->store, rc);
        if (t->err == ERR_CORRUPT)
                store_distrust(t->store, mdb_strerror(rc));
        return false;
}

/* ---- begin and end */

static void end_reader(struct idle_reader *r)
{
        if (r->cursor)
                mdb_cursor_close(r->cursor);
        mdb_txn_abort(r->txn);
}

/* An idle reader, or one with txn NULL. Counts it as busy either way. */
static struct idle_reader take_reader(struct store *s)
{
        struct idle_reader r = {NULL, NULL};
        pthread_mutex_lock(&s->lock);
        if (s->n_idle > 0)
                r = s->idle[--s->n_idle];
        s->n_busy++;
        pthread_mutex_unlock(&s->lock);
        return r;
}

static void give_reader(struct store *s, struct idle_reader r)
{
        pthread_mutex_lock(&s->lock);
        SLUICE_ASSERT(s->n_busy > 0);
        s->n_busy--;
        bool kept = r.txn && s->n_idle < s->max_readers;
        if (kept)
                s->idle[s->n_idle++] = r;
        pthread_mutex_unlock(&s->lock);
        if (r.txn && !kept)
                end_reader(&r);
}

void store_drop_readers(struct store *s)
{
        pthread_mutex_lock(&s->lock);
        SLUICE_ASSERT(s->n_busy == 0);
        while (s->n_idle > 0)
                end_reader(&s->idle[--s->n_idle]);
        pthread_mutex_unlock(&s->lock);
}

void store_begin_read(struct store *s, struct store_txn *t)
{
        CHECK_OBJ(s, STORE_MAGIC);
        *t = (struct store_txn){.store = s};
        if (!s->env) {
                t->err = ERR_CORRUPT;
                return;
        }
        struct idle_reader r = take_reader(s);
        bool renewed = r.txn != NULL;
        int rc = renewed ? mdb_txn_renew(r.txn) : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &r.txn);
        if (rc != 0) {
                if (renewed)
                        end_reader(&r);
                give_reader(s, (struct idle_reader){NULL, NULL});
                ok(t, rc);
                return;
        }
        t->txn = r.txn;
        t->cursor = r.cursor;
        t->cursor_state = r.cursor ? CURSOR_STALE : CURSOR_NONE;
}

void store_begin_write(struct store *s, struct store_txn *t)
{
        CHECK_OBJ(s, STORE_MAGIC);
        MDB_txn *txn;
        *t = (struct store_txn){.store = s, .writing = true};
        if (!s->env)
                t->err = ERR_CORRUPT;
        else if (ok(t, mdb_txn_begin(s->env, NULL, 0, &txn)))
                t->txn = txn;
}

static void end_read(struct store_txn *t)
{
        mdb_txn_reset(t->txn);
        give_reader(t->store, (struct idle_reader){t->txn, t->cursor});
}

static void close_cursor(struct store_txn *t)
{
        if (t->cursor)
                mdb_cursor_close(t->cursor);
        t->cursor = NULL;
        t->cursor_state = CURSOR_NONE;
}

int store_commit(struct store_txn *t)
{
        if (t->txn && t->writing && t->err == 0) {
                close_cursor(t);
                ok(t, mdb_txn_commit(t->txn)); /* has ended, whatever it says */
                t->txn = NULL;
        }
        int err = t->err;
        store_abort(t);
        return err;
}

void store_abort(struct store_txn *t)
{
        if (t->txn && t->writing) {
                close_cursor(t);
                mdb_txn_abort(t->txn);
        } else if (t->txn) {
                end_read(t);
        }
        t->txn = t->cursor = NULL;
        if (t->err == 0)
                t->err = ERR_CLOSED; /* what is called now does nothing */
}

/* ---- reading */

static MDB_val to_val(struct slice s)
{
        return (MDB_val){s.len, (void *)(uintptr_t)s.p};
}

static struct slice to_slice(MDB_val v)
{
        return slice_of(v.mv_data, v.mv_size);
}

/* False, with the sticky error set, for a key that cannot be. */
static bool check_key(struct store_txn *t, struct slice key)
{
        if (t->err)
                return false;
        if (key.len == 0 || key.len > STORE_KEY_MAX) {
                t->err = ERR_INVAL;
                return false;
        }
        SLUICE_ASSERT(key.p[0] != STORE_RESERVED);
        return true;
}

static bool ensure_cursor(struct store_txn *t)
{
        int rc = 0;
        if (t->err)
                return false;
        if (t->cursor_state == CURSOR_NONE) {
                MDB_cursor *cursor;
                rc = mdb_cursor_open(t->txn, t->store->dbi, &cursor);
                if (rc == 0)
                        t->cursor = cursor;
        } else if (t->cursor_state == CURSOR_STALE) {
                rc = mdb_cursor_renew(t->txn, t->cursor);
        }
        if (!ok(t, rc))
                return false;
        t->cursor_state = CURSOR_READY;
        return true;
}

/* One step of the cursor; reserved keys count as none. */
static bool step(struct store_txn *t, MDB_cursor_op op, MDB_val *k, MDB_val *v)
{
        t->cursor_state = CURSOR_READY;
        int rc = mdb_cursor_get(t->cursor, k, v, op);
        if (rc == MDB_NOTFOUND || !ok(t, rc))
                return false;
        if (*(const unsigned char *)k->mv_data == STORE_RESERVED)
                return false;
        t->cursor_state = CURSOR_ON_KEY;
        return true;
}

static bool found(MDB_val k, MDB_val v, struct slice *key, struct slice *value)
{
        if (key)
                *key = to_slice(k);
        if (value)
                *value = to_slice(v);
        return true;
}

bool store_get(struct store_txn *t, struct slice key, struct slice *value)
{
        if (!check_key(t, key))
                return false;
        MDB_val k = to_val(key), v;
        int rc = mdb_get(t->txn, t->store->dbi, &k, &v);
        if (rc == MDB_NOTFOUND || !ok(t, rc))
                return false;
        return found(k, v, NULL, value);
}

/* Where the caller's tables begin. */
static struct slice skip_reserved(struct slice from)
{
        return from.len == 0 || from.p[0] == STORE_RESERVED ? SLICE_LIT("\x01") : from;
}

bool store_seek(struct store_txn *t, struct slice from, struct slice *key, struct slice *value)
{
        if (!ensure_cursor(t))
                return false;
        MDB_val k = to_val(skip_reserved(from)), v;
        return step(t, MDB_SET_RANGE, &k, &v) && found(k, v, key, value);
}

bool store_seek_back(struct store_txn *t, struct slice from, struct slice *key, struct slice *value)
{
        if (!ensure_cursor(t))
                return false;
        if (from.len == 0 || from.p[0] == STORE_RESERVED)
                return false;
        MDB_val k = to_val(from), v;
        bool hit = step(t, MDB_SET_RANGE, &k, &v);
        if (t->err)
                return false;
        if (!hit)
                hit = step(t, MDB_LAST, &k, &v);
        else if (slice_cmp(to_slice(k), from) > 0)
                hit = step(t, MDB_PREV, &k, &v);
        return hit && found(k, v, key, value);
}

bool store_next(struct store_txn *t, struct slice *key, struct slice *value)
{
        MDB_val k, v;
        if (t->err || t->cursor_state != CURSOR_ON_KEY)
                return false;
        return step(t, MDB_NEXT, &k, &v) && found(k, v, key, value);
}

/* ---- writing */

void store_put(struct store_txn *t, struct slice key, struct slice value)
{
        SLUICE_ASSERT(t->writing);
        if (!check_key(t, key))
                return;
        MDB_val k = to_val(key), v = to_val(value);
        ok(t, mdb_put(t->txn, t->store->dbi, &k, &v, 0));
}

void *store_put_room(struct store_txn *t, struct slice key, size_t len)
{
        SLUICE_ASSERT(t->writing);
        if (!check_key(t, key))
                return NULL;
        MDB_val k = to_val(key), v = {len, NULL};
        return ok(t, mdb_put(t->txn, t->store->dbi, &k, &v, MDB_RESERVE)) ? v.mv_data : NULL;
}

bool store_del(struct store_txn *t, struct slice key)
{
        SLUICE_ASSERT(t->writing);
        if (!check_key(t, key))
                return false;
        MDB_val k = to_val(key);
        int rc = mdb_del(t->txn, t->store->dbi, &k, NULL);
        return rc != MDB_NOTFOUND && ok(t, rc);
}

size_t store_del_range(struct store_txn *t, struct slice from, struct slice below, size_t limit)
{
        SLUICE_ASSERT(t->writing);
        size_t n = 0;
        if (limit == 0 || !ensure_cursor(t))
                return 0;
        MDB_val k = to_val(skip_reserved(from)), v;
        bool more = step(t, MDB_SET_RANGE, &k, &v);
        while (more && slice_cmp(to_slice(k), below) < 0) {
                if (!ok(t, mdb_cursor_del(t->cursor, 0)) || ++n == limit)
                        break;
                more = step(t, MDB_NEXT, &k, &v);
        }
        t->cursor_state = CURSOR_READY;
        return n;
}
