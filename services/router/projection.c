/* The JSON fragments of a projection, made once so that a row costs little (see render.c). */
#include "services/router/projection.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "services/router/schema_json.h"

static const char *const operation_names[N_OPERATIONS] = {"insert", "update", "delete"};

static int by_name(const void *a, const void *b, void *table)
{
        const struct table *t = table;
        return slice_cmp(t->columns[*(const uint32_t *)a].name,
                         t->columns[*(const uint32_t *)b].name);
}

static void put_sql_name(struct buf *out, struct slice name)
{
        buf_putc(out, '"');
        for (size_t i = 0; i < name.len; i++) {
                if (name.p[i] == '"')
                        buf_putc(out, '"');
                buf_putc(out, name.p[i]);
        }
        buf_putc(out, '"');
}

static void put_key_name(const struct table *t, struct buf *out)
{
        put_sql_name(out, t->schema);
        buf_putc(out, '.');
        put_sql_name(out, t->name);
}

static void put_headers(const struct table *t, enum render_operation op, struct buf *out)
{
        buf_printf(out, ",\"headers\":{\"operation\":\"%s\",\"relation\":[", operation_names[op]);
        buf_put_json_string(out, t->schema);
        buf_putc(out, ',');
        buf_put_json_string(out, t->name);
        buf_putc(out, ']');
}

/* A fragment: what has been written since `from`. The buffer had room for everything from the
 * start, so it does not move. */
static size_t mark(const struct projection *p)
{
        return p->bytes.len;
}

static struct slice since(const struct projection *p, size_t from)
{
        return slice_of(p->bytes.p + from, p->bytes.len - from);
}

/* No fragment can be longer: a byte becomes at most six in JSON, a quote of a name two before that.
 */
static size_t fragments_bound(const struct table *t)
{
        enum { ESCAPED = 6, DOUBLED = 2, AROUND = 128 };
        size_t names = t->schema.len + t->name.len + AROUND;
        size_t bound = names * DOUBLED * (1 + ESCAPED) + (N_OPERATIONS + 1) * names * ESCAPED;
        for (uint32_t i = 0; i < t->n_columns; i++)
                bound += t->columns[i].name.len * ESCAPED + AROUND;
        return bound;
}

static void make_names(struct projection *p)
{
        size_t at = mark(p);
        put_key_name(p->table, &p->bytes);
        p->key_name = since(p, at);
        at = mark(p);
        buf_puts(&p->bytes, ENTRY_OPEN);
        buf_put_json_escaped(&p->bytes, p->key_name);
        p->key_head = since(p, at);
}

static void make_headers(struct projection *p)
{
        size_t at = mark(p);
        put_headers(p->table, OP_INSERT, &p->bytes);
        buf_puts(&p->bytes, "}}");
        p->snapshot_tail = since(p, at);
        for (int op = 0; op < N_OPERATIONS; op++) {
                at = mark(p);
                put_headers(p->table, (enum render_operation)op, &p->bytes);
                buf_puts(&p->bytes, ",\"txids\":[");
                p->head[op] = since(p, at);
        }
}

static void make_column(struct projection *p, uint32_t index)
{
        const struct table_column *c = &p->table->columns[index];
        size_t at = mark(p);
        buf_putc(&p->bytes, ',');
        buf_put_json_string(&p->bytes, c->name);
        buf_puts(&p->bytes, ":\"");
        p->columns[p->n_columns++] = (struct out_column){
                .index = index,
                .open = since(p, at),
                .render = c->render,
                .is_key = c->pk_index >= 0 || p->table->n_pk == 0,
        };
        p->needs[index] = true;
}

static void make_key(struct projection *p)
{
        const struct table *t = p->table;
        p->n_key = t->n_pk > 0 ? t->n_pk : t->n_columns;
        p->key = mem_array(p->n_key, sizeof(*p->key));
        for (uint32_t i = 0; i < p->n_key; i++) {
                uint32_t index = t->n_pk > 0 ? t->pk[i] : i;
                p->key[i] = (struct key_column){index, t->columns[index].render};
                p->needs[index] = true;
        }
}

struct projection *projection_new(const struct table *t, const uint32_t *columns, uint32_t n,
                                  enum replica_mode replica)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        SLUICE_ASSERT(n <= t->n_columns);
        struct projection *p = mem_new(struct projection);
        p->magic = PROJECTION_MAGIC;
        p->table = t;
        p->full = replica == REPLICA_FULL;
        p->columns = mem_array(n, sizeof(*p->columns));
        p->needs = mem_zalloc(t->n_columns);
        buf_init(&p->bytes, fragments_bound(t));
        buf_reserve(&p->bytes, fragments_bound(t));
        const char *bytes = p->bytes.p;

        uint32_t *sorted = mem_array(n, sizeof(*sorted));
        for (uint32_t i = 0; i < n; i++) {
                SLUICE_ASSERT(columns[i] < t->n_columns);
                sorted[i] = columns[i];
        }
        qsort_r(sorted, n, sizeof(*sorted), by_name, (void *)(uintptr_t)t);
        make_names(p);
        make_headers(p);
        for (uint32_t i = 0; i < n; i++)
                make_column(p, sorted[i]);
        make_key(p);
        mem_free(sorted);
        SLUICE_ASSERT(buf_status(&p->bytes) == 0 && p->bytes.p == bytes);
        return p;
}

void projection_free(struct projection *p)
{
        if (!p)
                return;
        CHECK_OBJ(p, PROJECTION_MAGIC);
        p->magic = 0;
        mem_free(p->columns);
        mem_free(p->key);
        mem_free(p->needs);
        buf_fini(&p->bytes);
        mem_free(p);
}

const struct table *projection_table(const struct projection *p)
{
        CHECK_OBJ(p, PROJECTION_MAGIC);
        return p->table;
}

bool projection_needs(const struct projection *p, uint32_t column)
{
        CHECK_OBJ(p, PROJECTION_MAGIC);
        SLUICE_ASSERT(column < p->table->n_columns);
        return p->needs[column];
}

void projection_schema_json(const struct projection *p, struct buf *out)
{
        CHECK_OBJ(p, PROJECTION_MAGIC);
        uint32_t *columns = mem_array(p->n_columns, sizeof(*columns));
        for (uint32_t i = 0; i < p->n_columns; i++)
                columns[i] = p->columns[i].index;
        schema_json(p->table, columns, p->n_columns, out);
        mem_free(columns);
}
