#include "tests/bench/memory.h"

#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/bench/report.h"

enum { LOOK_MS = 20 };

static const struct column columns[] = {{"before_mb", "before MB", 1}, {"most_mb", "most MB", 1}};

static const struct target target = {AT_MOST, "MB", 256, 64};

uint64_t memory_of(pid_t pid)
{
        char path[64], line[256];
        unsigned long long kb, sum = 0;
        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *f = fopen(path, "r");
        if (!f)
                return 0;
        while (fgets(line, sizeof line, f))
                if (sscanf(line, "RssAnon: %llu", &kb) == 1 ||
                    sscanf(line, "VmSwap: %llu", &kb) == 1)
                        sum += kb;
        fclose(f);
        return (uint64_t)sum * 1024;
}

static void look(void *arg)
{
        struct memory *m = arg;
        const struct machine *machine = m->b->machine;
        for (int i = 0; i < machine->count; i++) {
                uint64_t now = memory_of(machine->server[i].pid);
                m->most[i] = now > m->most[i] ? now : m->most[i];
        }
        net_timer_set(&m->timer, (uint64_t)LOOK_MS * 1000000);
}

void memory_watch(struct memory *m, struct bench *b)
{
        *m = (struct memory){.b = b};
        net_timer_init(&m->timer, b->net, look, m);
        look(m);
        for (int i = 0; i < b->machine->count; i++)
                m->before[i] = m->most[i];
}

void memory_report(struct memory *m, const char *during)
{
        const struct machine *machine = m->b->machine;
        char title[160];
        double largest = 0;
        net_timer_fini(&m->timer);
        if (machine->count == 0)
                return;
        snprintf(title, sizeof title, "memory of the server's processes, %s", during);
        report_table(m->b->report, title, columns, sizeof columns / sizeof *columns);
        for (int i = 0; i < machine->count; i++) {
                double most = (double)m->most[i] / 1e6;
                report_row(m->b->report, machine->server[i].name,
                           (double[]){(double)m->before[i] / 1e6, most});
                largest = most > largest ? most : largest;
        }
        report_claim(m->b->report, &target, largest, "%s: most memory of a service", during);
}
