#include "services/router/table.h"

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/pg/pg.h"
#include "common/wire/change.h"
#include "common/wire/rd.h"
#include "common/wire/wr.h"

/*   table  = [version, oid, schema, name, kind, [column...], [pk column index...], tree]
 *   column = [name, type_oid, type_name, type_mod, dims, not_null, enum_oid, enum_name,
 *             generated, render, collation]
 *   tree   = [below, above, newest, parted] */
enum { TABLE_VERSION = 5, TABLE_FIELDS = 8, COLUMN_FIELDS = 11, TREE_FIELDS = 4 };

static const size_t TABLE_MAX_BYTES = (size_t)16 << 20;

struct table *table_new(uint32_t n_columns, uint32_t n_pk)
{
        SLUICE_ASSERT(n_columns <= CHANGE_MAX_COLUMNS && n_pk <= n_columns);
        struct table *t = mem_new(struct table);
        t->magic = TABLE_MAGIC;
        t->columns = mem_zalloc((n_columns + 1) * sizeof(*t->columns));
        t->n_columns = n_columns;
        t->pk = mem_zalloc((n_pk + 1) * sizeof(*t->pk));
        t->n_pk = n_pk;
        for (uint32_t i = 0; i < n_columns; i++)
                t->columns[i].pk_index = -1;
        return t;
}

static void free_slice(struct slice *s)
{
        mem_free((void *)(uintptr_t)s->p);
        *s = (struct slice){0};
}

void table_free(struct table *t)
{
        if (!t)
                return;
        CHECK_OBJ(t, TABLE_MAGIC);
        for (uint32_t i = 0; i < t->n_columns; i++) {
                free_slice(&t->columns[i].name);
                free_slice(&t->columns[i].type_name);
                free_slice(&t->columns[i].enum_name);
                free_slice(&t->columns[i].labels);
        }
        free_slice(&t->schema);
        free_slice(&t->name);
        mem_free(t->columns);
        mem_free(t->pk);
        mem_free(t->links);
        t->magic = 0;
        mem_free(t);
}

void table_forget_labels(struct table *t)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        for (uint32_t i = 0; i < t->n_columns; i++)
                free_slice(&t->columns[i].labels);
}

int table_find_column(const struct table *t, struct slice name)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        for (uint32_t i = 0; i < t->n_columns; i++)
                if (slice_eq(t->columns[i].name, name))
                        return (int)i;
        return -1;
}

static void encode_column(const struct table_column *c, struct buf *out)
{
        wr_array(out, COLUMN_FIELDS);
        wr_str(out, c->name);
        wr_u64(out, c->type_oid);
        wr_str(out, c->type_name);
        wr_i64(out, c->type_mod);
        wr_i64(out, c->dims);
        wr_bool(out, c->not_null);
        wr_u64(out, c->enum_oid);
        wr_str(out, c->enum_name);
        wr_bool(out, c->generated);
        wr_u64(out, c->render);
        wr_u64(out, c->collation);
}

static void encode_tree(const struct tree *t, struct buf *out)
{
        wr_array(out, TREE_FIELDS);
        wr_u64(out, t->below);
        wr_u64(out, t->above);
        wr_u64(out, t->newest);
        wr_bool(out, t->parted);
}

void table_encode(const struct table *t, struct buf *out)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        wr_array(out, TABLE_FIELDS);
        wr_u64(out, TABLE_VERSION);
        wr_u64(out, t->oid);
        wr_str(out, t->schema);
        wr_str(out, t->name);
        wr_u64(out, (unsigned char)t->kind);
        wr_array(out, t->n_columns);
        for (uint32_t i = 0; i < t->n_columns; i++)
                encode_column(&t->columns[i], out);
        wr_array(out, t->n_pk);
        for (uint32_t i = 0; i < t->n_pk; i++)
                wr_u64(out, t->pk[i]);
        encode_tree(&t->tree, out);
}

static uint32_t read_u32(struct rd *rd)
{
        uint64_t v = rd_u64(rd);
        if (v > UINT32_MAX)
                rd_fail(rd);
        return (uint32_t)v;
}

static int32_t read_i32(struct rd *rd)
{
        int64_t v = rd_i64(rd);
        if (v < INT32_MIN || v > INT32_MAX)
                rd_fail(rd);
        return (int32_t)v;
}

static void expect_array(struct rd *rd, uint32_t n)
{
        if (rd_array(rd) != n)
                rd_fail(rd);
}

static uint32_t read_count(struct rd *rd, uint32_t max)
{
        uint32_t n = rd_array(rd);
        if (n > max) {
                rd_fail(rd);
                return 0;
        }
        return n;
}

static void decode_column(struct rd *rd, struct table_column *c)
{
        expect_array(rd, COLUMN_FIELDS);
        c->name = slice_dup(rd_bytes(rd));
        c->type_oid = read_u32(rd);
        c->type_name = slice_dup(rd_bytes(rd));
        c->type_mod = read_i32(rd);
        c->dims = read_i32(rd);
        c->not_null = rd_bool(rd);
        c->enum_oid = read_u32(rd);
        c->enum_name = slice_dup(rd_bytes(rd));
        c->generated = rd_bool(rd);
        uint64_t render = rd_u64(rd);
        if (render > RENDER_INET)
                rd_fail(rd);
        c->render = (enum render_as)render;
        uint64_t collation = rd_u64(rd);
        if (collation > COLLATION_ALL)
                rd_fail(rd);
        c->collation = (uint8_t)(collation & COLLATION_ALL);
}

static void decode_pk(struct rd *rd, struct table *t)
{
        t->n_pk = read_count(rd, t->n_columns);
        mem_free(t->pk);
        t->pk = mem_zalloc((t->n_pk + 1) * sizeof(*t->pk));
        for (uint32_t i = 0; i < t->n_pk && !rd->err; i++) {
                uint32_t column = read_u32(rd);
                if (column >= t->n_columns || t->columns[column].pk_index >= 0) {
                        rd_fail(rd);
                        return;
                }
                t->pk[i] = column;
                t->columns[column].pk_index = (int32_t)i;
        }
}

static void decode_tree(struct rd *rd, struct tree *t)
{
        expect_array(rd, TREE_FIELDS);
        t->below = rd_u64(rd);
        t->above = rd_u64(rd);
        t->newest = read_u32(rd);
        t->parted = rd_bool(rd);
}

/* The columns' array comes before what depends on it, so that its count is known before the table
 * is made. */
static struct table *decode_table(struct rd *rd)
{
        uint32_t oid = read_u32(rd);
        struct slice schema = rd_bytes(rd), name = rd_bytes(rd);
        uint32_t kind = read_u32(rd);
        struct table *t = table_new(read_count(rd, CHANGE_MAX_COLUMNS), 0);
        t->oid = oid;
        t->schema = slice_dup(schema);
        t->name = slice_dup(name);
        t->kind = (char)kind;
        if (kind != 'r' && kind != 'p')
                rd_fail(rd);
        for (uint32_t i = 0; i < t->n_columns && !rd->err; i++)
                decode_column(rd, &t->columns[i]);
        decode_pk(rd, t);
        decode_tree(rd, &t->tree);
        return t;
}

int table_decode(struct slice bytes, struct table **out)
{
        struct rd rd;
        rd_init(&rd, bytes);
        expect_array(&rd, TABLE_FIELDS);
        uint64_t version = rd_u64(&rd);
        if (!rd.err && version != TABLE_VERSION)
                return ERR_VERSION;
        struct table *t = decode_table(&rd);
        if (rd.err || !rd_at_end(&rd)) {
                table_free(t);
                return ERR_FORMAT;
        }
        *out = t;
        return 0;
}

struct table *table_dup(const struct table *t)
{
        struct buf bytes;
        struct table *copy;
        buf_init(&bytes, TABLE_MAX_BYTES);
        table_encode(t, &bytes);
        int err = table_decode(buf_slice(&bytes), &copy);
        SLUICE_ASSERT(err == 0);
        buf_fini(&bytes);
        copy->member = t->member;
        copy->asked_ms = t->asked_ms;
        copy->hidden = t->hidden;
        copy->n_links = t->n_links;
        copy->links = mem_array(t->n_links ? t->n_links : 1, sizeof(*copy->links));
        for (size_t i = 0; i < t->n_links; i++)
                copy->links[i] = t->links[i];
        return copy;
}

void table_put_name(const struct table *t, struct buf *out)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        pg_put_ident(out, t->schema);
        buf_putc(out, '.');
        pg_put_ident(out, t->name);
}

void table_put_sql(const struct table *t, struct buf *out)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        if (t->kind == 'r')
                buf_puts(out, "ONLY ");
        table_put_name(t, out);
}
