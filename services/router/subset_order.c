/* The list is parsed as `SELECT 1 ORDER BY <list>`, and the SQL is made anew from what was
 * understood: the client's text never reaches Postgres. */
#include "services/router/subset_order.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/pg/pg.h"
#include "services/router/sql_parse.h"
#include "services/router/where_parse.h"
#include "services/router/where_text.h"

#define WRAP_BEFORE "SELECT 1 ORDER BY "
enum { WRAP_BYTES = sizeof(WRAP_BEFORE) - 1 };

struct order {
        const struct table *table;
        const bool *usable;
        struct buf *sql, *why;
        bool any;
};

static int at(int location)
{
        return location > WRAP_BYTES ? location - WRAP_BYTES : 0;
}

/* What cannot be sorted by, in a person's words, and where it stands. */
static const char *describe(const PgQuery__Node *n, int *location)
{
        *location = 0;
        switch ((int)n->node_case) {
        case PG_QUERY__NODE__NODE_FUNC_CALL:
                *location = n->func_call->location;
                return "function calls";
        case PG_QUERY__NODE__NODE_TYPE_CAST:
                *location = n->type_cast->location;
                return "type casts";
        case PG_QUERY__NODE__NODE_CASE_EXPR:
                *location = n->case_expr->location;
                return "CASE expressions";
        case PG_QUERY__NODE__NODE_SUB_LINK:
                *location = n->sub_link->location;
                return "subqueries";
        case PG_QUERY__NODE__NODE_A_EXPR:
                *location = n->a_expr->location;
                return "expressions";
        case PG_QUERY__NODE__NODE_A_CONST:
                *location = n->a_const->location;
                return "constants";
        case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
                *location = n->collate_clause->location;
                return "collations";
        default:
                return "expressions";
        }
}

static int refuse(struct order *o, const PgQuery__Node *n)
{
        int location;
        if (n->node_case == PG_QUERY__NODE__NODE_PARAM_REF) {
                where_why(o->why, at(n->param_ref->location),
                          "parameter $%d is not supported in ORDER BY clauses",
                          n->param_ref->number);
                return ERR_INVAL;
        }
        const char *what = describe(n, &location);
        where_why(o->why, at(location), "%s are not allowed in ORDER BY clauses", what);
        return ERR_INVAL;
}

static const char *name_of(const PgQuery__Node *n)
{
        return n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : NULL;
}

/* NULL: an operator that says no order. */
static const char *direction(const PgQuery__SortBy *s)
{
        switch (s->sortby_dir) {
        case PG_QUERY__SORT_BY_DIR__SORTBY_DESC:
                return " DESC";
        case PG_QUERY__SORT_BY_DIR__SORTBY_USING: {
                const char *op = s->n_use_op == 1 ? name_of(s->use_op[0]) : NULL;
                if (op && strcmp(op, "<") == 0)
                        return " ASC";
                return op && strcmp(op, ">") == 0 ? " DESC" : NULL;
        }
        case PG_QUERY__SORT_BY_DIR__SORTBY_DEFAULT:
        case PG_QUERY__SORT_BY_DIR__SORTBY_ASC:
        case PG_QUERY__SORT_BY_DIR__SORT_BY_DIR_UNDEFINED:
        case _PG_QUERY__SORT_BY_DIR_IS_INT_SIZE:
        default:
                return " ASC";
        }
}

static const char *nulls(const PgQuery__SortBy *s)
{
        if (s->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST)
                return " NULLS FIRST";
        return s->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST ? " NULLS LAST" : "";
}

static int find_column(struct order *o, const PgQuery__ColumnRef *c)
{
        struct buf name;
        buf_init(&name, SUBSET_ORDER_MAX_BYTES);
        for (size_t i = 0; i < c->n_fields; i++) {
                const char *part = name_of(c->fields[i]);
                buf_printf(&name, "%s%s", i ? "." : "", part ? part : "*");
        }
        const char *only = c->n_fields == 1 ? name_of(c->fields[0]) : NULL;
        int column = only ? table_find_column(o->table, slice_cstr(only)) : -1;
        if (column >= 0 && o->usable && !o->usable[column])
                column = -1;
        if (column < 0)
                where_why(o->why, at(c->location), "unknown reference %s", buf_cstr(&name));
        buf_fini(&name);
        return column;
}

static bool is_integer(const PgQuery__Node *n)
{
        return n->node_case == PG_QUERY__NODE__NODE_A_CONST && !n->a_const->isnull &&
               n->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL;
}

static int put_item(struct order *o, const PgQuery__SortBy *s)
{
        if (is_integer(s->node)) /* accepted, and says nothing (protocol §13.1 item 6) */
                return 0;
        if (s->node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
                return refuse(o, s->node);
        int column = find_column(o, s->node->column_ref);
        if (column < 0)
                return ERR_INVAL;
        const char *way = direction(s);
        if (!way) {
                where_why(o->why, at(s->location),
                          "operators other than < and > are not allowed in ORDER BY clauses");
                return ERR_INVAL;
        }
        buf_puts(o->sql, o->any ? ", " : "");
        pg_put_ident(o->sql, o->table->columns[column].name);
        buf_puts(o->sql, way);
        buf_puts(o->sql, nulls(s));
        o->any = true;
        return 0;
}

/* LIMIT is accepted and means nothing (protocol §13.1 item 6). */
static bool is_bare_order(const PgQuery__SelectStmt *s)
{
        return s->op == PG_QUERY__SET_OPERATION__SETOP_NONE && s->n_target_list == 1 &&
               s->n_sort_clause && !s->where_clause && !s->n_distinct_clause && !s->into_clause &&
               !s->n_from_clause && !s->n_group_clause && !s->having_clause &&
               !s->n_window_clause && !s->n_values_lists && !s->n_locking_clause &&
               !s->with_clause && !s->larg && !s->rarg;
}

static int put_list(struct order *o, const struct sql_parse *p)
{
        const PgQueryError *e = p->result.error;
        if (e) {
                where_why(o->why, e->cursorpos > 0 ? e->cursorpos - 1 : 0, "%s", e->message);
                return ERR_INVAL;
        }
        if (p->tree && p->tree->n_stmts != 1) {
                buf_puts(o->why, "Unexpected `;` in order by");
                return ERR_INVAL;
        }
        const PgQuery__Node *stmt = p->tree ? p->tree->stmts[0]->stmt : NULL;
        if (!stmt || stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT ||
            !is_bare_order(stmt->select_stmt)) {
                buf_puts(o->why, "malformed query ending with SQL clauses");
                return ERR_INVAL;
        }
        const PgQuery__SelectStmt *s = stmt->select_stmt;
        int err = 0;
        for (size_t i = 0; !err && i < s->n_sort_clause; i++) {
                SLUICE_ASSERT(s->sort_clause[i]->node_case == PG_QUERY__NODE__NODE_SORT_BY);
                err = put_item(o, s->sort_clause[i]->sort_by);
        }
        return err;
}

int subset_order(struct slice text, const struct table *t, const bool *usable, struct buf *sql,
                 struct buf *why)
{
        CHECK_OBJ(t, TABLE_MAGIC);
        struct order o = {.table = t, .usable = usable, .sql = sql, .why = why};
        if (text.len > SUBSET_ORDER_MAX_BYTES) {
                buf_printf(why, "ORDER BY clause is bigger than maximum size of %d bytes",
                           SUBSET_ORDER_MAX_BYTES);
                return ERR_INVAL;
        }
        if (!where_text_is_valid(text)) {
                buf_puts(why, "invalid byte sequence for encoding \"UTF8\"");
                return ERR_INVAL;
        }
        struct buf wrapped;
        struct sql_parse p;
        buf_init(&wrapped, WRAP_BYTES + SUBSET_ORDER_MAX_BYTES + 1);
        buf_puts(&wrapped, WRAP_BEFORE);
        buf_put_slice(&wrapped, text);
        sql_parse_run(&p, buf_cstr(&wrapped));
        int err = put_list(&o, &p);
        sql_parse_free(&p);
        buf_fini(&wrapped);
        return err;
}
