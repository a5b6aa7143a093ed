/* Enums. The type WT_ENUM does not say which; a node of it, or of arrays of it, names a column
 * whose enum it is. */
#include "services/router/where_check.h"

#include "services/router/where_array.h"

static bool is_enum(enum where_type t)
{
        return where_type_element(t) == WT_ENUM;
}

static const struct table_column *column_of(const struct where_check *c, uint32_t column)
{
        return &c->table->columns[column];
}

static bool same(const struct where_check *c, uint32_t a, uint32_t b)
{
        return column_of(c, a)->enum_oid == column_of(c, b)->enum_oid;
}

bool ck_meet_enums(struct where_check *c, node *const *nodes, uint32_t n)
{
        bool met = false;
        for (uint32_t i = 0; i < n; i++) {
                if (!is_enum(nodes[i]->type))
                        continue;
                if (met && !same(c, nodes[i]->column, c->enum_column))
                        return false;
                c->enum_column = nodes[i]->column;
                met = true;
        }
        return true;
}

bool ck_is_met_enum(const struct where_check *c, const node *n)
{
        return !is_enum(n->type) || same(c, n->column, c->enum_column);
}

/* Labels that are not known are Postgres' to judge. */
static bool is_label(const struct table_column *column, struct slice text)
{
        struct where_scratch scratch;
        struct where_array labels;
        bool found = column->labels.len == 0;
        where_scratch_init(&scratch);
        int err = found ? 0 : where_array_read(WT_TEXT, column->labels, &scratch, &labels);
        for (uint32_t i = 0; !found && !err && i < labels.n; i++)
                found = slice_eq(labels.values[i].s, text);
        where_scratch_fini(&scratch);
        return found;
}

bool ck_find_unlabelled(const struct where_check *c, const node *n, struct slice *label)
{
        if (!is_enum(n->type) || n->value.null)
                return false;
        const struct table_column *column = column_of(c, n->column);
        bool is_array = where_type_is_array(n->type);
        const struct where_value *values = is_array ? n->value.array->values : &n->value;
        uint32_t n_values = is_array ? n->value.array->n : 1;
        for (uint32_t i = 0; i < n_values; i++) {
                *label = values[i].s;
                if (!values[i].null && !is_label(column, *label))
                        return true;
        }
        return false;
}

static bool has_name(const struct table_column *column, struct slice schema, struct slice name)
{
        struct buf full;
        if (!column->enum_oid || !slice_eq(column->type_name, name))
                return false;
        if (schema.len == 0)
                return true;
        buf_init(&full, SIZE_MAX / 2);
        where_put_identifier(schema, &full);
        buf_putc(&full, '.');
        where_put_identifier(name, &full);
        bool is = slice_eq(buf_slice(&full), column->enum_name);
        buf_fini(&full);
        return is;
}

bool ck_find_enum(const struct where_check *c, struct slice schema, struct slice name,
                  uint32_t *column)
{
        bool found = false;
        for (uint32_t i = 0; i < c->table->n_columns; i++) {
                if (!has_name(column_of(c, i), schema, name))
                        continue;
                if (found && !same(c, i, *column))
                        return false;
                *column = i;
                found = true;
        }
        return found;
}
