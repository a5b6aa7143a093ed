/* The clause is parsed as `SELECT 1 WHERE <clause>`: an unwrapped text cannot close a parenthesis
 * that it did not open, and locations are what protocol §5.7 promises. The depth is measured before
 * the tree is used. */
#include "services/router/where_parse.h"

#include <stdarg.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "services/router/sql_parse.h"
#include "services/router/where_parse_tree.h"
#include "services/router/where_quick.h"

#define WRAP_BEFORE "SELECT 1 WHERE "
enum { WRAP_BYTES = sizeof(WRAP_BEFORE) - 1 };

void where_why(struct buf *why, int location, const char *fmt, ...)
{
        va_list ap;
        buf_printf(why, "At location %d: ", location);
        va_start(ap, fmt);
        buf_vprintf(why, fmt, ap);
        va_end(ap);
}

/* LIMIT is accepted and means nothing, protocol §13.1 item 6. */
static bool is_bare_where(const PgQuery__SelectStmt *s)
{
        return s->op == PG_QUERY__SET_OPERATION__SETOP_NONE && s->n_target_list == 1 &&
               s->where_clause && !s->n_distinct_clause && !s->into_clause && !s->n_from_clause &&
               !s->n_group_clause && !s->having_clause && !s->n_window_clause &&
               !s->n_values_lists && !s->n_sort_clause && !s->n_locking_clause && !s->with_clause &&
               !s->larg && !s->rarg;
}

static int read_tree(const struct sql_parse *job, struct where_scratch *arena,
                     struct where_parsed **out, struct buf *why)
{
        const PgQueryError *e = job->result.error;
        if (e) {
                where_why(why, e->cursorpos > 0 ? e->cursorpos - 1 : 0, "%s", e->message);
                return ERR_INVAL;
        }
        if (!job->tree) {
                buf_puts(why, "malformed query");
                return ERR_INVAL;
        }
        if (job->tree->n_stmts != 1) {
                buf_puts(why, "unescaped \";\" causing statement split");
                return ERR_INVAL;
        }
        const PgQuery__Node *stmt = job->tree->stmts[0]->stmt;
        if (stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT ||
            !is_bare_where(stmt->select_stmt)) {
                buf_puts(why, "malformed query ending with SQL clauses");
                return ERR_INVAL;
        }
        struct where_reader r = {.arena = arena, .why = why, .before = WRAP_BYTES};
        struct where_parsed *root = where_read_node(&r, stmt->select_stmt->where_clause);
        if (!root)
                return ERR_INVAL;
        *out = root;
        return 0;
}

static char *wrap(struct slice clause, struct where_scratch *arena)
{
        char *sql = where_alloc(arena, WRAP_BYTES + clause.len + 1);
        SLUICE_ASSERT(!memchr(clause.p, '\0', clause.len));
        memcpy(sql, WRAP_BEFORE, WRAP_BYTES);
        memcpy(sql + WRAP_BYTES, clause.p, clause.len);
        sql[WRAP_BYTES + clause.len] = '\0';
        return sql;
}

static int parse_whole(const char *sql, struct where_scratch *arena, struct where_parsed **out,
                       struct buf *why)
{
        struct sql_parse job;
        sql_parse_run(&job, sql);
        int rc = read_tree(&job, arena, out, why);
        sql_parse_free(&job);
        return rc;
}

int where_parse_whole(struct slice clause, struct where_scratch *arena, struct where_parsed **out,
                      struct buf *why)
{
        return parse_whole(wrap(clause, arena), arena, out, why);
}

int where_parse(struct slice clause, struct where_scratch *arena, struct where_parsed **out,
                struct buf *why)
{
        const char *sql = wrap(clause, arena); /* the tree borrows it */
        struct where_parsed *quick =
                where_parse_quick(slice_of(sql + WRAP_BYTES, clause.len), arena);
        if (!quick)
                return parse_whole(sql, arena, out, why);
        *out = quick;
        return 0;
}

bool where_parsed_eq(const struct where_parsed *a, const struct where_parsed *b)
{
        if (!a || !b)
                return a == b;
        bool eq = a->kind == b->kind && a->location == b->location && a->number == b->number &&
                  a->test == b->test && a->negated == b->negated && a->symmetric == b->symmetric &&
                  a->is_array == b->is_array && a->n == b->n && a->n_modifiers == b->n_modifiers &&
                  slice_eq(a->schema, b->schema) && slice_eq(a->text, b->text);
        for (uint32_t i = 0; eq && i < a->n; i++)
                eq = where_parsed_eq(a->args[i], b->args[i]);
        return eq;
}
