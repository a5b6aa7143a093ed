#include "services/router/schema_json.h"

#include "common/base/assert.h"

enum {
        VARHDRSZ = 4, /* what Postgres adds to a length or precision that it keeps in a type
                         modifier */
        NO_INTERVAL_PRECISION = 0xffff,
        ALL_INTERVAL_FIELDS = 0x7fff
};

static void put_int(struct buf *out, const char *member, int32_t value)
{
        buf_printf(out, ",\"%s\":%d", member, (int)value);
}

static void put_char_length(struct buf *out, const char *member, int32_t mod)
{
        if (mod >= VARHDRSZ)
                put_int(out, member, mod - VARHDRSZ);
}

static void put_varying(struct buf *out, int32_t mod)
{
        put_char_length(out, "max_length", mod);
}

static void put_fixed(struct buf *out, int32_t mod)
{
        put_char_length(out, "length", mod);
}

static void put_bits(struct buf *out, int32_t mod)
{
        put_int(out, "length", mod);
}

/* Precision in the high half, scale in the low eleven bits, signed since Postgres 15. */
static void put_numeric(struct buf *out, int32_t mod)
{
        if (mod < VARHDRSZ)
                return;
        int32_t packed = mod - VARHDRSZ;
        put_int(out, "precision", packed >> 16 & 0xffff);
        put_int(out, "scale", ((packed & 0x7ff) ^ 1024) - 1024);
}

/* A precision of 0 goes by the name of an unknown modifier: so the recorded exchanges have it. */
static void put_time(struct buf *out, int32_t mod)
{
        if (mod >= 0)
                put_int(out, mod > 0 ? "precision" : "type_mod", mod);
}

/* The field mask has the bits of Postgres' datetime.h; a restriction is named by its first and last
 * field. */
static void put_interval_fields(struct buf *out, int32_t mask)
{
        static const struct {
                int32_t bit;
                const char *name;
        } fields[] = {{1 << 2, "YEAR"},  {1 << 1, "MONTH"},   {1 << 3, "DAY"},
                      {1 << 10, "HOUR"}, {1 << 11, "MINUTE"}, {1 << 12, "SECOND"}};
        const char *first = NULL, *last = NULL;
        for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
                if (!(mask & fields[i].bit))
                        continue;
                first = first ? first : fields[i].name;
                last = fields[i].name;
        }
        if (!first)
                return;
        buf_printf(out, ",\"fields\":\"%s", first);
        if (last != first)
                buf_printf(out, " TO %s", last);
        buf_putc(out, '"');
}

static void put_interval(struct buf *out, int32_t mod)
{
        if (mod < 0)
                return;
        int32_t mask = mod >> 16 & ALL_INTERVAL_FIELDS, precision = mod & 0xffff;
        if (mask != ALL_INTERVAL_FIELDS)
                put_interval_fields(out, mask);
        if (precision != NO_INTERVAL_PRECISION)
                put_int(out, "precision", precision);
}

static void put_raw(struct buf *out, int32_t mod)
{
        if (mod != -1)
                put_int(out, "type_mod", mod);
}

typedef void put_modifier(struct buf *out, int32_t mod);

static put_modifier *modifier_of(struct slice type)
{
        static const struct {
                struct slice type;
                put_modifier *put;
        } modifiers[] = {
                {{"varchar", 7}, put_varying},   {{"text", 4}, put_varying},
                {{"bpchar", 6}, put_fixed},      {{"bit", 3}, put_bits},
                {{"varbit", 6}, put_bits},       {{"numeric", 7}, put_numeric},
                {{"time", 4}, put_time},         {{"timetz", 6}, put_time},
                {{"timestamp", 9}, put_time},    {{"timestamptz", 11}, put_time},
                {{"interval", 8}, put_interval},
        };
        for (size_t i = 0; i < sizeof(modifiers) / sizeof(*modifiers); i++)
                if (slice_eq(modifiers[i].type, type))
                        return modifiers[i].put;
        return put_raw;
}

static void put_column(struct buf *out, const struct table_column *c)
{
        buf_put_json_string(out, c->name);
        buf_puts(out, ":{\"type\":");
        buf_put_json_string(out, c->type_name);
        if (c->dims > 0)
                put_int(out, "dims", c->dims);
        if (c->pk_index >= 0)
                put_int(out, "pk_index", c->pk_index);
        if (c->not_null)
                buf_puts(out, ",\"not_null\":true");
        modifier_of(c->type_name)(out, c->type_mod);
        buf_putc(out, '}');
}

void schema_json(const struct table *t, const uint32_t *columns, uint32_t n, struct buf *out)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        buf_putc(out, '{');
        for (uint32_t i = 0; i < n; i++) {
                SLUICE_ASSERT(columns[i] < t->n_columns);
                if (i > 0)
                        buf_putc(out, ',');
                put_column(out, &t->columns[columns[i]]);
        }
        buf_putc(out, '}');
}
