/* Reading a shape's log: what one response delivers (for offset now: just where the log ends),
 * fetched from the router in pieces and shared by everybody who asks for the same (handle, offset)
 * while it is under way. A closed chunk (frozen, I4) stays afterwards, within a bound of bytes;
 * anything else is forgotten once it has been answered.
 *
 *   ASKING -> OPEN (the first piece says what the response is) -> WHOLE
 *     |         '-> FAILED (later pieces)
 *     '-> PENDING (the snapshot is not that far) | FAILED
 *
 * Pieces are fetched one ahead of the fastest reader. A chunk too big for the cache drops a piece
 * when its last reader has passed it.
 *
 * Clients may be many, each at a place of its own, and read as slowly as they like: what they hold
 * is bounded for all of them together (SLUICE_EDGE_ANSWER_BYTES). A third of it is given to pieces
 * of up to CHUNK_PIECE_BYTES; the less of that is left, the smaller are the pieces that are asked
 * for, none ahead of its time and no chunk kept for the cache. Beyond the whole no chunk is begun.
 */
#ifndef SERVICES_EDGE_CHUNK_H
#define SERVICES_EDGE_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/offset.h"
#include "services/edge/blob.h"
#include "services/edge/coding.h"
#include "services/edge/worker.h"

enum {
        CHUNK_MAGIC = 0xc4000001,
        /* Each piece costs both sides a dozen wake-ups of threads. A router writes snapshots in
         * runs of 256 KiB and the rest of a row: eight of them, and room for the rests. */
        CHUNK_PIECE_BYTES = (2 << 20) + (16 << 10),
        CHUNK_PIECE_MIN_BYTES = 16 << 10,
        CHUNK_KEY_BYTES = SHAPE_MAX_HANDLE + 1 + 16
};

enum chunk_state { CHUNK_ASKING, CHUNK_PENDING, CHUNK_OPEN, CHUNK_WHOLE, CHUNK_FAILED };

struct chunk_piece {
        struct blob *blob;
        struct slice bytes;
};

struct chunk_key {
        char bytes[CHUNK_KEY_BYTES];
        uint32_t len;
};

struct chunk_form;

struct chunk {
        uint32_t magic;
        struct worker *worker;
        struct shape *shape; /* a reference */
        struct offset_request from;
        enum chunk_state state;
        uint64_t generation; /* when it was asked for */

        /* from OPEN on */
        struct log_offset end, at, tail;
        uint64_t next_run; /* of a snapshot chunk, which has no offsets inside */
        bool frozen;
        lsn_t lsn;
        struct chunk_piece *pieces;
        uint32_t n_pieces, n_dropped;
        size_t bytes;

        /* FAILED: 0 with the message in `failure`, or why there is none */
        int err;
        struct blob *failure;

        size_t asked_bytes; /* of the fetch under way, counted as if they were here */
        bool fetching, held, in_table;
        bool telling; /* the list of readers is not whole */
        struct lru_node lru;
        struct list readers;
        struct chunk_key key;
        struct chunk_form *forms[CODING_IDENTITY]; /* chunk_form.c's; NULL: not asked for */
        uint32_t n_holds;
};

struct chunk_reader {
        struct list node;
        struct chunk *chunk; /* NULL: not reading */
        uint32_t next;       /* piece */
        bool waits_for_form;
        void (*cb)(void *arg);
        void *arg;
        void *pieces; /* the owner's, for its callback */
};

static inline void chunk_reader_init(struct chunk_reader *r)
{
        *r = (struct chunk_reader){0};
        list_init(&r->node);
}

/* Attaches the reader. True when the chunk is OPEN or WHOLE already, or FAILED because there is no
 * room for it; else the callback runs when it is, or when it is PENDING or FAILED. */
bool chunk_read(struct worker *w, struct shape *shape, const struct offset_request *from,
                struct chunk_reader *r, void (*cb)(void *arg), void *arg);
enum chunk_next { CHUNK_PIECE, CHUNK_WAIT /* the callback will run */, CHUNK_END, CHUNK_BROKEN };
/* The reader's next piece, borrowed until the reader takes another or detaches. */
enum chunk_next chunk_next(struct chunk_reader *r, struct slice *bytes);
/* All the pieces are here and taken. */
bool chunk_reader_done(const struct chunk_reader *r);
/* Harmless when it is not attached. */
void chunk_detach(struct chunk_reader *r);
/* The decoded failure, or false when there was no answer. */
bool chunk_failure(const struct chunk *c, struct msg_failed *out);
void chunks_free(struct worker *w);

/* ---- for chunk_form.c */

/* It is frozen and stays, or will when it is WHOLE, with no piece dropped. */
bool chunk_is_kept(const struct chunk *c);
/* Of an OPEN chunk: the callbacks run as pieces come, whoever has taken which. */
void chunk_fetch_rest(struct chunk *c);
/* It takes up more of the cache now, as long as it is in there. */
void chunk_grow(struct chunk *c, size_t bytes);
/* While it is held it is not freed. */
void chunk_hold(struct chunk *c);
/* Tells those who wait for a form first. */
void chunk_release(struct chunk *c);

#endif
