/* What store.c and txn.c share; private to common/store. */
#ifndef COMMON_STORE_ENV_H
#define COMMON_STORE_ENV_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/store/state.h"
#include "common/store/store.h"

enum {
        STORE_MAGIC = 0x53544f52,
        STORE_RESERVED = 0, /* first byte of the store's own keys */
        STORE_KEY_MAX = 511
};

/* A reader that is not in use: its transaction is reset, but keeps its slot in LMDB's reader table,
 * and its cursor. */
struct idle_reader {
        MDB_txn *txn;
        MDB_cursor *cursor; /* or NULL */
};

struct store {
        uint32_t magic;
        MDB_env *env;           /* NULL: unclean, to be wiped first */
        bool set_aside;         /* what is to be wiped may not be ours */
        atomic_bool distrusted; /* the state file says so already */
        void (*on_corrupt)(void *arg);
        void *arg;
        MDB_dbi dbi;
        struct state state;
        char *path, *format;
        size_t max_bytes;
        uint32_t max_readers;

        pthread_mutex_t lock;     /* guards what follows */
        struct idle_reader *idle; /* a stack: the reader used last is the warmest */
        uint32_t n_idle, n_busy;
};

/* LMDB's and the system's codes as ours. */
int store_error(const struct store *s, int rc);
/* Ends the idle readers; none may be busy. */
void store_drop_readers(struct store *s);

#endif
