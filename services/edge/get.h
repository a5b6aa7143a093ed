/* GET, HEAD and POST of /v1/shape (protocol §2). One struct get per request, in the request's
 * memory.
 *
 *   ADMITTED ─▶ RESOLVING ─▶ READING ─▶ ANSWERED
 *                 ▲  │  ▲      ▲ │ ▲
 *      not ready  │  │  └──────┼─┤ │   the shape is gone: resolve anew, answer 409
 *                 ▼  │         │ ▼ │
 *              NOT_READY      WAITING   for entries, for the tail to reach the offset, for the
 * snapshot
 *
 * A subset is QUERYING before RESOLVING, while its validity is asked for, and after READING, while
 * its rows are.
 *
 * Every state but ANSWERED has something that ends it: a reply (the bus answers within 5 s, a
 * subset within 45 s), a
 * notice, a timer, the client leaving, the drain. ANSWERED: the head is on its way; a body in
 * pieces or an event stream goes on from there. */
#ifndef SERVICES_EDGE_GET_H
#define SERVICES_EDGE_GET_H

#include <stdbool.h>
#include <stdint.h>

#include "services/edge/chunk.h"
#include "services/edge/def.h"
#include "services/edge/exchange.h"
#include "services/edge/params.h"
#include "services/edge/shape.h"
#include "services/edge/wheel.h"

enum {
        GET_MAGIC = 0x9e700001,
        GET_NOT_READY_MS = 5000, /* §4.6 */
        GET_SNAPSHOT_MS = 45000, /* §6.1 */
        GET_MAX_TURNS = 8,       /* of resolving and reading without an event in between */
        GET_MAX_BODY = 8000000   /* §1.6 */
};

enum get_state {
        GET_ADMITTED,
        GET_RESOLVING,
        GET_NOT_READY,
        GET_READING,
        GET_WAITING,
        GET_QUERYING,
        GET_ANSWERED
};

struct sse;
struct get_subset;

struct get {
        uint32_t magic;
        enum get_state state;
        struct exchange *x;
        struct worker *w;
        bool has_permit;
        enum admission_kind permit;
        bool handle_unsure; /* a handle was given that this loop has not heard of */

        struct offset_request offset;
        struct slice handle, cursor;
        bool live, sse;
        struct get_subset *subset; /* NULL: an ordinary request */
        uint64_t arrived_ms;

        struct def *def;
        struct shape *shape;
        struct def_wait resolving;
        struct chunk_reader reader;
        struct waiter waiter;
        struct wheel_entry timer;
        struct list not_ready;
        uint64_t wait_until_ms; /* of the wait under way; 0: none yet */
        uint64_t seen_events;   /* of the shape, when it was asked */
        bool last_look;         /* the long poll is over: answer whatever comes now */
        unsigned turns;

        struct blob *body; /* entries that came with a notice */
        struct sse *stream;
};

/* A request whose head has passed authentication. `query` is the decoded query string. */
void get_start(struct exchange *x, struct value *query);
/* A GET or HEAD whose target is known to mean this. */
void get_start_again(struct exchange *x, const struct memo_meaning *m);
/* Called for what comes off worker.woken, the wheel and worker_shard.not_ready. */
void get_woken(struct waiter *waiter);
void get_timeout(struct wheel_entry *timer);
void get_shard_ready(struct worker *w, uint32_t shard);
/* The process ends: everybody who waits is answered now. */
void gets_drain(struct worker *w);

/* ---- shared by get*.c and sse.c */

void get_become_existing(struct get *g);
void get_resolve(struct get *g);
void get_resolve_again(struct get *g);
void get_stop_waiting(struct get *g);

void get_read(struct get *g);
/* Parks on the shape until `until_ms`; reads again at once when there is nothing to wait for any
 * more. */
void get_wait(struct get *g, enum wait_kind kind, struct log_offset offset, uint64_t until_ms);
/* The shape is gone. */
void get_lost(struct get *g);
/* Its snapshot has not come so far: waits for a notice. */
void get_pending(struct get *g);
/* The router refused to read the shape. */
void get_failed(struct get *g, const struct msg_failed *failed);

/* What an answer says besides its body. */
struct answer {
        struct log_offset end;
        bool up_to_date, has_data, unique_etag;
        lsn_t lsn; /* of the up-to-date message */
};
/* If the request has the etag that the answer would have: 304, and true. */
bool get_answer_if_unchanged(struct get *g, const struct answer *a);
/* The whole body is here. */
void get_answer(struct get *g, const struct answer *a, struct slice entries);
/* The reader is attached and has nothing taken yet: sends its pieces as they come, or all in the
 * coding that the client accepts when the chunk is closed; while that form is not there, nothing is
 * answered, and the reader's callback runs again. */
void get_answer_chunk(struct get *g, const struct answer *a);
/* The whole body, which g->body holds. */
void get_answer_subset(struct get *g, struct log_offset end, struct slice body);
/* From here on: a stream that is open ends instead. Handle of the successor, or empty. */
void get_answer_refetch(struct get *g, struct slice handle);
/* `known_error`: a snapshot failed (§2.4), not the way to it. */
void get_answer_failed(struct get *g, const struct msg_failed *failed, bool known_error);
void get_answer_out_of_bounds(struct get *g);
void get_answer_snapshot_slow(struct get *g);
/* No router, no readiness (§4.6). */
void get_answer_not_ready(struct get *g, uint64_t retry_after_s);
/* The headers of a 200 or 304, without the ones every response has. `room` must live until the head
 * is given away. */
struct answer_room {
        char cache[HEAD_CACHE_BYTES];
        struct buf text;
};
void get_put_head(struct get *g, struct http_head *h, const struct answer *a,
                  struct slice content_type, struct answer_room *room);

#endif
