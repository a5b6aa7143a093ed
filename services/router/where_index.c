/* What can be decided by a column's text alone: for speed in the evaluation, and for the index of
 * shapes. */
#include "services/router/where_node.h"

#include "services/router/where_list.h"

typedef struct where_node node;

/* Types whose cast to text changes nothing. */
static bool is_text(enum where_type t)
{
        return t == WT_TEXT || t == WT_VARCHAR || t == WT_NAME || t == WT_ENUM;
}

/* The column below casts that leave its text as it is; NULL: it is something else. */
static const node *plain_column(const node *n)
{
        if (n->kind == ND_CAST && is_text(n->args[0]->type) && n->type == WT_TEXT)
                n = n->args[0];
        if (n->kind == ND_COLUMN && where_type_text_is_identity(n->type))
                return n;
        return NULL;
}

static const node *plain_const(const node *n)
{
        if (n->kind == ND_CONST && !n->value.null && where_type_text_is_identity(n->type))
                return n;
        return NULL;
}

static bool is_int(enum where_type t)
{
        return t == WT_INT2 || t == WT_INT4 || t == WT_INT8;
}

/* Are values of the two types equal just when their texts are? */
static bool print_alike(enum where_type a, enum where_type b)
{
        return a == b || (is_int(a) && is_int(b)) || (is_text(a) && is_text(b));
}

static struct slice text_of(const node *n, struct where_scratch *arena)
{
        struct buf b;
        buf_init(&b, SIZE_MAX / 2);
        where_value_print(n->type, &n->value, &b);
        char *copy = where_alloc(arena, b.len + 1);
        memcpy(copy, buf_slice(&b).p, b.len);
        struct slice text = slice_of(copy, b.len);
        buf_fini(&b);
        return text;
}

static void optimize_compare(node *n, struct where_scratch *arena)
{
        if (n->compare != CMP_EQ && n->compare != CMP_NE)
                return;
        const node *column = plain_column(n->args[0]), *constant = plain_const(n->args[1]);
        if (!column || !constant) {
                column = plain_column(n->args[1]);
                constant = plain_const(n->args[0]);
        }
        if (!column || !constant || !print_alike(column->type, constant->type))
                return;
        n->kind = ND_SAME;
        n->column = column->column;
        n->text = text_of(constant, arena);
}

static void optimize_in(node *n)
{
        const node *column = plain_column(n->args[0]);
        if (!column || !n->list->texts || !print_alike(column->type, n->list->type))
                return;
        n->column = column->column;
        n->text = SLICE_EMPTY;
}

/* A node may have several parents (BETWEEN): doing it again changes nothing. */
void where_node_optimize(struct where_node *n, struct where_scratch *arena)
{
        for (uint32_t i = 0; i < n->n; i++)
                where_node_optimize(n->args[i], arena);
        if (n->kind == ND_COMPARE)
                optimize_compare(n, arena);
        else if (n->kind == ND_IN)
                optimize_in(n);
}

/* ---- equalities: every conjunct at the top must be TRUE for the clause to be */

struct found {
        struct where_scratch *arena;
        struct where_equality *list;
        uint32_t n, room;
};

static void add(struct found *f, uint32_t column, const struct slice *texts, uint32_t n)
{
        if (f->n == f->room) {
                f->room = f->room ? f->room * 2 : 4;
                struct where_equality *list = where_alloc(f->arena, f->room * sizeof(*list));
                if (f->n)
                        memcpy(list, f->list, f->n * sizeof(*list));
                f->list = list;
        }
        f->list[f->n++] = (struct where_equality){.column = column, .texts = texts, .n = n};
}

static void add_one(struct found *f, uint32_t column, struct slice text)
{
        struct slice *texts = where_alloc(f->arena, sizeof(*texts));
        *texts = text;
        add(f, column, texts, 1);
}

static void collect(struct found *f, const node *n)
{
        if (n->kind == ND_AND) {
                for (uint32_t i = 0; i < n->n; i++)
                        collect(f, n->args[i]);
        } else if (n->kind == ND_SAME && n->compare == CMP_EQ) {
                add_one(f, n->column, n->text);
        } else if (n->kind == ND_IN && n->text.p && !n->negated) {
                add(f, n->column, n->list->texts, n->list->n);
        } else if (n->kind == ND_COLUMN) {
                add_one(f, n->column, SLICE_LIT("t"));
        } else if (n->kind == ND_NOT && n->args[0]->kind == ND_COLUMN) {
                add_one(f, n->args[0]->column, SLICE_LIT("f"));
        }
}

uint32_t where_node_equalities(const struct where_node *root, struct where_scratch *arena,
                               struct where_equality **out)
{
        struct found f = {.arena = arena};
        collect(&f, root);
        *out = f.list;
        return f.n;
}
