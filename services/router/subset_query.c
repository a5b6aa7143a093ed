#include "services/router/subset_query.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/pg/pg.h"
#include "common/wire/rd.h"
#include "services/router/sql_parse.h"
#include "services/router/subset_order.h"
#include "services/router/where.h"
#include "services/router/where_text.h"

enum { WHY_MAX_BYTES = 256 * 1024 };

/* ---- reading */

int subset_query_read(struct subset_query *q, const struct msg_subset *m)
{
        *q = (struct subset_query){.where = m->where,
                                   .order_by = m->order_by,
                                   .has_limit = m->has_limit,
                                   .limit = m->limit,
                                   .skip = m->skip};
        int err = definition_decode(m->definition, &q->request);
        if (err)
                return err;
        struct rd rd;
        rd_init(&rd, m->params);
        /* each has at least one byte */
        q->params = mem_array(m->params.len + 1, sizeof(*q->params));
        while (!rd_at_end(&rd) && !rd.err)
                q->params[q->n_params++] = rd_bytes(&rd);
        if (rd.err || q->n_params > DEFINITION_MAX_PARAMS || m->limit > INT64_MAX ||
            m->skip > INT64_MAX) {
                subset_query_fini(q);
                return ERR_FORMAT;
        }
        return 0;
}

void subset_query_fini(struct subset_query *q)
{
        definition_fini(&q->request);
        mem_free(q->params);
        q->params = NULL;
}

/* ---- judging */

void subset_refusal(const char *field, struct slice text, bool plain, struct buf *body)
{
        buf_reset(body);
        buf_printf(body, "{\"message\":\"Invalid request\",\"errors\":{\"subset\":{\"%s\":%s",
                   field, plain ? "" : "[");
        buf_put_json_string(body, text);
        buf_printf(body, "%s}}}", plain ? "" : "]");
}

/* NULL: every column may be mentioned. */
static bool *usable_columns(const struct subset_query *q, const struct table *t)
{
        if (!q->request.has_queryable)
                return NULL;
        bool *usable = mem_zalloc(t->n_columns + 1);
        for (uint32_t i = 0; i < q->request.n_queryable; i++) {
                int column = table_find_column(t, q->request.queryable[i]);
                if (column >= 0)
                        usable[column] = true;
        }
        return usable;
}

/* A clause as ` WHERE (…)` or ` AND (…)`; takes it. */
static void put_clause(struct where *w, bool first, struct buf *sql)
{
        buf_puts(sql, first ? " WHERE (" : " AND (");
        where_sql(w, sql);
        buf_putc(sql, ')');
        where_free(w);
}

/* The database evaluates a subset's clause, by its own rules of time zones; whether ours are the
 * same nobody asks. */
static int judge_zones(const struct where *w, struct buf *why)
{
        if (!where_settles_zones(w))
                return 0;
        buf_puts(why, "a constant in a time zone that has a name is not supported in a subset, "
                      "where it must be given in UTC");
        return ERR_INVAL;
}

/* Whether it is a clause, as far as the grammar goes, with a SELECT in it. */
static bool has_subquery(struct slice text)
{
        struct sql_parse p;
        struct buf sql;
        if (text.len == 0 || text.len > WHERE_MAX_BYTES || !where_text_is_valid(text))
                return false;
        buf_init(&sql, WHERE_MAX_BYTES + 64);
        buf_puts(&sql, "SELECT 1 WHERE ");
        buf_put_slice(&sql, text);
        sql_parse_run(&p, buf_cstr(&sql));
        bool found = p.has_sublink;
        sql_parse_free(&p);
        buf_fini(&sql);
        return found;
}

static int put_where(const struct subset_query *q, const struct definition *d,
                     const struct table *t, const bool *usable, struct buf *sql, struct buf *why)
{
        struct where *w;
        int err = where_compile(d->where, t, NULL, d->params, d->n_params, &w, why);
        if (err && err != ERR_NOTFOUND)
                return err; /* the shape was made with this clause and this table */
        if (!err)
                put_clause(w, true, sql);
        bool first = err == ERR_NOTFOUND;
        if (has_subquery(q->where)) {
                buf_puts(why, "Subqueries are not allowed in subsets");
                return ERR_INVAL;
        }
        err = where_compile(q->where, t, usable, q->params, q->n_params, &w, why);
        if (err)
                return err == ERR_NOTFOUND ? 0 : err;
        err = judge_zones(w, why);
        if (err)
                where_free(w);
        else
                put_clause(w, first, sql);
        return err;
}

static int put_order(const struct subset_query *q, const struct table *t, const bool *usable,
                     struct buf *sql, struct buf *why)
{
        if (q->order_by.len == 0)
                return 0;
        size_t before = sql->len;
        buf_puts(sql, " ORDER BY ");
        size_t start = sql->len;
        int err = subset_order(q->order_by, t, usable, sql, why);
        if (sql->len == start)
                sql->len = before;
        return err;
}

static void put_select(const struct projection *p, struct buf *sql)
{
        const struct table *t = projection_table(p);
        const char *separator = " ";
        buf_puts(sql, "SELECT");
        for (uint32_t i = 0; i < t->n_columns; i++) {
                if (!projection_needs(p, i))
                        continue;
                buf_puts(sql, separator);
                pg_put_ident(sql, t->columns[i].name);
                separator = ", ";
        }
        buf_puts(sql, " FROM ");
        table_put_sql(t, sql);
}

int subset_query_sql(const struct subset_query *q, const struct definition *shape,
                     const struct projection *p, struct buf *sql, struct buf *body)
{
        const struct table *t = projection_table(p);
        const char *field = "where";
        struct buf why;
        buf_init(&why, WHY_MAX_BYTES);
        bool *usable = usable_columns(q, t);
        put_select(p, sql);
        int err = put_where(q, shape, t, usable, sql, &why);
        if (!err) {
                field = "order_by";
                err = put_order(q, t, usable, sql, &why);
        }
        if (q->has_limit)
                buf_printf(sql, " LIMIT %llu", (unsigned long long)q->limit);
        if (q->skip > 0)
                buf_printf(sql, " OFFSET %llu", (unsigned long long)q->skip);
        if (!err && buf_status(sql) != 0) {
                field = "where";
                buf_puts(&why, "the query is bigger than maximum size");
                err = ERR_INVAL;
        }
        if (err)
                subset_refusal(field, buf_slice(&why), false, body);
        mem_free(usable);
        buf_fini(&why);
        return err;
}
