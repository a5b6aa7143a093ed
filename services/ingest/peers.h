/* The routers that follow the stream: what each has, where each begins, and how far the stream may
 * be forgotten. Pure bookkeeping for one epoch, one thread.
 *
 * A configured router that has not said hello in this epoch, or has fallen silent since, has no say
 * in the window (a dead router must not stop the others for ever; it will say hello, and if the
 * window is gone for it the stream starts again from the slot), but it has its say in what Postgres
 * may forget (I3, see feedback.h).
 */
#ifndef SERVICES_INGEST_PEERS_H
#define SERVICES_INGEST_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/offset.h"
#include "common/bus/window.h"
#include "common/wire/msg.h"

enum { PEERS_MAX = 256 };

struct peer {
        bool heard;       /* said hello in this epoch */
        uint64_t seen_ms; /* when it said something last */
        uint64_t acked_seq;
        lsn_t applied, synced;
};

/* What is true of this epoch's stream. Positions as in batch.h: "commits at or before". */
struct term {
        uint64_t epoch;
        uint64_t system_id;
        uint32_t timeline;
        lsn_t start; /* the stream has every transaction that commits after it */
        lsn_t known; /* WAL existed up to here when the stream started: nobody can have more, but
                        from this stream */
        uint64_t slot_epoch; /* the term in which we made the slot; 0: we found it. What a router
                                has from before is of no use, wherever it says it is */
};

struct peers {
        struct term term;
        uint32_t n;
        lsn_t confirmed; /* what Postgres was told last, as a position of this kind (feedback.h) */
        /* Epochs later than ours that routers have followed: the highest that was claimed, and the
         * highest claimed before this term began. Either somebody else leads, or the database has
         * gone back: a term that begins after the claim, with the lock, and is still not later,
         * tells. */
        uint64_t claimed, disproved;
        struct peer list[PEERS_MAX];
};

void peers_begin(struct peers *p, uint32_t n, const struct term *term);

enum hello_verdict {
        HELLO_FOLLOW,  /* answer with *ok */
        HELLO_RESTART, /* the window does not reach back far enough, the slot does */
        HELLO_AHEAD,   /* it has followed a later epoch: another term must find out why */
        HELLO_UNKNOWN  /* no such router */
};

/* Judges a hello and, when it is HELLO_FOLLOW, notes the router and fills *ok. `reach`: a router
 * that needs nothing of the past begins after it (batch_reach()). */
enum hello_verdict peers_hello(struct peers *p, const struct msg_hello *hello,
                               const struct window *window, lsn_t reach, struct msg_hello_ok *ok);

/* 0; ERR_NOTFOUND: another epoch, or the router must say hello first; ERR_RANGE: it claims what was
 * never published. */
int peers_ack(struct peers *p, const struct msg_ack *ack, const struct window *window, lsn_t reach);

/* The router has just said something that was accepted. */
void peers_saw(struct peers *p, uint64_t router, uint64_t now_ms);
/* Who has said nothing since `since_ms` must say hello again; unless nobody else has said anything
 * either. Returns one of them, or UINT32_MAX; call again for the next. */
uint32_t peers_forget_silent(struct peers *p, uint64_t since_ms);

/* Last frame that every router heard of has applied; 0 when none has been heard of. */
uint64_t peers_acked_seq(const struct peers *p);
uint32_t peers_heard(const struct peers *p);
/* What every configured router has applied. */
lsn_t peers_applied(const struct peers *p);

#endif
