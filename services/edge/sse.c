#include "services/edge/sse.h"

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "services/edge/get.h"

enum { TEXT_BYTES = 1024, KEEP_FRAMES_BYTES = 16 * 1024 };
/* `data: ` and an empty line around each entry: never more than this for what one reply can hold.
 */
#define MAX_FRAMES_BYTES ((size_t)4 * UPSTREAM_MAX_REPLY)

struct sse {
        uint64_t end_ms, last_output_ms;
        bool out_of_bounds;  /* until the tail reaches the offset */
        bool delivering;     /* a chunk's pieces */
        bool told_end;       /* the last frame said up-to-date */
        struct answer batch; /* being delivered */
        struct buf frames;   /* in flight */
};

/* ---- frames */

/* Length of the JSON object at the start of `s`: entries are valid JSON, so strings and braces are
 * all there is to follow. */
static size_t object_length(struct slice s)
{
        bool in_string = false;
        size_t depth = 0;
        for (size_t i = 0; i < s.len; i++) {
                char c = s.p[i];
                if (in_string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                in_string = false;
                } else if (c == '"') {
                        in_string = true;
                } else if (c == '{') {
                        depth++;
                } else if (c == '}' && --depth == 0) {
                        return i + 1;
                }
        }
        return s.len;
}

void sse_put_frames(struct buf *out, struct slice entries)
{
        size_t at = 0;
        while (at < entries.len) {
                struct slice rest = slice_of(entries.p + at, entries.len - at);
                size_t len = object_length(rest);
                buf_puts(out, "data: ");
                buf_put(out, rest.p, len);
                buf_puts(out, "\n\n");
                at += len + 1; /* the comma */
        }
}

static void put_up_to_date(struct buf *out, lsn_t lsn)
{
        buf_puts(out, "data: {\"headers\":{\"control\":\"up-to-date\",\"global_last_seen_lsn\":\"");
        buf_put_u64(out, lsn.v);
        buf_puts(out, "\"}}\n\n");
}

/* ---- writing */

static void go_on(struct get *g);

static void on_proceed(void *arg)
{
        struct get *g = arg;
        CHECK_OBJ(g, GET_MAGIC);
        go_on(g);
}

static void flush(struct get *g, bool last)
{
        struct sse *s = g->stream;
        struct slice part = buf_slice(&s->frames);
        s->last_output_ms = worker_now(g->w);
        http_write(g->x->r, &part, 1, last);
}

static void open_stream(struct get *g, const struct answer *a)
{
        struct answer_room room;
        struct http_head h;
        struct sse *s = http_alloc(g->x->r, sizeof(*s));
        buf_init(&s->frames, MAX_FRAMES_BYTES);
        s->end_ms = g->w->now_ms + SSE_DURATION_MS;
        s->told_end = a->up_to_date;
        g->stream = s;
        edge_count(EDGE_STREAMS, 1);
        head_begin(&h, 200, &g->x->base);
        buf_init(&room.text, TEXT_BYTES);
        get_put_head(g, &h, a, HEAD_STREAM, &room);
        exchange_start(g->x, &h, on_proceed, g);
        buf_fini(&room.text);
}

/* An empty comment makes the head leave at once. */
static void flush_head(struct get *g)
{
        buf_puts(&g->stream->frames, ":\n\n");
        flush(g, false);
}

void sse_start(struct get *g)
{
        struct answer a = {.end = g->offset.at, .up_to_date = true, .has_data = true};
        open_stream(g, &a);
        flush_head(g);
}

void sse_start_out_of_bounds(struct get *g)
{
        struct answer a = {.end = g->reader.chunk->tail, .has_data = true};
        chunk_detach(&g->reader);
        open_stream(g, &a);
        g->stream->out_of_bounds = true;
        g->stream->end_ms = g->wait_until_ms;
        flush_head(g);
}

/* The head speaks of the moment before: a client takes its offset at once, but what follows only
 * with the up-to-date message. Were it the end of the data, a stream that is cut in between would
 * cost the client what it had not got. */
static void open_with_data(struct get *g)
{
        struct answer a = {.end = g->offset.at, .has_data = true};
        open_stream(g, &a);
}

void sse_end(struct get *g)
{
        get_stop_waiting(g);
        chunk_detach(&g->reader);
        buf_reset(&g->stream->frames);
        g->state = GET_ANSWERED;
        flush(g, true);
}

void sse_free(struct get *g)
{
        edge_count(EDGE_STREAMS, -1);
        buf_fini(&g->stream->frames);
        g->stream = NULL;
}

/* ---- delivering */

static void end_batch(struct get *g)
{
        struct sse *s = g->stream;
        s->delivering = false;
        s->told_end = s->batch.up_to_date;
        if (s->batch.up_to_date)
                put_up_to_date(&s->frames, s->batch.lsn);
        g->offset.at = s->batch.end;
        chunk_detach(&g->reader);
}

static void deliver_pieces(struct get *g)
{
        struct sse *s = g->stream;
        struct slice bytes;
        switch (chunk_next(&g->reader, &bytes)) {
        case CHUNK_WAIT:
                http_park(g->x->r);
                return;
        case CHUNK_BROKEN:
                sse_end(g);
                return;
        case CHUNK_PIECE:
                sse_put_frames(&s->frames, bytes);
                break;
        case CHUNK_END:
                break;
        }
        if (chunk_reader_done(&g->reader))
                end_batch(g);
        if (buf_status(&s->frames) != 0) {
                sse_end(g);
        } else if (s->frames.len == 0) {
                go_on(g);
        } else {
                flush(g, false);
        }
}

static void on_more(void *arg)
{
        struct get *g = arg;
        CHECK_OBJ(g, GET_MAGIC);
        if (!http_is_writing(g->x->r))
                deliver_pieces(g);
}

void sse_deliver_chunk(struct get *g, const struct answer *a)
{
        if (!g->stream)
                open_with_data(g);
        g->stream->batch = *a;
        g->stream->delivering = true;
        g->stream->out_of_bounds = false;
        g->reader.cb = on_more;
        deliver_pieces(g);
}

void sse_deliver(struct get *g, const struct answer *a, struct slice entries)
{
        g->stream->batch = *a;
        sse_put_frames(&g->stream->frames, entries);
        end_batch(g);
        if (buf_status(&g->stream->frames) != 0)
                sse_end(g);
        else
                flush(g, false);
}

/* ---- waiting */

static uint64_t next_timer(const struct sse *s)
{
        uint64_t keep_alive = s->last_output_ms + SSE_KEEP_ALIVE_MS;
        return keep_alive < s->end_ms ? keep_alive : s->end_ms;
}

/* What a batch needed is not kept for as long as the stream lives. */
static void drop_frames(struct sse *s)
{
        if (s->frames.cap > KEEP_FRAMES_BYTES) {
                buf_fini(&s->frames);
                buf_init(&s->frames, MAX_FRAMES_BYTES);
        }
        buf_reset(&s->frames);
}

/* A minute is over and nothing is half told: a client drops what no up-to-date message follows. */
static bool is_over(const struct get *g)
{
        const struct sse *s = g->stream;
        bool whole = s->told_end && !s->delivering;
        return (whole || s->out_of_bounds) && worker_now(g->w) >= s->end_ms;
}

/* A write has left, or there was nothing to write. */
static void go_on(struct get *g)
{
        struct sse *s = g->stream;
        drop_frames(s);
        blob_unref(g->body);
        g->body = NULL;
        if (is_over(g) || http_loop_draining(g->w->loop)) {
                sse_end(g);
        } else if (s->delivering) {
                deliver_pieces(g);
        } else if (s->out_of_bounds) {
                get_wait(g, WAIT_REACH, g->offset.at, next_timer(s));
        } else {
                get_read(g);
        }
}

/* A chunk that ended exactly where the log ends did not say so. */
void sse_at_end(struct get *g)
{
        struct sse *s = g->stream;
        s->out_of_bounds = false;
        if (!s->told_end) {
                s->told_end = true;
                put_up_to_date(&s->frames, (lsn_t){g->offset.at.tx});
                flush(g, false);
                return;
        }
        get_wait(g, WAIT_BEYOND, g->offset.at, next_timer(s));
}

void sse_on_timer(struct get *g)
{
        if (worker_now(g->w) >= g->stream->end_ms) {
                sse_end(g);
                return;
        }
        buf_puts(&g->stream->frames, ": keep-alive\n\n");
        flush(g, false);
}
