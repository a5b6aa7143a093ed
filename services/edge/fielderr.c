#include "services/edge/fielderr.h"

#include <stdlib.h>
#include <string.h>

void fielderr_init(struct fielderr *e, struct arena *a)
{
        e->arena = a;
        e->n = 0;
}

/* Kept sorted by field; a stage has few errors. */
void fielderr_add(struct fielderr *e, const char *field, struct slice message)
{
        if (e->n == FIELDERR_MAX)
                return;
        uint32_t at = e->n++;
        for (; at > 0 && strcmp(e->rows[at - 1].field, field) > 0; at--)
                e->rows[at] = e->rows[at - 1];
        e->rows[at].field = field;
        e->rows[at].message = arena_dup(e->arena, message);
}

static const char nest_prefix[] = "subset.";

static bool is_nested(const char *field)
{
        return strncmp(field, nest_prefix, sizeof(nest_prefix) - 1) == 0;
}

/* The messages of the field at row `i`; returns the row behind them. */
static uint32_t put_field(const struct fielderr *e, uint32_t i, const char *name, struct buf *out)
{
        const char *field = e->rows[i].field;
        buf_put_json_string(out, slice_cstr(name));
        buf_puts(out, ":[");
        for (uint32_t first = i; i < e->n && strcmp(e->rows[i].field, field) == 0; i++) {
                if (i > first)
                        buf_putc(out, ',');
                buf_put_json_string(out, e->rows[i].message);
        }
        buf_putc(out, ']');
        return i;
}

static uint32_t put_nested(const struct fielderr *e, uint32_t i, struct buf *out)
{
        buf_puts(out, "\"subset\":{");
        for (uint32_t first = i; i < e->n && is_nested(e->rows[i].field);) {
                if (i > first)
                        buf_putc(out, ',');
                i = put_field(e, i, e->rows[i].field + sizeof(nest_prefix) - 1, out);
        }
        buf_putc(out, '}');
        return i;
}

void fielderr_json(struct fielderr *e, struct buf *out)
{
        buf_puts(out, "{\"message\":\"Invalid request\",\"errors\":{");
        for (uint32_t i = 0; i < e->n;) {
                if (i > 0)
                        buf_putc(out, ',');
                i = is_nested(e->rows[i].field) ? put_nested(e, i, out)
                                                : put_field(e, i, e->rows[i].field, out);
        }
        buf_puts(out, "}}");
}
