#include "tests/bench/maker.h"

#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/report.h"
#include "tests/bench/shape.h"

enum { MAKERS = 32, MAKE_SECONDS = 1800 };

static char *other_definition(struct maker *m)
{
        char where[64];
        SLUICE_ASSERT(m->next < m->count);
        if (m->operator[0] == '=')
                snprintf(where, sizeof where, "name = 'x%llu'", (unsigned long long)m->next);
        else
                snprintf(where, sizeof where, "name ILIKE 'x%llu%%'", (unsigned long long)m->next);
        m->next++;
        return shape_definition(m->b->name, m->table, where);
}

static void no_row(struct shape_client *c, const struct row *row)
{
        (void)c;
        fail("a row %llu for a shape that nothing matches", (unsigned long long)row->id);
}

static void on_made(struct shape_client *c)
{
        struct maker *m = c->arg;
        m->done = ++m->finished == m->wanted;
        if (m->next == m->count)
                return;
        mem_free((char *)(uintptr_t)c->definition);
        shape_restart(c, other_definition(m));
}

double maker_make(struct maker *m, uint64_t count)
{
        static const struct shape_events events = {.on_row = no_row, .on_synced = on_made};
        struct shape_client makers[MAKERS];
        if (count <= m->next)
                return REPORT_NONE;
        m->count = count;
        m->finished = 0;
        m->done = false;
        m->wanted = count - m->next;
        int used = m->wanted < MAKERS ? (int)m->wanted : MAKERS;
        double wanted = (double)m->wanted;
        uint64_t began = now_ns();
        for (int i = 0; i < used; i++) {
                shape_init(&makers[i], m->b, other_definition(m), SHAPE_SYNC, &events, m);
                shape_start(&makers[i]);
        }
        bench_wait(m->b, &m->done, MAKE_SECONDS, "the other shapes made");
        double seconds = (double)(now_ns() - began) / 1e9;
        for (int i = 0; i < used; i++) {
                mem_free((char *)(uintptr_t)makers[i].definition);
                shape_fini(&makers[i]);
        }
        return wanted / seconds;
}
