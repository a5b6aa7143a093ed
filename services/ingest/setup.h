/* One attempt to get a replication stream going, step by step on a worker thread with blocking
 * calls, so that the loop goes on answering routers:
 *
 *   connect → check server → lock → publication → slot → term → start
 *
 * Every step leads to the next, to "try again later" or to "this will not mend itself". The
 * advisory lock lives and dies with the connection: who streams holds it (one leader per stream
 * id).
 *
 * The lock is tried again and again rather than waited for: a statement that waits holds a
 * snapshot, and with it the vacuum horizon of the whole database, for as long as this standby
 * stands by. */
#ifndef SERVICES_INGEST_SETUP_H
#define SERVICES_INGEST_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/pg/pg.h"
#include "services/ingest/peers.h"
#include "services/ingest/publication.h"

enum { SETUP_WHY_BYTES = 1024, SETUP_CONNECT_TIMEOUT_S = 5 };

struct setup {
        /* given */
        const char *url, *ca_file;
        struct object_names names;
        int cancel_fd;       /* becomes readable: give up. Borrowed */
        bool drop_slot;      /* the last stream said that the slot is of no use any more */
        uint64_t slot_epoch; /* of struct term: kept from one attempt to the next */
        bool was_primary;    /* by an earlier attempt: a standby now is one that may take over */
        /* result: err 0 and a connection that streams; or ERR_CANCELLED; or ERR_DB with a line in
         * `why` */
        int err;
        enum pg_failure failure;
        bool complained; /* about a slot that takes long */
        bool made_slot;  /* now */
        bool had_lock;   /* which of the messages of protocol §4.6 applies */
        PGconn *conn;
        struct term term;
        uint64_t wal_sender_timeout_ms;
        char why[SETUP_WHY_BYTES];
};

/* Blocks; tells svc_set_state() what it waits for. */
void setup_run(struct setup *s);

/* Blocks: drops the slot when nothing uses it any more, over a connection of its own. Logs. */
void setup_drop_slot(struct setup *s);

/* The messages of protocol §4.6, static. */
const char *setup_waiting_text(bool had_lock);

#endif
