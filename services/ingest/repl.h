/* The replication connection: gets it, reads it while the stream has room, answers Postgres, and
 * begins again when it ends. One thread, the loop's; what blocks (setup.h) runs on a worker thread.
 *
 *                 start          worker done               end of stream, restart
 *      IDLE ─────────────▶ SETUP ────────────▶ STREAMING ───────────────────┐
 *                            ▲ │                  │   ▲                     │
 *                 timer, or  │ │ try again        ▼   │ room                │
 *                 at once    │ └──────▶ BACKOFF   PAUSED ───────────────────┤
 *                            └────────────┴─────────────────────────────────┘
 *      any ── repl_stop ──▶ STOPPED
 *
 * In PAUSED nothing is read, so Postgres' keepalives are not seen; status updates go out unasked
 * every third of wal_sender_timeout in both states, and the walsender never has a reason to give
 * up.
 *
 * That has a price: a server that is told to stop waits until its walsenders have sent everything
 * and heard that it is durable, for ever if routers are away. So we let go of it. While streaming
 * it is seen to insist (it asks again as soon as it is answered); while paused it is asked from
 * time to time whether it still accepts connections. */
#ifndef SERVICES_INGEST_REPL_H
#define SERVICES_INGEST_REPL_H

#include <stdbool.h>

#include "common/svc/loop.h"
#include "services/ingest/conf.h"
#include "services/ingest/publication.h"
#include "services/ingest/stream.h"

struct repl;

/* `on_active` runs on the loop each time that a stream has begun. */
struct repl *repl_new(struct loop *loop, const struct ingest_conf *conf,
                      const struct object_names *names, struct stream *stream,
                      void (*on_active)(void));
/* Waits for the worker, which gives up at once unless it is connecting (SETUP_CONNECT_TIMEOUT_S).
 */
void repl_free(struct repl *r);
void repl_start(struct repl *r);
/* A last status update, and no more, but that a leader drops the slot when it is told to; `done`
 * runs on the loop when the worker has ended. */
void repl_stop(struct repl *r, loop_callback *done, void *arg);

/* The stream's hooks; `repl` is a struct repl. */
void repl_on_room(struct repl *r);
void repl_on_confirmed(struct repl *r);
void repl_on_restart(struct repl *r);
/* The stream cannot go on. */
void repl_on_broken(struct repl *r, const char *why);

#endif
