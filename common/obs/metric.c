#include "common/obs/metric.h"

#include <inttypes.h>

static const char *type_name(enum metric_type type)
{
        return type == METRIC_COUNTER ? "counter" : "gauge";
}

/* HELP text: backslash and newline are escaped, nothing else (exposition format 0.0.4). */
static void put_help(struct buf *out, const char *text)
{
        for (; *text; text++) {
                if (*text == '\n')
                        buf_puts(out, "\\n");
                else if (*text == '\\')
                        buf_puts(out, "\\\\");
                else
                        buf_putc(out, *text);
        }
}

void metric_render(struct metric *metrics, size_t n, struct buf *out)
{
        for (size_t i = 0; i < n; i++) {
                struct metric *m = &metrics[i];
                buf_printf(out, "# HELP %s ", m->name);
                put_help(out, m->what);
                buf_printf(out, "\n# TYPE %s %s\n%s %" PRId64 "\n", m->name, type_name(m->type),
                           m->name, metric_get(m));
        }
}

void metric_doc(const struct metric *metrics, size_t n, struct buf *out)
{
        buf_puts(out, "| metric | type | meaning |\n|---|---|---|\n");
        for (size_t i = 0; i < n; i++)
                buf_printf(out, "| `%s` | %s | %s |\n", metrics[i].name, type_name(metrics[i].type),
                           metrics[i].what);
}
