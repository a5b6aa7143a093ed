#include "services/edge/wheel.h"

#include "common/base/assert.h"

void wheel_init(struct wheel *w, uint64_t now_ms)
{
        for (int i = 0; i < WHEEL_SLOTS; i++)
                list_init(&w->slots[i]);
        w->done_tick = now_ms / WHEEL_TICK_MS;
        w->count = 0;
}

void wheel_entry_init(struct wheel_entry *e)
{
        list_init(&e->link);
        e->due_tick = 0;
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t at_ms)
{
        wheel_cancel(w, e);
        uint64_t due = (at_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
        e->due_tick = due > w->done_tick ? due : w->done_tick + 1;
        list_push_back(&w->slots[e->due_tick % WHEEL_SLOTS], &e->link);
        w->count++;
}

void wheel_cancel(struct wheel *w, struct wheel_entry *e)
{
        if (!wheel_is_set(e))
                return;
        SLUICE_ASSERT(w->count > 0);
        list_remove(&e->link);
        w->count--;
}

static void fire_slot(struct wheel *w, uint64_t tick, struct list *due)
{
        struct list *slot = &w->slots[tick % WHEEL_SLOTS];
        for (struct list *l = slot->next; l != slot;) {
                struct wheel_entry *e = LIST_OBJ(l, struct wheel_entry, link);
                l = l->next;
                if (e->due_tick > tick)
                        continue;
                list_remove(&e->link);
                list_push_back(due, &e->link);
        }
}

void wheel_advance(struct wheel *w, uint64_t now_ms, wheel_callback *cb, void *arg)
{
        uint64_t now_tick = now_ms / WHEEL_TICK_MS;
        struct list due, *node;
        list_init(&due);
        /* After a long stop every slot is looked at once, with the last tick as the measure. */
        uint64_t from = w->done_tick + 1;
        if (now_tick >= WHEEL_SLOTS && from < now_tick - WHEEL_SLOTS + 1)
                from = now_tick - WHEEL_SLOTS + 1;
        for (uint64_t tick = from; tick <= now_tick; tick++)
                fire_slot(w, tick, &due);
        if (now_tick > w->done_tick)
                w->done_tick = now_tick;
        while ((node = due.next) != &due) {
                struct wheel_entry *e = LIST_OBJ(node, struct wheel_entry, link);
                wheel_cancel(w, e);
                cb(arg, e);
        }
}
