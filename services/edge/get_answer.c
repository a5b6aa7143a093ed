/* The answers of a shape request: heads (protocol §2.4, §2.5, §2.8), bodies by reference, errors
 * (§4). */
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "services/edge/chunk_form.h"
#include "services/edge/cursor.h"
#include "services/edge/etag.h"
#include "services/edge/get.h"
#include "services/edge/get_subset.h"
#include "services/edge/sse.h"

enum { TRAILER_BYTES = 128, TEXT_BYTES = 1024 };

/* ---- heads */

/* Values printed into `text` are found again by their place: the buffer moves while it grows. */
struct place {
        size_t at, len;
};

static struct place from_here(const struct buf *text, size_t at)
{
        return (struct place){at, text->len - at};
}

static struct slice found(const struct buf *text, struct place p)
{
        return slice_of(text->p + p.at, p.len);
}

static enum head_cache cache_case(const struct get *g)
{
        if (g->offset.kind == OFFSET_BEFORE_ALL)
                return HEAD_CACHE_INITIAL;
        if (g->live)
                return g->sse ? HEAD_CACHE_STREAM : HEAD_CACHE_LIVE;
        return HEAD_CACHE_CATCH_UP;
}

static struct slice cache_control(const struct get *g, enum head_cache what, char *room)
{
        const struct edge_conf *conf = g->w->edge->conf;
        if (g->x->method == METHOD_POST)
                return HEAD_NO_CACHE;
        return head_cache_control(what, conf->cache_max_age_s, conf->cache_stale_age_s, room);
}

static void print_etag(struct get *g, const struct answer *a, struct buf *text)
{
        struct slice handle = shape_handle(g->shape);
        if (a->unique_etag)
                etag_print_unique(text, handle, &g->offset, a->end, ++g->w->unique);
        else
                etag_print(text, handle, &g->offset, a->end);
}

void get_put_head(struct get *g, struct http_head *h, const struct answer *a,
                  struct slice content_type, struct answer_room *room)
{
        struct buf *text = &room->text;
        size_t at = text->len;
        print_etag(g, a, text);
        struct place etag = from_here(text, at);
        at = text->len;
        offset_print(text, a->end);
        struct place offset = from_here(text, at);
        at = text->len;
        buf_put_u64(text, cursor_next(clock_wall_us(), g->w->edge->conf->long_poll_ms, g->cursor,
                                      worker_random(g->w)));
        struct place cursor = from_here(text, at);
        SLUICE_ASSERT(buf_status(text) == 0);
        http_head_add(h, HTTP_CONTENT_TYPE, content_type);
        http_head_add(h, HTTP_CACHE_CONTROL, cache_control(g, cache_case(g), room->cache));
        http_head_add(h, HTTP_ETAG, found(text, etag));
        http_head_add(h, HTTP_ELECTRIC_HANDLE, shape_handle(g->shape));
        http_head_add(h, HTTP_ELECTRIC_OFFSET, found(text, offset));
        if (g->live)
                http_head_add(h, HTTP_ELECTRIC_CURSOR, found(text, cursor));
        else if (h->status == 200)
                http_head_add(h, HTTP_ELECTRIC_SCHEMA, g->def->schema);
        if (a->up_to_date)
                http_head_add(h, HTTP_ELECTRIC_UP_TO_DATE, SLICE_EMPTY);
        http_head_add(h, HTTP_ELECTRIC_HAS_DATA,
                      a->has_data ? SLICE_LIT("true") : SLICE_LIT("false"));
}

static void begin(struct get *g, struct http_head *h, int status, struct answer_room *room)
{
        g->state = GET_ANSWERED;
        head_begin(h, status, &g->x->base);
        buf_init(&room->text, TEXT_BYTES);
}

/* ---- 304 */

static bool names_etag(const struct get *g, struct slice etag)
{
        struct slice line;
        size_t cursor = 0;
        while (http_header(g->x->r, SLICE_LIT("if-none-match"), &cursor, &line))
                if (etag_line_matches(line, etag))
                        return true;
        return false;
}

bool get_answer_if_unchanged(struct get *g, const struct answer *a)
{
        struct answer_room room;
        struct http_head h;
        struct slice line;
        size_t cursor = 0;
        if (!http_header(g->x->r, SLICE_LIT("if-none-match"), &cursor, &line))
                return false;
        buf_init(&room.text, TEXT_BYTES);
        etag_print(&room.text, shape_handle(g->shape), &g->offset, a->end);
        bool unchanged = names_etag(g, buf_slice(&room.text));
        buf_fini(&room.text);
        if (!unchanged)
                return false;
        begin(g, &h, 304, &room);
        get_put_head(g, &h, a, HEAD_JSON, &room);
        exchange_answer(g->x, &h, NULL, 0);
        buf_fini(&room.text);
        return true;
}

/* ---- 200 */

/* What closes the array: `]`, or the up-to-date message and `]`. In memory of the request. */
static struct slice make_trailer(struct get *g, const struct answer *a, bool has_entries)
{
        if (!a->up_to_date)
                return SLICE_LIT("]");
        char *room = http_alloc(g->x->r, TRAILER_BYTES);
        int n = snprintf(room, TRAILER_BYTES,
                         "%s{\"headers\":{\"control\":\"up-to-date\",\"global_last_seen_lsn\":"
                         "\"%llu\"}}]",
                         has_entries ? "," : "", (unsigned long long)a->lsn.v);
        SLUICE_ASSERT(n > 0 && n < TRAILER_BYTES);
        return slice_of(room, (size_t)n);
}

void get_answer(struct get *g, const struct answer *a, struct slice entries)
{
        struct answer_room room;
        struct http_head h;
        struct slice parts[] = {SLICE_LIT("["), entries, make_trailer(g, a, entries.len > 0)};
        begin(g, &h, 200, &room);
        get_put_head(g, &h, a, HEAD_JSON, &room);
        exchange_answer(g->x, &h, parts, 3);
        buf_fini(&room.text);
}

/* A body in pieces: `[` piece `,` piece … trailer. */
struct pieces {
        struct get *g;
        bool first;
        struct answer a;
};

static void write_next(struct pieces *p)
{
        struct slice parts[3] = {p->first ? SLICE_LIT("[") : SLICE_LIT(","), SLICE_EMPTY,
                                 SLICE_EMPTY};
        struct get *g = p->g;
        switch (chunk_next(&g->reader, &parts[1])) {
        case CHUNK_WAIT:
                http_park(g->x->r);
                return;
        case CHUNK_BROKEN:
                http_abort(g->x->r);
                return;
        case CHUNK_END:
                /* The last piece was not known to be the last when it was sent. */
                parts[0] = make_trailer(g, &p->a, !p->first);
                if (p->first)
                        parts[1] = parts[0], parts[0] = SLICE_LIT("[");
                http_write(g->x->r, parts, 2, true);
                return;
        case CHUNK_PIECE:
                break;
        }
        bool last = chunk_reader_done(&g->reader);
        if (last)
                parts[2] = make_trailer(g, &p->a, true);
        p->first = false;
        http_write(g->x->r, parts, 3, last);
}

static void on_proceed(void *arg)
{
        write_next(arg);
}

static void on_more(void *arg)
{
        struct get *g = arg;
        CHECK_OBJ(g, GET_MAGIC);
        /* A write in flight takes what has come when it is done. */
        if (!http_is_writing(g->x->r))
                write_next(g->reader.pieces);
}

static void answer_whole_chunk(struct get *g, const struct answer *a)
{
        struct slice entries = SLICE_EMPTY;
        if (g->reader.chunk->n_pieces == 1)
                chunk_next(&g->reader, &entries);
        get_answer(g, a, entries);
}

static void answer_plain(struct get *g, const struct answer *a)
{
        const struct chunk *c = g->reader.chunk;
        struct answer_room room;
        struct http_head h;
        if (c->state == CHUNK_WHOLE && c->n_pieces <= 1) {
                answer_whole_chunk(g, a);
                return;
        }
        struct pieces *p = http_alloc(g->x->r, sizeof(*p));
        *p = (struct pieces){g, true, *a};
        g->reader.cb = on_more;
        g->reader.pieces = p;
        begin(g, &h, 200, &room);
        get_put_head(g, &h, a, HEAD_JSON, &room);
        exchange_start(g->x, &h, on_proceed, p);
        buf_fini(&room.text);
        write_next(p);
}

/* Of the request; identity for what must not wait. */
static enum coding wanted_coding(const struct get *g)
{
        struct coding_wish wish;
        struct slice line;
        size_t cursor = 0;
        if (g->live || g->w->edge->conf->compress_threads == 0)
                return CODING_IDENTITY;
        coding_wish_init(&wish);
        while (http_header(g->x->r, SLICE_LIT("accept-encoding"), &cursor, &line))
                coding_wish_add(&wish, line);
        return coding_choose(&wish);
}

/* The etag names the entries, not the bytes: it is the same in every coding (§2.5). */
static void answer_form(struct get *g, const struct answer *a, enum coding coding,
                        struct slice body)
{
        struct answer_room room;
        struct http_head h;
        SLUICE_ASSERT(!a->up_to_date);
        begin(g, &h, 200, &room);
        get_put_head(g, &h, a, HEAD_JSON, &room);
        http_head_add(&h, HTTP_CONTENT_ENCODING, coding_name(coding));
        exchange_answer(g->x, &h, &body, 1);
        buf_fini(&room.text);
}

void get_answer_chunk(struct get *g, const struct answer *a)
{
        enum coding coding = wanted_coding(g);
        struct slice body;
        if (coding != CODING_IDENTITY) {
                switch (chunk_form(&g->reader, coding, &body)) {
                case CHUNK_FORM_WAIT:
                        return; /* on_chunk() comes back here */
                case CHUNK_FORM_HERE:
                        answer_form(g, a, coding, body);
                        return;
                case CHUNK_FORM_NONE:
                        break;
                }
        }
        answer_plain(g, a);
}

/* No validator and nothing to go on from but the offset: it is this client's alone. */
void get_answer_subset(struct get *g, struct log_offset end, struct slice body)
{
        struct answer_room room;
        struct http_head h;
        begin(g, &h, 200, &room);
        offset_print(&room.text, end);
        http_head_add(&h, HTTP_CONTENT_TYPE, HEAD_JSON);
        http_head_add(&h, HTTP_CACHE_CONTROL, HEAD_NO_CACHE);
        http_head_add(&h, HTTP_ELECTRIC_HANDLE, shape_handle(g->shape));
        http_head_add(&h, HTTP_ELECTRIC_OFFSET, buf_slice(&room.text));
        if (!g->subset->was_live)
                http_head_add(&h, HTTP_ELECTRIC_SCHEMA, g->def->schema);
        http_head_add(&h, HTTP_ELECTRIC_SNAPSHOT, SLICE_LIT("true"));
        exchange_answer(g->x, &h, &body, 1);
        buf_fini(&room.text);
}

/* An open stream has had its head: all it can say is that it is over, and its client asks again. */
static bool end_stream(struct get *g)
{
        if (!g->stream)
                return false;
        sse_end(g);
        return true;
}

/* ---- 409 */

void get_answer_refetch(struct get *g, struct slice handle)
{
        struct answer_room room;
        struct http_head h;
        if (end_stream(g))
                return;
        struct slice body = SLICE_LIT("[{\"headers\":{\"control\":\"must-refetch\"}}]");
        begin(g, &h, 409, &room);
        http_head_add(&h, HTTP_CONTENT_TYPE, HEAD_JSON);
        http_head_add(
                &h, HTTP_CACHE_CONTROL,
                cache_control(g, handle.len ? HEAD_CACHE_REFETCH : HEAD_CACHE_LOST, room.cache));
        if (handle.len) {
                etag_print_refetch(&room.text, handle);
                http_head_add(&h, HTTP_ETAG, buf_slice(&room.text));
                http_head_add(&h, HTTP_ELECTRIC_HANDLE, handle);
        }
        exchange_answer(g->x, &h, &body, 1);
        buf_fini(&room.text);
}

/* ---- errors */

void get_answer_failed(struct get *g, const struct msg_failed *failed, bool known_error)
{
        bool sane = failed->status >= 400 && failed->status <= 599;
        if (end_stream(g))
                return;
        g->state = GET_ANSWERED;
        if (failed->status == 409) {
                get_answer_refetch(g, slice_eq(failed->handle, g->handle) ? SLICE_EMPTY
                                                                          : failed->handle);
                return;
        }
        struct exchange_error e = {.status = sane ? (int)failed->status : 500,
                                   .body = failed->body,
                                   .retry_after_s = failed->retry_after_s,
                                   .known_error = known_error && failed->status == 503};
        if (e.body.len == 0)
                e.body = SLICE_LIT("{\"error\":\"Internal server error\"}");
        exchange_error(g->x, &e);
}

void get_answer_out_of_bounds(struct get *g)
{
        if (end_stream(g))
                return;
        struct exchange_error e = {
                .status = 400,
                .body = SLICE_LIT(
                        "{\"message\":\"Invalid request\",\"errors\":{\"offset\":[\"out of "
                        "bounds for this shape\"]}}")};
        g->state = GET_ANSWERED;
        exchange_error(g->x, &e);
}

void get_answer_snapshot_slow(struct get *g)
{
        if (end_stream(g))
                return;
        struct exchange_error e = {
                .status = 503,
                .body = SLICE_LIT("{\"message\":\"Snapshot query took too long to start reading "
                                  "from the database\"}"),
                .retry_after_s = 10,
                .known_error = true};
        g->state = GET_ANSWERED;
        exchange_error(g->x, &e);
}

void get_answer_not_ready(struct get *g, uint64_t retry_after_s)
{
        if (end_stream(g))
                return;
        g->state = GET_ANSWERED;
        exchange_not_ready(g->x, g->def ? g->def->shard : 0, retry_after_s);
}
