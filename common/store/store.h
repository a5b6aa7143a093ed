/* The door to LMDB: no other file includes its header. One environment, one DBI; keys are
 * big-endian byte strings whose first byte names the table. Errors are sticky in the transaction: a
 * sequence is checked once, at the commit (knot_lmdb's way). ERR_FULL: map or disk is full;
 * ERR_CORRUPT: not ours, or damaged; ERR_VERSION: another format.
 *
 * Threads: one writer at a time (the caller's duty); readers on any thread, each transaction on one
 * thread. */
#ifndef COMMON_STORE_STORE_H
#define COMMON_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct store;

struct store_options {
        const char *path;   /* directory, made when missing */
        const char *format; /* "name version" */
        size_t max_bytes;   /* size of the map: the most the file can grow to */
        uint32_t max_readers;
        /* Any thread, once: the contents turned out to be damaged. The process should end; the next
         * one finds the store unclean. May be NULL. */
        void (*on_corrupt)(void *arg);
        void *arg;
};

/* Opens with NOSYNC: nothing is durable before store_sync(). *unclean: our own store, but its
 * contents are of no use, for the reason in *why: the machine went down while it was open (another
 * boot id), it is damaged, or of another version. They are not looked at: until store_wipe() every
 * transaction fails with ERR_CORRUPT. A process that dies leaves the store clean. ERR_EXISTS:
 * another process has it open; ERR_CORRUPT, ERR_VERSION: what is there is not ours, and has not
 * been touched; ERR_FULL, ERR_DENIED, ERR_IO. */
int store_open(struct store **out, const struct store_options *o, bool *unclean, struct buf *why);
/* Syncs and marks clean. */
void store_close(struct store *s);
/* Drops all contents; only while there is no transaction. A file that cannot be told to be a store
 * of ours is set aside as data.mdb.damaged instead, in the place of an older one. */
int store_wipe(struct store *s, struct buf *why);
/* Any thread: what the store has returned cannot be. Marks it as damaged, for good, and tells
 * on_corrupt. Damage that LMDB itself notices does the same. */
void store_distrust(struct store *s, const char *what);
/* Makes every commit so far durable. May run beside the writer, on another thread. ERR_IO,
 * ERR_FULL; after either the kernel may have dropped what it could not write: nothing committed
 * since the last success may count as durable any more. */
int store_sync(struct store *s);
/* Frees slots of readers that died; call it every second or so. */
void store_check_readers(struct store *s);
/* Pages in use, without those that are free for reuse; 0 when that cannot be told. */
uint64_t store_used_bytes(struct store *s);

struct store_txn {
        struct store *store;
        void *txn, *cursor; /* LMDB's own */
        uint8_t cursor_state;
        bool writing;
        int err; /* sticky */
};

/* Keys are 1 to 511 bytes (ERR_INVAL) and do not begin with 0: that table is the store's own and
 * never seen. The struct is the caller's. On failure t->err is set and every later call does
 * nothing. */
void store_begin_read(struct store *s, struct store_txn *t);
void store_begin_write(struct store *s, struct store_txn *t);
/* Returns the sticky error; commits only when it is 0. The transaction is over either way. */
int store_commit(struct store_txn *t);
void store_abort(struct store_txn *t);

/* Borrowed until the transaction ends or (in a write transaction) the next write. */
bool store_get(struct store_txn *t, struct slice key, struct slice *value);
/* First key >= `from`. */
bool store_seek(struct store_txn *t, struct slice from, struct slice *key, struct slice *value);
/* Last key <= `from`. */
bool store_seek_back(struct store_txn *t, struct slice from, struct slice *key,
                     struct slice *value);
/* After a seek that found something: the following key. */
bool store_next(struct store_txn *t, struct slice *key, struct slice *value);
void store_put(struct store_txn *t, struct slice key, struct slice value);
/* Room of `len` bytes under `key`, to be filled at once, before any other call; NULL on error. */
void *store_put_room(struct store_txn *t, struct slice key, size_t len);
/* True when it was there. */
bool store_del(struct store_txn *t, struct slice key);
/* Deletes at most `limit` keys in [from, below); returns how many. */
size_t store_del_range(struct store_txn *t, struct slice from, struct slice below, size_t limit);

#endif
