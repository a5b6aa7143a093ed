#include "services/router/announce.h"

#include "common/base/assert.h"
#include "common/wire/notice.h"

static void add_notice(struct engine *e, const struct shape *s, struct notice *n)
{
        char room[SHAPE_HANDLE_MAX];
        struct buf handle = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
        shape_handle(s->id, s->created_us, &handle);
        n->handle = buf_slice(&handle);
        notice_encode(&e->notices, n);
}

/* Of the tail that readers have. */
static void add_mark(struct engine *e, const struct shape *s, enum notice_kind kind)
{
        add_notice(e, s,
                   &(struct notice){.kind = kind, .prev = s->tail.log.at, .tail = s->tail.log.at});
}

static void add_gone(struct engine *e, const struct shape *s)
{
        add_notice(e, s,
                   &(struct notice){.kind = NOTICE_GONE,
                                    .prev = s->tail.log.at,
                                    .tail = s->tail.log.at,
                                    .flags = s->failed ? NOTICE_FAILED : 0,
                                    .reason = s->reason});
}

static void add_append(struct engine *e, const struct shape *s, struct slice bytes)
{
        add_notice(e, s,
                   &(struct notice){.kind = NOTICE_APPEND,
                                    .prev = s->tail.log.at,
                                    .tail = s->pending->settled.at,
                                    .flags = bytes.len ? NOTICE_INLINE : 0,
                                    .bytes = bytes});
}

static struct slice inline_entries(const struct shape *s)
{
        return pending_inline(s->pending, NOTICE_INLINE_MAX_BYTES);
}

uint32_t announce_shape(struct engine *e, const struct shape *s)
{
        uint32_t n = 0;
        if (s->state == SHAPE_GONE) {
                add_gone(e, s);
                return 1;
        }
        if (s->notify_schema) {
                add_mark(e, s, NOTICE_SCHEMA);
                n++;
        }
        if (s->notify_snapshot) {
                add_mark(e, s, NOTICE_SNAPSHOT);
                n++;
        }
        if (shape_tail_moves(s)) {
                add_append(e, s, inline_entries(s));
                n++;
        }
        return n;
}

/* See the header: all there is to say of it is entries, and they are here. */
static bool is_plain(const struct shape *s)
{
        return s->state == SHAPE_COMPLETE && s->stored && !s->record_dirty && !s->tail_dirty &&
               !s->notify_schema && !s->notify_snapshot && shape_tail_moves(s) &&
               inline_entries(s).len > 0;
}

void announce_ahead(struct engine *e)
{
        uint32_t n = 0;
        SLUICE_ASSERT(!e->announced && e->notices.len == 0);
        if (!list_empty(&e->staged) || e->discarded.len > 0)
                return;
        for (struct list *node = e->dirty.next; node != &e->dirty; node = node->next) {
                const struct shape *s = LIST_OBJ(node, struct shape, dirty);
                /* all of it or nothing: a frame says what is applied for every shape */
                if (!is_plain(s) || e->notices.len >= ANNOUNCE_FRAME_BYTES) {
                        buf_reset(&e->notices);
                        return;
                }
                add_append(e, s, inline_entries(s));
                n++;
        }
        if (n == 0)
                return;
        e->announced = true;
        count(METRIC_NOTICES, n);
        e->o.on_announce(e->o.arg, e->place.applied, n, buf_slice(&e->notices));
        buf_reset(&e->notices);
}
