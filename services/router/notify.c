#include "services/router/notify.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"
#include "common/wire/notice.h"

enum {
        /* Of each edge: what is kept for one that is stopped. A frame is at most
         * ANNOUNCE_FRAME_BYTES and one notice, usually much less. What is dropped the edge sees as
         * a gap. */
        QUEUE_FRAMES = 256,
        QUIET_MS = 20, /* between frames that only say how far the router is */
        BODY_MAX_BYTES = 1 << 30
};
#define KEEP_BYTES ((size_t)1 << 20)

struct notify {
        struct pub *pub;
        uint64_t epoch, seq;
        uint64_t sent_ms;
        lsn_t applied;
        struct buf body, frame;
};

int notify_open(struct notify **out, const char *url, uint64_t epoch, struct buf *why)
{
        SLUICE_ASSERT(epoch > 0);
        struct notify *n = mem_new(struct notify);
        int err = pub_open(&n->pub, url, QUEUE_FRAMES, why);
        if (err) {
                mem_free(n);
                return err;
        }
        n->epoch = epoch;
        buf_init(&n->body, BODY_MAX_BYTES);
        buf_init(&n->frame, BODY_MAX_BYTES);
        *out = n;
        return 0;
}

void notify_close(struct notify *n)
{
        if (!n)
                return;
        pub_close(n->pub);
        buf_fini(&n->body);
        buf_fini(&n->frame);
        mem_free(n);
}

uint64_t notify_epoch(const struct notify *n)
{
        return n->epoch;
}

static void reset(struct buf *b)
{
        if (b->cap > KEEP_BYTES) {
                buf_fini(b);
                buf_init(b, BODY_MAX_BYTES);
        }
        buf_reset(b);
}

static void send_frame(struct notify *n, uint32_t count, struct slice notices)
{
        reset(&n->body);
        reset(&n->frame);
        notice_frame(&n->body, n->applied, count, notices);
        pub_frame(&n->frame, n->epoch, ++n->seq, buf_slice(&n->body));
        SLUICE_ASSERT(buf_status(&n->frame) == 0);
        pub_send(n->pub, buf_slice(&n->frame));
        n->sent_ms = clock_mono_ms();
}

void notify_send(struct notify *n, lsn_t applied, uint32_t count, struct slice notices)
{
        n->applied = applied;
        if (count > 0 || clock_mono_ms() - n->sent_ms >= QUIET_MS)
                send_frame(n, count, notices);
}

uint64_t notify_heartbeat(struct notify *n)
{
        uint64_t since = clock_mono_ms() - n->sent_ms;
        if (since < NOTICE_HEARTBEAT_MS)
                return NOTICE_HEARTBEAT_MS - since;
        send_frame(n, 0, SLICE_EMPTY);
        return NOTICE_HEARTBEAT_MS;
}
